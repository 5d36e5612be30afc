"""Compiling the few loops that numpy cannot express, lazily and once.

numba is imported at the first call, not when the module is imported. The machine code is kept on disk beside the source or in
the user's cache folder; where neither can be written (a read-only install without a home), it is compiled anew in each process.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any

_LOCK = threading.Lock()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a plain Python loop so that its first call compiles it; the plain one stays as `.py_func`.

    The compiled loop releases the interpreter lock, so several run at once in a thread pool.
    """
    ready: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if not ready:
            with _LOCK:
                if not ready:
                    ready.append(_compile(function))
        return ready[0](*arguments)

    call.py_func = function  # type: ignore[attr-defined]
    return call


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    import numba

    try:
        return numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function)
    except RuntimeError:  # numba's "no locator available": no folder for the cache can be written
        return numba.njit(nogil=True, fastmath=True, error_model="numpy")(function)
