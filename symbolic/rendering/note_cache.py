"""Notes that were rendered before, on disk, so that a note of a slow voice is made once.

FOLDER/ab/abcdef….note    one note: a line of JSON with its shape, type and checksum, then its numbers; written beside and renamed
FOLDER/size               bytes in all; held locked by whoever adds or removes, so that several processes keep one bound

A note's file is touched when it is used, and the one that was not used for longest goes first. What cannot be read counts as missing,
and a cache that cannot be written says so once and keeps nothing: rendering goes on.
"""

import contextlib
import errno
import hashlib
import json
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # no such locks here: with several processes the bound is kept only roughly
    fcntl = None  # type: ignore[assignment]

LIMIT = 512 * 2**20
KEPT_SHARE = 0.9  # of the bound is left after old notes went, so that this is seldom
ABANDONED = 600.0  # seconds after which a note half written is taken for abandoned
KINDS = ("uint8", "int16", "float32")


@dataclass(frozen=True)
class NoteKey:
    """What makes a rendered note: the voice's fingerprint, MIDI pitch, velocity, length in samples, and what else it depends on."""

    voice: str
    pitch: float
    velocity: float
    samples: int
    more: str = ""


class NoteCache:
    """Notes by `NoteKey`, `limit` bytes of them at most. `tell` gets the one line about a cache that cannot be used."""

    def __init__(self, folder: str | Path | None = None, limit: int = LIMIT, tell: Callable[[str], object] | None = None) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.limit, self.tell = limit, tell or (lambda line: print(line, file=sys.stderr))
        self.broken = limit <= 0
        self.counted = False

    def get(self, key: NoteKey) -> np.ndarray | None:
        """The note's numbers as they were put, or None."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        found = _unpacked(content)
        with contextlib.suppress(OSError):
            if found is None:
                path.unlink()  # damaged: made anew
            else:
                os.utime(path)
        return found

    def put(self, key: NoteKey, note: np.ndarray) -> None:
        """Keep a note, of one of the types `KINDS`; one larger than the whole bound is not kept."""
        content = _packed(note)
        if self.broken or len(content) > self.limit:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked() as total:
                before = path.stat().st_size if path.exists() else 0
                _write(path, content)
                total[0] += len(content) - before
                if total[0] > self.limit:
                    total[0] = self._shrunk(path)
        except OSError as error:
            self.broken = True
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            reason = "the disk is full" if full else error.strerror or str(error)
            self.tell(f"{self.folder}: rendered notes cannot be kept here ({reason}); rendering goes on without this cache")

    def size(self) -> int:
        """Bytes of all notes in it, counted."""
        return sum(size for _, size, _ in self._entries())

    def _path(self, key: NoteKey) -> Path:
        told = asdict(key) | {"pitch": round(float(key.pitch), 4), "velocity": round(float(key.velocity), 4), "samples": int(key.samples)}
        name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.note"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[list[int]]:
        """The bytes in all as a list of one, to be changed while no other process does."""
        with (self.folder / "size").open("a+") as stream:
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            text = stream.read()
            total = [int(text) if self.counted and text.isdigit() else self.size()]
            self.counted = True  # the first time each process counts for itself, whatever happened before
            yield total
            stream.truncate(0)
            stream.write(str(total[0]))

    def _shrunk(self, newest: Path) -> int:
        """Remove the notes that were not used for longest; gives the bytes left."""
        for partial in self.folder.glob("??/.partial-*"):  # of a process that was killed
            with contextlib.suppress(OSError):
                if partial.stat().st_mtime < time.time() - ABANDONED:
                    partial.unlink()
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.limit * KEPT_SHARE:
                break
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size
        return total

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """When it was last used (nanoseconds), bytes, path."""
        for path in self.folder.glob("??/*.note"):
            with contextlib.suppress(OSError):  # gone meanwhile
                status = path.stat()
                yield status.st_mtime_ns, status.st_size, path


def default_folder() -> Path:
    """`symbolic/notes` in the user's folder of caches."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path(os.path.expanduser("~")) / ".cache") / "symbolic" / "notes"


def _packed(note: np.ndarray) -> bytes:
    if note.dtype.name not in KINDS:
        raise ValueError(f"a note of the type {note.dtype}; {', '.join(KINDS)} can be kept")
    numbers = np.ascontiguousarray(note).tobytes()
    head = {"kind": note.dtype.name, "shape": list(note.shape), "sum": zlib.crc32(numbers)}
    return json.dumps(head).encode() + b"\n" + numbers


def _unpacked(content: bytes) -> np.ndarray | None:
    """The note, or None for what is damaged."""
    line, _, numbers = content.partition(b"\n")
    try:
        head: dict[str, Any] = json.loads(line)
        if head["kind"] not in KINDS or zlib.crc32(numbers) != head["sum"]:
            return None
        return np.frombuffer(numbers, np.dtype(head["kind"])).reshape(head["shape"]).copy()
    except (ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
