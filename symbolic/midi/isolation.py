"""Reading by a library that a file may lead astray, in a process of its own, bounded in time and memory.

The child is started at the first file and kept for the next ones; it is killed when it takes too long, and then started anew.
It never outlives its parent: it leaves when its input ends, or within a second when the parent's number changes (as after kill -9),
and the system itself ends it after the time allowed for a file, measured in seconds of the processor.
"""

import atexit
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from typing import Any

from symbolic.errors import InputError

SECONDS = 120.0
MEMORY = 4 * 2**30  # bytes of address space
OUT_OF_MEMORY = "its reader ran out of memory"
FILES_PER_CHILD = 200  # music21 keeps some of what it has read


class _Child:
    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from symbolic.midi.isolation import serve; serve()"
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.owner = os.getpid()
        self.files = 0

    def ask(self, request: Any, seconds: float) -> Any:
        """The child's answer; None when it died or was killed for its time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.files += 1
        timer = threading.Timer(seconds, self.process.kill)
        timer.daemon = True
        timer.start()
        try:
            _send(self.process.stdin, request)
            return _receive(self.process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None
        finally:
            timer.cancel()

    def close(self) -> None:
        if self.owner == os.getpid():
            self.process.kill()
            self.process.communicate()


_child: _Child | None = None
_turn = threading.Lock()


def read_isolated(text: str, seconds: float = SECONDS, memory: int = MEMORY) -> Any:
    """`notation.read_musicxml(text)` in another process, in `seconds` and with `memory` bytes of address space at most.

    Raises `InputError`, without a name in front, also when that process ends before it has answered.
    """
    with _turn:
        return _answered(text, seconds, memory)


def _answered(text: str, seconds: float, memory: int) -> Any:
    """The answer of a child that is there; where that one dies, of a new one, so that no file pays for those before it."""
    global _child
    stop = time.monotonic() + seconds
    while True:
        if _child is not None and (_child.owner != os.getpid() or _child.files >= FILES_PER_CHILD or _child.process.poll() is not None):
            close()
        if _child is None:
            _child = _Child()
            atexit.register(close)
        is_new = _child.files == 0
        left = max(stop - time.monotonic(), 0.0)
        try:
            answer = _child.ask((text, left, memory), left)
        except BaseException:  # Ctrl-C in the middle: the next answer would be of this file
            close()
            raise
        if answer is not None:
            break
        close()
        if time.monotonic() >= stop:
            raise InputError(f"its reader was still at work after {seconds:g} s and was stopped")
        if is_new:
            raise InputError("its reader failed (out of memory, or a fault in it)")
    success, value = answer
    if not success:
        if value == OUT_OF_MEMORY:  # some of it may be what it keeps of other files
            close()
        raise InputError(value)
    return value


def close() -> None:
    """End the child, if there is one."""
    global _child
    child, _child = _child, None
    if child is not None:
        child.close()


def serve() -> None:
    """The child: answer requests until the input ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the answers
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    from symbolic.midi.notation import read_musicxml

    while True:
        try:
            text, seconds, memory = _receive(requests)
        except EOFError:
            return
        _limit(seconds, memory)
        answer: tuple[bool, Any]
        try:
            answer = True, read_musicxml(text)
        except InputError as error:
            answer = False, str(error)
        except MemoryError:
            answer = False, OUT_OF_MEMORY
        except Exception as error:  # music21 raises whatever the file leads it to
            answer = False, f"not understood ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        _send(answers, answer)


def _limit(seconds: float, memory: int) -> None:
    """Let the system end this process when it needs more processor time or memory than one file may."""
    try:
        import resource
    except ImportError:  # not on Windows; there the parent's timer must do
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory if most == resource.RLIM_INFINITY else min(memory, most), most))


def _leave_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _send(stream: Any, value: Any) -> None:
    body = pickle.dumps(value)
    stream.write(struct.pack("<Q", len(body)) + body)
    stream.flush()


def _receive(stream: Any) -> Any:
    header = stream.read(8)
    if len(header) < 8:
        raise EOFError
    (size,) = struct.unpack("<Q", header)
    body = stream.read(size)
    if len(body) < size:
        raise EOFError
    return pickle.loads(body)
