"""Work done in processes that may crash, hang or run out of memory without harm to the rest.

Each worker is a fresh interpreter in a session of its own, joined to this process by one socket: batches of tasks go
there, one result a task comes back. A worker that dies, or lets one task last too long, is replaced; the tasks behind
that one go to another worker. Times are seconds of wall clock while this process was awake.

A pool of the standard library cannot do this: it has no way to end one worker, and breaks as a whole when one dies.
A fresh interpreter, not a fork: a fork of a process with threads (a progress bar has one) can deadlock, and `spawn` of
multiprocessing would run the caller's script once more. A worker ends with this process, however that ends: it ends
when the socket closes, and on Linux the kernel kills it (PR_SET_PDEATHSIG) even in the middle of a task.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any

from symbolic.errors import InputError

BATCH = 32  # tasks sent at once, at most
BATCH_SECONDS = 0.1  # and no more than are done in this time, so that the last batches end together
START_SECONDS = 120.0
GLANCE_SECONDS = 0.25
PR_SET_PDEATHSIG = 1  # from linux/prctl.h
FIRST_STEPS = (
    "import sys; from multiprocessing.connection import Connection; connection = Connection(int(sys.argv[1])); "
    "sys.path[:] = connection.recv(); from symbolic.corpus.workers import serve; serve(connection)"
)


@dataclass(frozen=True)
class Limits:
    """What one task may take: `seconds`, and `megabytes` (of 2**20 bytes) of memory for its whole process."""

    seconds: float = 30.0
    megabytes: int = 2048


@dataclass(frozen=True)
class Failure:
    """What a task ended with instead of a result: a short `kind` to count by, and the `reason`."""

    kind: str
    reason: str


def supervised(
    make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...], tasks: Iterable[Any], workers: int, limits: Limits
) -> Generator[tuple[Any, Any], None, None]:
    """Pairs of a task and its result or `Failure`, one for each of `tasks`, in the order in which they are done.

    Every worker calls `make(*arguments)` once, and what that gives on each task; `make` is found by its name in its
    module, and arguments, tasks and results are pickled. A task at which a worker dies is tried once more in a fresh
    worker before it fails: it does not pay for what came before it, nor for a kill from outside.
    Raises `InputError` when a worker cannot even start.
    """
    left, suspects, source = deque[Any](), deque[Any](), iter(tasks)
    crew: list[_Worker] = []

    def batch(worker: _Worker) -> list[Any]:
        worker.second_try = worker.fresh and bool(suspects)
        if worker.second_try:
            return [suspects.popleft()]
        size = worker.batch_size()
        chosen = [left.popleft() for _ in range(min(size, len(left)))]
        return chosen + list(islice(source, size - len(chosen)))

    def wanted() -> bool:
        left.extend(() if left else islice(source, BATCH))
        return len(suspects) + len(left) > sum(not worker.started for worker in crew)

    clock = time.monotonic()
    try:
        while True:
            for worker in crew:
                if worker.started and not worker.tasks:
                    worker.give(batch(worker))
            while len(crew) < workers and wanted():
                crew.append(_Worker(make, arguments, limits))
            if not any(worker.tasks or not worker.started for worker in crew):
                return
            ready = wait([worker.connection for worker in crew], min(GLANCE_SECONDS, limits.seconds / 4))
            passed, clock = min(time.monotonic() - clock, 1.0), time.monotonic()  # longer: it was this process that was stopped
            for worker in list(crew):
                if worker.connection in ready:
                    yield from worker.results()
                else:
                    worker.notice(passed)
                if worker.failure is None:
                    continue
                crew.remove(worker)
                worker.end()
                if worker.tasks:
                    culprit = worker.tasks.popleft()
                    left.extendleft(reversed(worker.tasks))
                    if worker.second_try or worker.late:
                        yield culprit, worker.failure
                    else:
                        suspects.append(culprit)
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """One process as its supervisor sees it. `tasks` are what it was given and has not answered, the one it is at first."""

    def __init__(self, make: Callable[..., Any], arguments: tuple[Any, ...], limits: Limits) -> None:
        self.limits = limits
        self.tasks = deque[Any]()
        self.started, self.fresh, self.second_try, self.late = False, True, False, False
        self.failure: Failure | None = None
        self.waited = 0.0  # seconds since it was last heard or given something
        self.pace, self.given = BATCH_SECONDS, 0.0
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `end`)
        ours, theirs = socket.socketpair()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", FIRST_STEPS, str(theirs.fileno())], pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors, env=environment,
            )  # fmt: skip
        self.connection = Connection(ours.detach())
        with contextlib.suppress(OSError):  # dead already: told by the end of its results
            self.connection.send(sys.path)
            self.connection.send((make, arguments, limits, os.getpid()))

    def batch_size(self) -> int:
        """Tasks to give it next: as many as it does in `BATCH_SECONDS`."""
        return 1 if self.fresh else max(1, min(BATCH, int(BATCH_SECONDS / self.pace)))

    def give(self, tasks: list[Any]) -> None:
        """Send a batch, while it has none: it is listening then, so that neither can wait for the other for ever."""
        if not tasks:
            return
        self.tasks.extend(tasks)
        self.waited, self.given = 0.0, time.monotonic()
        self.count = len(tasks)
        with contextlib.suppress(OSError):
            self.connection.send(tasks)

    def results(self) -> Iterator[tuple[Any, Any]]:
        """What it has done since it was last asked; sets `failure` when it is dead."""
        try:
            while self.connection.poll():
                result = self.connection.recv()
                self.waited = 0.0
                if not self.started:
                    self.started = True
                elif isinstance(result, MemoryError):
                    self.failure = Failure("out of memory", f"out of memory: it needs more than {self.limits.megabytes:,} MB")
                    return
                else:
                    task, self.fresh = self.tasks.popleft(), False
                    if not self.tasks:
                        self.pace = max((time.monotonic() - self.given) / self.count, 1e-6)
                    yield task, result
        except (EOFError, OSError):
            self.failure = Failure("reader crashed", f"the reader {self._death()}")
            if not self.started:
                raise InputError(f"a worker could not start: it {self._death()}{self._last_words()}") from None

    def notice(self, seconds: float) -> None:
        """Some seconds have passed without a word from it; sets `failure` when they are too many."""
        if self.started and not self.tasks:
            return
        self.waited += seconds
        if self.waited > (self.limits.seconds if self.started else START_SECONDS) and not self.connection.poll():
            if not self.started:
                raise InputError(f"a worker could not start within {START_SECONDS:g} s{self._last_words()}")
            self.late = True
            self.failure = Failure("too slow", f"too slow: over {self.limits.seconds:g} s")

    def end(self) -> None:
        """Kill it, and what it may have started; nothing of it is left afterwards."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has gone
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()
        self.errors.close()

    def _death(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(5)
            if status < 0:
                return f"crashed (signal {-status}, {signal.Signals(-status).name})"
            return f"ended its process (exit status {status})"
        return "closed its connection"

    def _last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def serve(connection: Connection) -> None:
    """The life of a worker: make the handler, then results for batches of tasks until the other side closes."""
    os.set_inheritable(connection.fileno(), False)
    make, arguments, limits, parent = connection.recv()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    handle = make(*arguments)
    resource.setrlimit(resource.RLIMIT_DATA, (limits.megabytes * 2**20, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is a verdict, and leaves no file
    connection.send(None)
    os.dup2(1, 2)  # libraries may say what they like: both go nowhere
    with contextlib.suppress(EOFError, OSError):  # the other side is gone
        while True:
            for task in connection.recv():
                try:
                    result = handle(task)
                except MemoryError:
                    connection.send(MemoryError())  # what is left of this process is not trusted
                    return
                connection.send(result)
