"""A worker may crash, hang, eat memory or be killed: it costs one task at most, and no process is left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from symbolic.corpus.workers import Failure, Limits, supervised
from symbolic.errors import InputError

LIMITS = Limits(seconds=20, megabytes=600)


def make_handler(folder: str = "") -> Callable[[str], object]:
    """What workers of these tests do: the task says what."""
    done: list[str] = []

    def handle(task: str) -> object:
        word, _, number = task.partition(" ")
        before, _ = len(done), done.append(task)
        match word:
            case "crash":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "exit":
                os._exit(3)
            case "leave":
                sys.exit("a library that ends the program")
            case "hang":
                time.sleep(1000)
            case "spin":
                while True:
                    pass
            case "eat":
                return len(bytearray(2**30))
            case "print":
                print("noise")
                os.write(1, b"noise")
                os.write(2, b"noise")
            case "crash-when-old":
                if before:
                    ctypes.string_at(0)
            case "crash-once":
                mark = Path(folder) / number
                if not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            case "child":
                child = subprocess.Popen(["sleep", "1000"])
                Path(folder, f"child-{child.pid}").touch()
                time.sleep(1000)
            case "modules":
                return sorted({"torch", "transformers", "datasets", "matplotlib"} & set(sys.modules))
            case "nap":
                Path(folder, f"pid-{os.getpid()}").touch()
                time.sleep(1)
            case "large":
                return b"x" * 5_000_000
            case "pid":
                Path(folder, f"pid-{os.getpid()}").touch()
                time.sleep(1000)
        return task.upper()

    return handle


def make_nothing() -> None:
    raise ValueError("no such tokenizer")


def outcomes(tasks: list[str], workers: int = 1, limits: Limits = LIMITS, folder: object = "") -> dict[str, object]:
    """What became of each task; each is told once."""
    pairs = list(supervised(make_handler, (str(folder),), tasks, workers, limits))
    assert sorted(task for task, _ in pairs) == sorted(tasks)
    return dict(pairs)


def gone(pid: int) -> bool:
    """Whether the process has ended, waited for at most ten seconds."""
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def waited_for(folder: Path, pattern: str, count: int = 1) -> Path:
    """One of the files like this, as soon as there are so many."""
    for _ in range(6000):
        found = list(folder.glob(pattern))
        if len(found) >= count:
            return found[0]
        time.sleep(0.01)
    raise TimeoutError(f"no {count} {pattern} in {folder}")


def children() -> set[int]:
    """Processes that were started here and live."""
    return {int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_has_its_result(workers):
    """Hundreds of tasks, large results among them: each once, whichever worker did it, and no process is left."""
    before = children()
    tasks = [f"{'large' if n % 50 == 0 else 'good'} {n}" for n in range(300)]
    assert outcomes(tasks, workers) == {task: b"x" * 5_000_000 if task.startswith("large") else task.upper() for task in tasks}
    assert children() == before


def test_no_tasks_need_no_worker():
    """Nothing to do is done at once."""
    assert outcomes([]) == {}


@pytest.mark.parametrize(
    ("task", "kind", "words"),
    [
        ("crash", "reader crashed", "signal 11, SIGSEGV"),
        ("abort", "reader crashed", "signal 6, SIGABRT"),
        ("exit", "reader crashed", "exit status 3"),
        ("leave", "reader crashed", "exit status 1"),
        ("eat", "out of memory", "more than 600 MB"),
    ],
)
def test_a_deadly_task_costs_itself_alone(task, kind, words):
    """One worker, deadly tasks at the beginning and in the middle: all others have their results."""
    good = [f"good {n}" for n in range(20)]
    found = outcomes([task, *good[:10], f"{task} 2", *good[10:]])
    for name, outcome in found.items():
        if name.startswith("good"):
            assert outcome == name.upper()
        else:
            assert isinstance(outcome, Failure)
            assert outcome.kind == kind
            assert words in outcome.reason


@pytest.mark.parametrize("task", ["hang", "spin"])
def test_a_task_that_does_not_end_is_ended(task):
    """Whether it sleeps or works: after its time it is ended, and those behind it in the same batch are done."""
    found = outcomes(["good 1", "good 2", task, "good 3", "good 4"], limits=Limits(seconds=1, megabytes=600))
    assert found.pop(task) == Failure("too slow", "too slow: over 1 s")
    assert found == {f"good {n}": f"GOOD {n}" for n in range(1, 5)}


def test_a_task_does_not_pay_for_what_came_before_it(tmp_path):
    """A crash that a fresh worker does not repeat, and a kill from outside, cost nothing."""
    tasks = ["good 1", "crash-when-old 1", "good 2", "crash-when-old 2", "crash-once 1", "crash-once 2", "good 3"]
    assert outcomes(tasks, folder=tmp_path) == {task: task.upper() for task in tasks}


def test_time_in_which_all_are_stopped_does_not_count(tmp_path):
    """A machine that sleeps, a container that is frozen: run and worker stood still for longer than a task may last, and none fails."""
    code = f"from test_workers import *\nprint(outcomes(['nap'], limits=Limits(3, 600), folder={str(tmp_path)!r}), flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True) as run:
        worker = int(waited_for(tmp_path, "pid-*").name.removeprefix("pid-"))
        for word, seconds in ((signal.SIGSTOP, 3.5), (signal.SIGCONT, 0)):
            run.send_signal(word)
            os.kill(worker, word)
            time.sleep(seconds)
        assert run.communicate(timeout=60)[0] == "{'nap': 'NAP'}\n"


def test_what_workers_print_is_not_heard(capfd):
    """Libraries that print, into Python's streams or past them, disturb neither output nor errors."""
    assert outcomes(["print 1", "print 2"]) == {"print 1": "PRINT 1", "print 2": "PRINT 2"}
    assert capfd.readouterr() == ("", "")


def test_workers_load_nothing_heavy():
    """A worker has only what its handler asks for."""
    assert outcomes(["modules"]) == {"modules": []}


def test_a_worker_that_cannot_start_is_told():
    """What keeps workers from starting ends the run with its last line, and not in a loop."""
    before = children()
    with pytest.raises(
        InputError, match=r"a worker could not start: it ended its process \(exit status 1\): ValueError: no such tokenizer"
    ):
        list(supervised(make_nothing, (), ["good"], 2, LIMITS))
    assert children() == before


def test_ending_early_leaves_no_process(tmp_path):
    """A caller that stops in the middle, as for Ctrl-C, ends the workers, also those in the middle of a task, and what these started."""
    before = children()
    tasks = ["child", *(f"good {n}" for n in range(20))]
    results = supervised(make_handler, (str(tmp_path),), tasks, 2, LIMITS)
    with closing(results):
        next(results)
        child = int(waited_for(tmp_path, "child-*").name.removeprefix("child-"))
        assert children() > before
    assert children() == before
    assert gone(child)


def test_a_killed_run_leaves_no_process(tmp_path):
    """kill -9 of the run ends its workers in the middle of their tasks."""
    code = f"from test_workers import *\noutcomes(['pid 1', 'pid 2'], workers=2, folder={str(tmp_path)!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent) as run:
        waited_for(tmp_path, "pid-*", 2)
        run.kill()
    assert all(gone(int(path.name.removeprefix("pid-"))) for path in tmp_path.glob("pid-*"))
