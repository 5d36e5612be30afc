"""Outputs appear whole or not at all, nothing is replaced unasked, and what goes wrong is told in one line."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from symbolic.errors import InputError
from symbolic.files import new_file, new_folder, refuse_existing

Output = Callable[..., AbstractContextManager[Path]]
NOBODY = 65534


def fill(temporary: Path, text: str) -> None:
    """Write `text` into the output, be it a file or a folder."""
    (temporary / "inside.txt" if temporary.is_dir() else temporary).write_text(text)


def content(path: Path) -> str:
    return (path / "inside.txt" if path.is_dir() else path).read_text()


def message(caught: pytest.ExceptionInfo[InputError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user who owns nothing, when the tests run as root, for whom nothing is forbidden."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


both = pytest.mark.parametrize("output", [new_file, new_folder])


@both
def test_an_output_appears_when_it_is_complete(output: Output, tmp_path: Path):
    """While it is written nothing stands under its name; then it does, with its folders, and nothing else is left."""
    path = tmp_path / "deep" / "er" / "song.wav"
    with output(path) as temporary:
        fill(temporary, "whole")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert content(path) == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_temporary_file_keeps_the_suffix(tmp_path: Path):
    """Libraries choose the format by the suffix, so the temporary name ends like the name."""
    with new_file(tmp_path / "song.flac") as temporary:
        assert temporary.suffix == ".flac"
        assert temporary.name.startswith(".")


@both
@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_after_any_failure_nothing_is_left(output: Output, failure: BaseException, tmp_path: Path):
    """An exception of any kind goes on to the caller, and neither the output nor its temporary form remains."""

    def fail() -> None:
        with output(tmp_path / "out.mid") as temporary:
            fill(temporary, "half")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert list(tmp_path.iterdir()) == []


@both
def test_a_failure_leaves_what_was_there(output: Output, tmp_path: Path):
    """With `force` the old output stays untouched until the new one is complete."""
    path = tmp_path / "out.mid"
    with output(path) as temporary:
        fill(temporary, "old")

    def fail() -> None:
        with output(path, force=True) as temporary:
            fill(temporary, "half")
            assert content(path) == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert content(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


@both
def test_an_existing_output_is_refused_before_anything_is_done(output: Output, tmp_path: Path):
    """Without `force` the body does not even run, and the refusal names the output and the way out."""
    path = tmp_path / "out.mid"
    path.write_text("old")
    with pytest.raises(InputError, match="--force") as caught, output(path):
        pytest.fail("the body ran")
    assert message(caught).startswith(f"{path}: ")
    assert path.read_text() == "old"
    refuse_existing(path, force=True)
    refuse_existing(tmp_path / "other", force=False)


@both
def test_force_replaces(output: Output, tmp_path: Path):
    """With `force` the new output takes the place of the old, all of it, and nothing else is left."""
    path = tmp_path / "out"
    for text in ("old", "new"):
        with output(path, force=True) as temporary:
            fill(temporary, text)
            if temporary.is_dir():
                (temporary / f"only {text}").touch()
    assert content(path) == "new"
    assert list(tmp_path.iterdir()) == [path]
    if path.is_dir():
        assert sorted(p.name for p in path.iterdir()) == ["inside.txt", "only new"]


def test_force_replaces_a_file_or_a_link_by_a_folder(tmp_path: Path):
    """A file, or a link to a folder, in the way goes with `force`; the folder that a link points to stays."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("old")
    for name in ("link", "file"):
        with new_folder(tmp_path / name, force=True) as temporary:
            fill(temporary, "new")
        assert content(tmp_path / name) == "new"
        assert not (tmp_path / name).is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "file", "link"]
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_a_file_does_not_replace_a_folder(tmp_path: Path):
    """A folder under the name of a file is refused even with `force`, and keeps what is in it."""
    (tmp_path / "out.mid").mkdir()
    (tmp_path / "out.mid" / "precious").touch()
    with pytest.raises(InputError, match="cannot be written") as caught, new_file(tmp_path / "out.mid", force=True) as temporary:
        temporary.write_text("new")
    assert message(caught).startswith(f"{tmp_path / 'out.mid'}: ")
    assert [p.name for p in tmp_path.rglob("*")] == ["out.mid", "precious"]


@both
def test_rights_are_those_of_any_new_file(output: Output, tmp_path: Path):
    """The temporary form is private, the output is not: its mode is what the umask gives."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with output(tmp_path / "out") as temporary:
        is_folder = temporary.is_dir()
    expected = (tmp_path / ("folder" if is_folder else "file")).stat().st_mode
    assert (tmp_path / "out").stat().st_mode == expected


@both
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_told(output: Output, tmp_path: Path):
    """The system's own "no space left", from a device that is always full, becomes one line, and nothing is left."""
    with pytest.raises(InputError, match="the disk is full") as caught, output(tmp_path / "out.wav"):
        Path("/dev/full").write_text("sound")
    assert message(caught).startswith(f"{tmp_path / 'out.wav'}: ")
    assert list(tmp_path.iterdir()) == []


@both
def test_a_write_that_the_system_cuts_is_told(output: Output, tmp_path: Path):
    """When the system allows only 4 kB, a longer output is refused in one line and nothing of it is left."""
    path = tmp_path / "out.wav"
    code = f"""
import resource
from pathlib import Path
from symbolic.errors import InputError
from symbolic.files import {output.__name__}
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with {output.__name__}(Path({str(path)!r})) as temporary:
        (temporary / "inside" if temporary.is_dir() else temporary).write_bytes(bytes(10_000))
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{path}: cannot be written (File too large)")
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@both
def test_a_killed_run_leaves_no_output(output: Output, tmp_path: Path):
    """A process that dies in the middle, with no time to clean up, leaves nothing under the output's name."""
    path = tmp_path / "out.wav"
    code = f"""
import os, signal
from pathlib import Path
from symbolic.files import {output.__name__}
with {output.__name__}(Path({str(path)!r})) as temporary:
    (temporary / "inside" if temporary.is_dir() else temporary).write_bytes(bytes(10_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not path.exists()
    assert all(p.name.startswith(".partial-") for p in tmp_path.iterdir())


@both
def test_a_place_that_cannot_be_written_is_told(output: Output, tmp_path: Path):
    """Below a file, under a name too long, or in a folder without rights: one line with the output and the reason."""
    (tmp_path / "file").touch()
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for path in (tmp_path / "file" / "out.mid", tmp_path / ("x" * 300), locked / "out.mid"):
        with pytest.raises(InputError, match="cannot be written") as caught, without_rights(), output(path):
            pytest.fail("the body ran")
        assert message(caught).startswith(f"{path}: ")
    assert list(locked.iterdir()) == []


def test_a_failure_of_another_file_names_that_file(tmp_path: Path):
    """When the body cannot read its input, the line names the input too, not only the output."""
    with pytest.raises(InputError, match=r"missing-input\.mid") as caught, new_file(tmp_path / "out.mid"):
        (tmp_path / "missing-input.mid").read_bytes()
    assert "out.mid: cannot be written (No such file" in message(caught)
