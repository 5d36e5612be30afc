"""A run of `symbolic tokenize` that is killed, interrupted or out of disk goes on where it ended; its dataset is the same by every byte."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from symbolic.corpus.journal import HEADER, IDENTITY, Journal
from symbolic.corpus.tokenizing import tokenize_folder
from symbolic.errors import InputError
from symbolic.midi.transposition import transpose

FILES = 160
SETTINGS = "positions_per_beat: 4\nduration_grid: [[4, 4]]\nvelocities: 4\ntempos: 4\nmeters: {4: 4}\n"


@pytest.fixture(scope="module")
def music(tmp_path_factory, melody, drawn, folder_of) -> Path:
    """Pieces of very different length, copies, transposed copies and bad files, and the settings beside them."""
    folder = tmp_path_factory.mktemp("resume")
    scores = {}
    for n in range(FILES):
        score = melody(drawn(n % 120, 20 + 40 * (n % 9)))
        scores[f"{'abc'[n % 3]}/{n:03}.mid"] = transpose(score, 3) if n > 140 else score
    folder_of(folder / "midi", scores)
    for n in range(0, FILES, 40):
        (folder / f"midi/a/bad-{n}.mid").write_bytes(b"MThd" if n else b"")
    (folder / "settings.yaml").write_text(SETTINGS)
    return folder


def command(music: Path, output: Path, *options: str) -> list[str]:
    words = ["tokenize", str(music / "midi"), "-o", str(output), "--settings", str(music / "settings.yaml"), "--workers", "2", *options]
    return [sys.executable, "-m", "symbolic", *words]


def run(music: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(music, output, *options), capture_output=True, text=True)


@pytest.fixture(scope="module")
def whole(music, tmp_path_factory) -> Path:
    """The dataset of a run that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "out"
    finished = run(music, output, "--held-out", "0.3")
    assert (finished.returncode, finished.stderr) == (0, "")
    return output


def same(one: Path, other: Path) -> bool:
    """Whether two folders have the same files with the same bytes."""
    finished = subprocess.run(["diff", "-r", str(one), str(other)], capture_output=True, text=True)
    assert finished.returncode < 2
    return finished.stdout == ""


def ended(command: list[str], when: Callable[[], bool], word: signal.Signals) -> tuple[int, str]:
    """Run, send a signal at a moment, and give the exit status and what stood on stderr."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not when():
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, word)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_a_run_killed_again_and_again_gives_the_same_dataset(music, whole, tmp_path):
    """kill -9 of all its processes at random places of the journal, and at each step of writing the dataset; then it is left alone."""
    output = tmp_path / "out"
    partial, journal = tmp_path / ".partial-out", tmp_path / ".partial-out/journal"
    generator = random.Random(2)
    reached = [0]

    def grown(by: int) -> Callable[[], bool]:
        return lambda: journal.exists() and journal.stat().st_size >= reached[0] + by

    def exists(path: Path) -> Callable[[], bool]:
        return path.exists

    moments = [grown(generator.randrange(1, 60_000)) for _ in range(4)]
    moments += [
        exists(partial / name) for name in ("dataset/ids.bin", "dataset/manifest/state.json", "dataset/report.html", "finished.json")
    ]
    kills = 0
    for moment in moments:
        status, errors = ended(command(music, output, "--held-out", "0.3"), moment, signal.SIGKILL)
        kills += status == -signal.SIGKILL
        if status != -signal.SIGKILL:  # it was done before the signal came
            assert (status, errors) == (0, "")
            assert same(whole, output)
            shutil.rmtree(output)
            reached[0] = 0
        shutil.rmtree(partial / "dataset", ignore_errors=True)  # else the next moment would be there at once
        if journal.exists():
            reached[0] = max(reached[0], journal.stat().st_size)
    assert kills >= 5
    finished = run(music, output, "--held-out", "0.3")
    assert finished.returncode == 0 or "exists already" in finished.stderr
    assert same(whole, output)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_ctrl_c_says_how_to_go_on(music, whole, tmp_path):
    """Ctrl-C in the middle: one line, exit status 130, no output; the same command does only what is left."""
    journal = tmp_path / ".partial-out/journal"
    status, errors = ended(
        command(music, tmp_path / "out", "--held-out", "0.3"), lambda: journal.exists() and journal.stat().st_size > 20_000, signal.SIGINT
    )
    done = int(errors.split("interrupted; ")[1].split(" files are done")[0])
    assert (status, errors.count("\n")) == (130, 1)
    assert errors.endswith("the same command goes on from there\n")
    assert 0 < done < FILES
    assert [path.name for path in tmp_path.iterdir()] == [".partial-out"]
    before = journal.read_bytes()
    status, _ = ended(command(music, tmp_path / "out", "--held-out", "0.3"), lambda: journal.stat().st_size > len(before), signal.SIGKILL)
    assert journal.read_bytes().startswith(before)
    assert run(music, tmp_path / "out", "--held-out", "0.3").returncode == 0
    assert same(whole, tmp_path / "out")


def test_a_full_disk_is_told_and_the_run_goes_on_later(music, whole, tmp_path):
    """When the journal cannot grow, or the dataset not be written: one line, nothing half written, and later the rest."""
    for size in (30_000, 300_000):
        code = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        code += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        code += "from symbolic.cli import main; sys.exit(main(sys.argv[1:]))"
        words = command(music, tmp_path / "out", "--held-out", "0.3")[3:]
        finished = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert (finished.returncode, finished.stdout) == (1, "")
        assert finished.stderr.count("\n") == 1
        assert "the disk is full" in finished.stderr
        assert "files are done" in finished.stderr
        assert [path.name for path in tmp_path.iterdir()] == [".partial-out"]
    assert run(music, tmp_path / "out", "--held-out", "0.3").returncode == 0
    assert same(whole, tmp_path / "out")


@pytest.fixture
def unfinished(music, tmp_path) -> Path:
    """The workshop of a run in which one file too many is asked for, and so everything is done but the last step."""
    partial = tmp_path / "away/.partial-out"
    partial.parent.mkdir()
    ended(command(music, tmp_path / "away/out"), lambda: (partial / "dataset/ids.bin").exists(), signal.SIGKILL)
    return partial


def test_files_that_changed_since_are_done_anew(music, unfinished, tmp_path, melody, drawn, capfd):
    """A file more, one fewer, one with other notes: the run goes on with the folder as it is now."""
    shutil.copytree(music, tmp_path / "now")
    folder = tmp_path / "now/midi"
    (folder / "a/000.mid").unlink()
    (folder / "b/001.mid").write_bytes(melody(drawn(900)).dumps_midi())
    (folder / "d").mkdir()
    (folder / "d/new.mid").write_bytes(melody(drawn(901)).dumps_midi())
    shutil.copytree(unfinished.parent, tmp_path / "moved")
    finished = run(tmp_path / "now", tmp_path / "moved/out")
    assert finished.returncode == 0
    assert finished.stderr == "symbolic tokenize: 2 files done before have changed since or are gone or excluded; 2 are left to do\n"
    assert run(tmp_path / "now", tmp_path / "moved/fresh").returncode == 0
    assert same(tmp_path / "moved/out", tmp_path / "moved/fresh")


def test_other_settings_do_not_mix(music, unfinished, tmp_path):
    """An unfinished run of other settings is not gone on with: one line names them; --force begins anew; the share held out may change."""
    output = unfinished.parent / "out"
    before = (unfinished / "journal").read_bytes()
    other = tmp_path / "other"
    shutil.copytree(music, other)
    (other / "settings.yaml").write_text(SETTINGS.replace("velocities: 4", "velocities: 5"))
    refused = run(other, output)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "velocities was 4 and is 5" in refused.stderr
    assert "--force" in refused.stderr
    assert (unfinished / "journal").read_bytes() == before
    assert "file_seconds was 30.0 and is 9.0" in run(music, output, "--file-seconds", "9").stderr
    forced = run(other, output, "--force")
    assert (forced.returncode, forced.stderr) == (0, "symbolic tokenize: beginning anew: velocities was 4 and is 5\n")
    assert run(other, tmp_path / "fresh").returncode == 0
    assert same(tmp_path / "fresh", output)


def test_two_runs_do_not_write_one_dataset(music, unfinished, coarse):
    """While a run is at work, another for the same output is refused and disturbs nothing."""
    before = {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}
    journal = Journal(unfinished / "journal", {})
    try:
        with pytest.raises(InputError, match="another run is making it at this moment"):
            tokenize_folder(music / "midi", unfinished.parent / "out", coarse)
    finally:
        journal.close()
    assert {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()} == before


def test_a_run_killed_after_its_last_step_is_done(music, whole, tmp_path):
    """The dataset is in its place and only the tidying was cut off: the same command says what was made; another one is refused."""
    shutil.copytree(whole, tmp_path / "out")
    report = json.loads((whole / "report.json").read_text())
    partial = tmp_path / ".partial-out"
    for options, status in ((["--held-out", "0.3"], 0), (["--held-out", "0.2"], 1)):
        partial.mkdir()
        made_with = json.loads((whole / "run.json").read_text()) | {"folder": str((music / "midi").resolve())}
        (partial / "finished.json").write_text(json.dumps(made_with))
        finished = run(music, tmp_path / "out", "--json", *options)
        assert finished.returncode == status
        if status:
            assert "exists already" in finished.stderr
        else:
            assert json.loads(finished.stdout) == report
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert same(whole, tmp_path / "out")


def test_a_replacement_killed_in_the_middle_loses_nothing(music, whole, tmp_path):
    """Between putting the old dataset away and the new one in its place: the old one is there again at the next start."""
    (tmp_path / ".partial-out").mkdir()
    shutil.copytree(whole, tmp_path / ".partial-out/replaced")
    (tmp_path / ".partial-out/replaced/mine.txt").write_text("old")
    assert "exists already" in run(music, tmp_path / "out", "--held-out", "0.3").stderr
    assert (tmp_path / "out/mine.txt").read_text() == "old"
    assert run(music, tmp_path / "out", "--held-out", "0.3", "--force").returncode == 0
    assert same(whole, tmp_path / "out")


def records(count: int) -> dict[bytes, tuple[bytes, bytes, bytes]]:
    return {bytes([n]) * IDENTITY: (b"verdict %d" % n, b"\0" * n, b"ids" * (count - n)) for n in range(count)}


def read_back(path: Path, conditions: dict) -> dict[bytes, tuple[bytes, ...]]:
    journal = Journal(path, conditions)
    known = np.array(list(records(6)), dtype=f"S{IDENTITY}")
    found = {
        identity: tuple(journal.read(place, part) for part in range(3))
        for identity, place in zip(records(6), journal.places(known).tolist(), strict=True)
        if place >= 0
    }
    assert len(found) == len(journal)
    journal.close()
    return found


@pytest.fixture
def journal_file(tmp_path) -> Path:
    journal = Journal(tmp_path / "journal", {"a": 1})
    for identity, parts in records(5).items():
        journal.append(identity, parts)
    journal.close()
    return tmp_path / "journal"


def test_a_journal_torn_anywhere_keeps_all_whole_records(journal_file, tmp_path):
    """Cut at any byte, it has the records that end before it, and takes further ones after them."""
    content, written = journal_file.read_bytes(), records(5)
    ends = np.cumsum([len(b'{"a": 1}\n'), *(HEADER.size + sum(map(len, parts)) for parts in written.values())])
    assert ends[-1] == len(content)
    torn = tmp_path / "torn"
    for length in range(len(content) + 1):
        torn.write_bytes(content[:length])
        whole_records = int(np.searchsorted(ends, length, side="right")) - 1
        assert read_back(torn, {"a": 1}) == dict(list(written.items())[: max(whole_records, 0)])
        journal = Journal(torn, {"a": 1})
        identity, parts = list(records(6).items())[5]
        journal.append(identity, parts)
        journal.close()
        assert read_back(torn, {"a": 1}) == dict(list(written.items())[: max(whole_records, 0)]) | {identity: parts}


def test_a_damaged_record_and_what_follows_are_not_believed(journal_file):
    """One bit turned anywhere in a record takes it and those behind it out, and none comes back with another content."""
    content, written = journal_file.read_bytes(), records(5)
    for place in range(len(b'{"a": 1}\n'), len(content), 3):
        broken = bytearray(content)
        broken[place] ^= 16
        journal_file.write_bytes(broken)
        found = read_back(journal_file, {"a": 1})
        assert found == dict(list(written.items())[: len(found)])
        assert len(found) < 5


def test_the_last_record_of_a_file_counts(journal_file):
    """A file that was done twice has the later result."""
    identity = next(iter(records(5)))
    journal = Journal(journal_file, {"a": 1})
    journal.append(identity, (b"new", b"", b""))
    place = journal.places(np.array([identity, b"x" * IDENTITY], dtype=f"S{IDENTITY}"))
    assert journal.read(int(place[0]), 0) == b"new"
    assert place[1] == -1
    journal.close()


def test_conditions_stay_until_the_journal_is_cleared(journal_file):
    """The first line is what the records were made under; with no record in it, those of the one who opens it."""
    journal = Journal(journal_file, {"a": 2})
    assert journal.conditions == {"a": 1}
    journal.clear({"a": 2})
    journal.close()
    journal = Journal(journal_file, {"a": 3})
    assert (journal.conditions, len(journal)) == ({"a": 3}, 0)
    journal.close()
