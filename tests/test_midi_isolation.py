"""A reader that crashes, hangs or eats memory costs one file and a bounded time, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from symbolic.errors import InputError
from symbolic.midi import isolation
from symbolic.midi.isolation import close, read_isolated

NOTE = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>1</duration></note>"


def musicxml(*steps: str) -> str:
    """Quarter notes in bars of four."""
    bars = "".join(
        f'<measure number="{at // 4 + 1}">{"<attributes><divisions>1</divisions></attributes>" if at == 0 else ""}'
        + "".join(NOTE.format(step) for step in steps[at : at + 4])
        + "</measure>"
        for at in range(0, len(steps), 4)
    )
    head = '<part-list><score-part id="P1"><part-name>A</part-name></score-part></part-list>'
    return f'<score-partwise>{head}<part id="P1">{bars}</part></score-partwise>'


SHORT = musicxml("C", "D", "E", "F")
ENDLESS = musicxml(*"CDEF" * 25_000)  # a minute of work, and a gigabyte


def pitches(text: str, **bounds: float) -> list[int]:
    score, _ = read_isolated(text, **bounds)
    return [note.pitch for note in score.tracks[0].notes]


def child_process() -> int:
    """The process that reads, once it has read something."""
    assert pitches(SHORT) == [60, 62, 64, 65]
    assert isolation._child is not None
    return isolation._child.process.pid


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def gone(process: int, seconds: float = 10) -> bool:
    """Whether a process ends by itself; asked for until it has, `seconds` at most."""
    stop = time.monotonic() + seconds
    while is_running(process) and time.monotonic() < stop:
        time.sleep(0.05)
    return not is_running(process)


def test_one_process_reads_many_files():
    """It is kept from file to file, and ends when it is told."""
    first = child_process()
    assert child_process() == first
    close()
    assert not is_running(first)
    assert child_process() != first


def test_a_reader_that_does_not_come_to_an_end_is_stopped():
    """Its file is refused with the time it had, the process is gone, and the next file is read."""
    process = child_process()
    with pytest.raises(InputError, match=r"still at work after 0\.5 s"):
        read_isolated(ENDLESS, seconds=0.5)
    assert not is_running(process)
    assert child_process() != process


def test_a_reader_that_dies_costs_its_file():
    """A crash in the middle of a file, as of a library in C, is one refusal when the reader has read nothing else before."""
    close()

    def crash() -> None:
        while isolation._child is None or isolation._child.files == 0:
            time.sleep(0.01)
        os.kill(isolation._child.process.pid, signal.SIGSEGV)

    threading.Thread(target=crash).start()
    with pytest.raises(InputError, match="its reader failed"):
        read_isolated(ENDLESS, seconds=20)
    assert pitches(SHORT) == [60, 62, 64, 65]


def test_a_file_does_not_pay_for_those_before_it():
    """Where a reader dies that has read other files, the file is read by a new one, in what is left of its time."""
    process = child_process()
    threading.Timer(0.3, os.kill, (process, signal.SIGSEGV)).start()
    with pytest.raises(InputError, match="still at work after 2 s"):
        read_isolated(ENDLESS, seconds=2)
    assert not is_running(process)
    assert child_process() != process


def test_a_reader_that_died_between_two_files_costs_nothing():
    """The next file gets a new one."""
    os.kill(child_process(), signal.SIGKILL)
    assert pitches(SHORT) == [60, 62, 64, 65]


@pytest.mark.skipif(sys.platform != "linux", reason="address space is bounded on Linux only")
def test_a_reader_that_eats_memory_is_stopped():
    """The system refuses it more than it may have; its file is refused, and the next one is read."""
    child_process()
    with open(f"/proc/{child_process()}/statm") as pages:
        used = int(pages.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    with pytest.raises(InputError, match="memory"):
        read_isolated(ENDLESS, memory=used + 30 * 2**20)
    assert pitches(SHORT) == [60, 62, 64, 65]


def test_what_the_library_raises_is_one_line():
    """Any exception inside is a refusal, and the process goes on."""
    process = child_process()
    with pytest.raises(InputError, match="not understood") as caught:
        read_isolated(SHORT.replace("<octave>4<", "<octave>four<"))
    assert "\n" not in str(caught.value)
    assert child_process() == process


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of this kind")
def test_an_answer_never_comes_for_another_file():
    """After Ctrl-C in the middle of a file the next one gets its own notes."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    child_process()
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_isolated(ENDLESS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert pitches(musicxml("G", "A")) == [67, 69]


PARENT = """
import sys, time
sys.path[:] = {path!r}
from symbolic.midi import isolation
isolation.read_isolated({text!r})
print(isolation._child.process.pid, flush=True)
{then}
"""


def started(then: str) -> tuple[subprocess.Popen[str], int]:
    """A process that has read a file, and the process that read it."""
    code = PARENT.format(path=sys.path, text=SHORT, then=then)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "at work"])
def test_the_reader_leaves_when_its_parent_is_killed(busy: bool, tmp_path: Path):
    """After kill -9 of the parent, which can tell nobody, the reader is gone too, at rest as at work."""
    endless = tmp_path / "endless.musicxml"
    endless.write_text(ENDLESS)
    work = f"""
import threading
def tell():
    while isolation._child.files < 2:
        time.sleep(0.01)
    time.sleep(1)
    print("busy", flush=True)
threading.Thread(target=tell, daemon=True).start()
isolation.read_isolated(open({str(endless)!r}).read())
"""
    parent, reader = started(work if busy else "time.sleep(60)")
    if busy:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "busy\n"
    assert is_running(reader)
    parent.kill()
    parent.communicate()
    assert gone(reader)


def test_the_reader_leaves_when_its_parent_ends():
    """A parent that ends in the usual way takes it along."""
    parent, reader = started("")
    parent.communicate()
    assert parent.returncode == 0
    assert gone(reader)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_has_a_reader_of_its_own():
    """Parent and fork read at the same time, each its own file, many times over."""
    then = f"""
import os
fork = os.fork()
text = ({musicxml(*"CCCC")!r}, {musicxml(*"GGGG")!r})[fork == 0]
found = [isolation.read_isolated(text)[0].tracks[0].notes[0].pitch for _ in range(20)]
if fork == 0:
    isolation.close()
    os._exit(0 if found == [67] * 20 else 1)
print(found == [60] * 20, os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]))
"""
    parent, reader = started(then)
    assert parent.communicate()[0].split() == ["True", "0"]
    assert gone(reader)
