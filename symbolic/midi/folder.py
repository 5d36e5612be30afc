"""A folder of music: which files it holds, also inside zip archives and tune books, and how each is read again.

Names that begin with a dot are left out (`._song.mid` is no song, `.partial-x.mid` not finished), and so is `__MACOSX`.
What looks like music and cannot be opened stays in the list, and says why when it is read: nothing is lost without a word.
An archive inside an archive is listed as one file and not opened.
"""

import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from symbolic.errors import InputError
from symbolic.midi.archive import Member, members, unpacked
from symbolic.midi.reading import MIDI_SUFFIXES, NOTATION_SUFFIXES, is_hidden
from symbolic.midi.tunebooks import Tune, tune_bytes, tunes

SUFFIXES = (*MIDI_SUFFIXES, *NOTATION_SUFFIXES, ".zip")
LARGEST = 64 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class MusicFile:
    """One piece of music: a file, a member of a zip archive, or a tune of a book, which `name` tells apart.

    `path` is the file on disk, `member` the name inside an archive, `size` the bytes when unpacked, `stamp` the time of the last
    change of the file on disk in nanoseconds.
    """

    name: str
    path: Path
    member: str | None
    size: int
    stamp: int
    place: Member | None = None
    tune: Tune | None = None
    trouble: str = ""

    def read(self, limit: int = LARGEST) -> bytes:
        """The bytes. Raises `InputError` when they cannot be read or are more than `limit`."""
        try:
            if self.trouble:
                raise InputError(self.trouble)
            if self.size > limit:
                raise InputError(f"{self.size:,} bytes, more than the {limit:,} that are read")
            with self.path.open("rb") as stream:
                data = unpacked(stream, self.place, limit) if self.place else stream.read(limit + 1 if self.tune is None else LARGEST)
            data = tune_bytes(data, self.tune) if self.tune else data
            if len(data) > limit:
                raise InputError(f"more than the {limit:,} bytes that are read")
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({error.strerror})") from error
        return data


def music_files(folder: str | Path, others: Counter[str] | None = None) -> list[MusicFile]:
    """All music below a folder, or in a zip archive, sorted by name.

    A file counts by its suffix, or when it has another and its first bytes are those of MIDI. What does not count is
    counted in `others`, by suffix ("" for none).
    Raises `InputError` when there is no such folder or no music in it.
    """
    folder, others = Path(folder), Counter() if others is None else others
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; check the spelling")
    if folder.is_dir():
        found = [music for entry in _files(folder) for music in _in_entry(entry, folder, others)]
    elif folder.suffix.lower() == ".zip":
        status = folder.stat()
        found = list(_in_archive(folder, "", status.st_size, status.st_mtime_ns, others))
    else:
        raise InputError(f"{folder}: this is a file; a folder of music, or a zip archive of one, is wanted")
    if not found:
        raise InputError(f"{folder}: no music in it; files ending in {', '.join(SUFFIXES)} are looked for, in folders below it too")
    return sorted(found, key=lambda music: music.name)


def _files(folder: Path) -> Iterator[os.DirEntry[str] | MusicFile]:
    """Every entry below a folder that is no folder; each folder once, links to folders after real ones. A locked folder is one entry."""
    folders, links = [os.fspath(folder)], list[str]()
    seen: set[tuple[int, int]] = set()
    while folders or links:
        current = folders.pop() if folders else links.pop()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                listed = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            yield _unreadable(Path(current), folder, f"this folder cannot be opened ({error.strerror})")
            continue
        for entry in listed:
            if not is_hidden(entry.name):
                if not entry.is_dir():
                    yield entry
                elif entry.is_symlink():
                    links.append(entry.path)
                else:
                    folders.append(entry.path)


def _in_entry(entry: "os.DirEntry[str] | MusicFile", folder: Path, others: Counter[str]) -> Iterator[MusicFile]:
    """The music that one entry is, or holds."""
    if isinstance(entry, MusicFile):
        yield entry
        return
    suffix = os.path.splitext(entry.name)[1].lower()
    path = Path(entry.path)
    try:
        regular, status = entry.is_file(), entry.stat()
    except OSError as error:
        if suffix in SUFFIXES:
            yield _unreadable(path, folder, f"cannot be read ({error.strerror})")
        return
    if not regular or (suffix not in SUFFIXES and not _is_midi(path)):
        others[suffix] += 1
        return
    name = _readable(path, folder)
    if suffix == ".zip":
        yield from _in_archive(path, name, status.st_size, status.st_mtime_ns, others)
    elif suffix == ".abc":
        yield from _in_book(MusicFile(name, path, None, status.st_size, status.st_mtime_ns))
    else:
        yield MusicFile(name, path, None, status.st_size, status.st_mtime_ns)


def _in_archive(path: Path, name: str, size: int, stamp: int, others: Counter[str]) -> Iterator[MusicFile]:
    """The music in a zip archive; the archive itself when it is damaged, or is one compressed score."""
    try:
        found = members(path)
    except InputError as error:
        yield MusicFile(name or path.name, path, None, size, stamp, trouble=str(error))
        return
    if not found:
        others[".zip"] += 1
    if any(member.name == "META-INF/container.xml" for member in found):
        yield MusicFile(name or path.name, path, None, size, stamp)
        return
    with path.open("rb") as stream:
        for member in found:
            suffix = os.path.splitext(member.name)[1].lower()
            if is_hidden(member.name):
                continue
            if suffix not in SUFFIXES and not _begins_as_midi(stream, member):
                others[suffix] += 1
                continue
            music = MusicFile(f"{name}/{member.name}" if name else member.name, path, member.name, member.size, stamp, member)
            yield from _in_book(music) if suffix == ".abc" else (music,)


def _in_book(music: MusicFile) -> Iterator[MusicFile]:
    """The tunes of an ABC file as pieces of their own, called `book.abc/0012`; the file itself when there is only one in it."""
    try:
        found = tunes(music.read())
    except InputError:
        found = []
    if len(found) < 2:
        yield music
        return
    width = len(str(len(found)))
    for number, tune in enumerate(found, 1):
        size = tune.head + tune.end - tune.start
        yield MusicFile(f"{music.name}/{number:0{width}}", music.path, music.member, size, music.stamp, music.place, tune)


def _begins_as_midi(stream: io.BufferedReader, member: Member) -> bool:
    if member.size < 14 or member.size > LARGEST:
        return False
    try:
        return _is_midi_start(unpacked(stream, member._replace(size=0), member.size)[:12])
    except InputError:
        return False


def _is_midi(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return _is_midi_start(stream.read(12))
    except OSError:
        return False


def _is_midi_start(first: bytes) -> bool:
    return first[:4] == b"MThd" or (first[:4] == b"RIFF" and first[8:12] == b"RMID")


def _unreadable(path: Path, folder: Path, reason: str) -> MusicFile:
    return MusicFile(_readable(path, folder), path, None, 0, 0, trouble=reason)


def _readable(path: Path, folder: Path) -> str:
    """The path below the folder as text that every format can hold: b"caf\\xe9.mid", in another encoding, is "caf\\xe9.mid" spelt out."""
    relative = os.fspath(path)[len(os.fspath(folder)) :].lstrip(os.sep) if folder != Path(".") else os.fspath(path)
    return os.fsencode(relative).decode("utf-8", "backslashreplace").replace(os.sep, "/")
