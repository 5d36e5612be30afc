"""Rendered notes are kept on disk within a bound, whoever writes, and a cache that fails costs nothing but its use."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from symbolic.rendering.note_cache import NoteCache, NoteKey, default_folder


def a_note(number: int, size: int = 1000) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, size).astype(np.uint8)


def key(number: int, **fields: object) -> NoteKey:
    return NoteKey(**{"voice": "v", "pitch": 40.0 + number, "velocity": 90, "samples": 1000} | fields)  # type: ignore[arg-type]


def test_a_note_comes_back_for_its_own_key_alone(tmp_path):
    """The same numbers, type and shape; another voice, pitch, velocity, length or setting is another note."""
    cache = NoteCache(tmp_path / "notes")
    assert cache.get(key(1)) is None
    for number, note in enumerate((a_note(1), np.linspace(-1, 1, 9).astype(np.float32).reshape(3, 3), np.zeros(0, np.int16))):
        cache.put(key(number), note)
        back = NoteCache(tmp_path / "notes").get(key(number))
        assert back is not None
        assert back.dtype == note.dtype
        np.testing.assert_array_equal(back, note)
    for other in ({"voice": "w"}, {"pitch": 41.01}, {"velocity": 91}, {"samples": 999}, {"more": "temperature 0.8"}):
        assert cache.get(key(1, **other)) is None
    with pytest.raises(ValueError, match="float64"):
        cache.put(key(9), np.zeros(3))


def test_the_note_unused_for_longest_goes_first(tmp_path):
    """The bound holds after every note, and what was asked for lately stays."""
    cache = NoteCache(tmp_path, limit=10_000)
    for number in range(30):
        cache.put(key(number), a_note(number))
        assert cache.size() <= 10_000
        assert cache.get(key(0)) is not None
        time.sleep(0.002)  # times of files are in steps of some milliseconds at worst
    assert cache.get(key(29)) is not None
    assert cache.get(key(1)) is None
    cache.put(key(50), a_note(50, 20_000))
    assert cache.get(key(50)) is None
    assert cache.get(key(29)) is not None


def test_a_note_put_twice_counts_once(tmp_path):
    """Its bytes are counted once, so that nothing else goes for it."""
    cache = NoteCache(tmp_path, limit=100_000)
    cache.put(key(0), a_note(0))
    for size in (1000, 1000, 3000, 500):
        cache.put(key(1), a_note(1, size))
    assert cache.size() < 2000
    assert int((tmp_path / "size").read_text()) == cache.size()


def test_damaged_notes_are_made_anew(tmp_path):
    """A file cut short, changed or emptied is a miss and goes."""
    cache = NoteCache(tmp_path)
    for damage in (lambda content: content[:500], lambda content: content[:-1] + b"?", lambda _: b"", lambda _: b"[]\n"):
        cache.put(key(0), a_note(0))
        path = next(tmp_path.glob("??/*.note"))
        path.write_bytes(damage(path.read_bytes()))
        assert cache.get(key(0)) is None
        assert not path.exists()


def test_abandoned_partial_files_go(tmp_path):
    """What a killed process left half written goes when room is made; what is being written stays."""
    cache = NoteCache(tmp_path, limit=3000)
    cache.put(key(0), a_note(0))
    folder = next(tmp_path.glob("??"))
    old, new = folder / ".partial-old", folder / ".partial-new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (time.time() - 3600,) * 2)
    for number in range(1, 5):
        cache.put(key(number), a_note(number))
    assert not old.exists()
    assert new.exists()


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from symbolic.rendering.note_cache import NoteCache, NoteKey
folder, first, limit, wrong = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), 0
cache = NoteCache(folder, limit=limit)
(folder / f"ready-{first}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.001)
for number in range(first, first + 150):
    wanted = NoteKey("v", float(number), 90, 1000)
    note = np.random.default_rng(number).integers(0, 256, 1000).astype(np.uint8)
    found = cache.get(wanted)
    wrong += found is not None and not np.array_equal(found, note)
    cache.put(wanted, note)
print(wrong, cache.broken)
"""


@pytest.mark.parametrize(("other", "limit"), [(150, 10_000_000), (40, 60_000)])
def test_two_processes_share_a_cache(tmp_path, other, limit):
    """Both read whole notes only, and the bound and the count hold at the end, with notes of their own or the same ones."""
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(first), str(limit)], stdout=subprocess.PIPE, text=True)
        for first in (0, other)
    ]
    assert [process.communicate(timeout=120)[0].split() for process in processes] == [["0", "False"]] * 2
    cache = NoteCache(tmp_path)
    assert 0 < cache.size() <= limit
    assert len(list(tmp_path.glob("??/*.note"))) == 300 or limit == 60_000
    assert int((tmp_path / "size").read_text()) == cache.size()
    assert not list(tmp_path.glob("??/.partial-*"))


def test_a_note_is_not_added_while_another_process_counts(tmp_path):
    """Whoever adds waits for the lock, and adds then."""
    fcntl = pytest.importorskip("fcntl")
    cache = NoteCache(tmp_path)
    with (tmp_path / "size").open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        adding = threading.Thread(target=cache.put, args=(key(0), a_note(0)))
        adding.start()
        adding.join(0.2)
        assert adding.is_alive()
        assert cache.get(key(0)) is None
    adding.join(60)
    assert cache.get(key(0)) is not None


FULL = """
import resource, signal, sys
import numpy as np
from symbolic.rendering.note_cache import NoteCache, NoteKey
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
cache = NoteCache(sys.argv[1])
cache.put(NoteKey("v", 60, 90, 10), np.arange(10, dtype=np.int16))
for number in range(3):
    cache.put(NoteKey("v", 61 + number, 90, 9000), np.zeros(9000, np.int16))
print(cache.get(NoteKey("v", 60, 90, 10)).sum(), cache.get(NoteKey("v", 61, 90, 9000)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of file sizes on this system")
def test_a_full_disk_is_told_once(tmp_path):
    """One line, no half file, and what is there can still be used."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["45", "None"]
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path}: rendered notes cannot be kept here (the disk is full); rendering goes on" in done.stderr
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path):
    """A file in the folder's place: one line, and every note is a miss."""
    (tmp_path / "notes").write_text("no folder")
    lines: list[str] = []
    cache = NoteCache(tmp_path / "notes", tell=lines.append)
    for number in range(3):
        cache.put(key(number), a_note(number))
        assert cache.get(key(number)) is None
    assert len(lines) == 1
    assert str(tmp_path / "notes") in lines[0]


def test_where_it_lies(monkeypatch, tmp_path):
    """In the user's folder of caches; a bound of 0 keeps nothing and makes no folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "symbolic" / "notes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "symbolic" / "notes"
    NoteCache(tmp_path / "none", limit=0).put(key(0), a_note(0))
    assert not (tmp_path / "none").exists()
