"""Reading what people hold in their hands into a `symusic.Score`, and writing it back.

Times are ticks. A file is what its bytes are, whatever its name: MIDI (also inside RIFF), MusicXML (also compressed), ABC, kern.
Sound MIDI goes straight through symusic; what it refuses, or would read with notes missing, is repaired first, and the repairs are told.
What is no music is refused with one line that says why.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from symusic.core import ScoreQuarter, ScoreSecond, ScoreTick

from symbolic.errors import InputError
from symbolic.files import new_file
from symbolic.midi.archive import Member, members, unpacked
from symbolic.midi.formats import UTF_16_MARKS, check_xml, decoded, format_of, inside_riff, is_macbinary
from symbolic.midi.isolation import SECONDS, read_isolated
from symbolic.midi.repair import repaired
from symbolic.midi.soundness import begun_notes
from symbolic.midi.tunebooks import tune_bytes, tunes

if TYPE_CHECKING:
    import music21
    import pretty_midi

MIDI_SUFFIXES = (".mid", ".midi", ".kar", ".rmi", ".smf")
NOTATION_SUFFIXES = (".xml", ".musicxml", ".mxl", ".abc", ".krn")
MUSICXML_SUFFIXES = (".musicxml", ".xml", ".mxl")
LARGEST_MEMBER = 64 * 2**20  # bytes of a score when it is unpacked


@dataclass(frozen=True)
class Reading:
    """A score, what its file was, and what was repaired in it, in plain phrases.

    `format` is "midi", "riff midi", "musicxml", "compressed musicxml", "abc" or "kern".
    """

    score: ScoreTick
    format: str
    repairs: tuple[str, ...] = ()


def read(
    source: "str | Path | bytes | ScoreTick | ScoreQuarter | ScoreSecond | pretty_midi.PrettyMIDI | music21.stream.Stream",
) -> ScoreTick:
    """Read a file of any of the formats, its bytes, a `pretty_midi.PrettyMIDI` or a music21 stream.

    A `Score` in ticks is given back as it is, one in quarters or seconds is brought to ticks.
    Raises `InputError` for a missing or empty file, a folder, what is no music, and a file without notes.
    """
    if isinstance(source, ScoreTick):
        return source
    if isinstance(source, (ScoreQuarter, ScoreSecond)):
        return cast("ScoreTick", source.to("tick"))
    if isinstance(source, bytes):
        return read_bytes(source, "these bytes").score
    if isinstance(source, (str, Path)):
        return read_bytes(contents(Path(source)), str(source)).score
    return read_bytes(_midi_bytes_of(source), f"this {type(source).__name__}").score


def read_bytes(data: bytes, name: str, seconds: float = SECONDS) -> Reading:
    """The score in the bytes of a file, what the file is, and what had to be repaired.

    `name` stands at the beginning of every message; MusicXML may take `seconds`.
    Raises `InputError` for what is no music, cannot be repaired or has no notes in it.
    """
    try:
        reading = _read(data, seconds)
        if reading.score.note_num() == 0:
            raise InputError("; ".join(["no notes in it", *reading.repairs]))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return reading


def write(score: ScoreTick, path: str | Path, force: bool = False) -> None:
    """Write a score, whole or not at all: MIDI, or MusicXML when `path` ends in .musicxml, .xml or .mxl.

    Raises `InputError` when `path` exists, unless `force`.
    """
    path = Path(path)
    if path.suffix.lower() in MUSICXML_SUFFIXES:
        from symbolic.midi.musicxml import compressed, musicxml

        content = musicxml(score, path.stem).encode()
        content = compressed(content) if path.suffix.lower() == ".mxl" else content
    else:
        content = score.dumps_midi()
    with new_file(path, force) as temporary:
        temporary.write_bytes(content)


def _read(data: bytes, seconds: float) -> Reading:
    kind = format_of(data)
    if kind == "midi":
        return _midi(data, kind, [])
    if kind == "riff midi":
        inside, remarks = inside_riff(data)
        return _midi(inside, kind, remarks)
    if kind == "zip":
        return _zip(data, seconds)
    if kind == "musicxml":
        check_xml(data)
        return _musicxml(data, kind, seconds)
    if kind == "kern":
        from symbolic.midi.kern import read_kern

        score, remarks = read_kern(decoded(data))
        return Reading(score, kind, tuple(remarks))
    from symbolic.midi.abc_notation import read_abc

    data = decoded(data).encode() if data[:2] in UTF_16_MARKS else data
    book = tunes(data)
    score, remarks = read_abc(decoded(tune_bytes(data, book[0]) if book else data))
    first = [f"a book of {len(book)} tunes, the first is read"] if len(book) > 1 else []
    return Reading(score, kind, (*first, *remarks))


def _midi(data: bytes, kind: str, remarks: list[str]) -> Reading:
    """symusic's score where the file is sound and none of its notes is lost; a repaired one otherwise."""
    division = int.from_bytes(data[12:14])
    reason = ""
    if len(data) >= 14 and data[:8] == b"MThd\x00\x00\x00\x06" and int.from_bytes(data[8:10]) < 2 and 0 < division < 0x8000:
        try:
            score = ScoreTick.from_midi(data)
        except Exception as error:  # symusic raises many types for malformed files
            reason = str(error)
        else:
            if begun_notes(data) == score.note_num():
                return Reading(score, kind, tuple(remarks))
    if is_macbinary(data):
        data, remarks = data[128:], [*remarks, "128 bytes of a MacBinary file before the header"]
    mended, repairs = repaired(data)
    try:
        return Reading(ScoreTick.from_midi(mended), kind, (*remarks, *repairs))
    except Exception as error:
        raise InputError(f"this MIDI file is damaged ({len(data)} bytes; {reason or error})") from error


def _musicxml(data: bytes, kind: str, seconds: float) -> Reading:
    check_xml(data)
    score, remarks = read_isolated(decoded(data), seconds)
    return Reading(score, kind, tuple(remarks))


def _zip(data: bytes, seconds: float) -> Reading:
    """Compressed MusicXML, or the one file of music in a zip archive."""
    found = members(data)
    score = musicxml_member(data, found)
    if score is not None:
        return _musicxml(unpacked(io.BytesIO(data), score, LARGEST_MEMBER), "compressed musicxml", seconds)
    suffixes = (*MIDI_SUFFIXES, *NOTATION_SUFFIXES)
    music = [member for member in found if member.name.lower().endswith(suffixes) and not is_hidden(member.name)]
    if len(music) != 1:
        raise InputError(f"a zip archive with {len(music)} files of music in it; unpack it, or give it to symbolic tokenize as a folder")
    inside = unpacked(io.BytesIO(data), music[0], LARGEST_MEMBER)
    if format_of(inside) == "zip" and musicxml_member(inside, members(inside)) is None:
        raise InputError("a zip archive inside a zip archive; unpack it first")
    return _read(inside, seconds)


def musicxml_member(data: bytes, found: list[Member]) -> Member | None:
    """The score in compressed MusicXML, which its META-INF/container.xml names; None when this is another zip archive."""
    by_name = {member.name: member for member in found}
    container = by_name.get("META-INF/container.xml")
    if container is None:
        return None
    listed = unpacked(io.BytesIO(data), container, 2**20)
    named = re.search(rb"<(?:\w+:)?rootfile\b[^>]*\bfull-path\s*=\s*[\"']([^\"']+)", listed)
    if named and decoded(named[1]) in by_name:
        return by_name[decoded(named[1])]
    others = [m for m in found if m.name.lower().endswith((".xml", ".musicxml")) and not m.name.startswith(("META-INF/", "__MACOSX/"))]
    if not others:
        raise InputError("compressed MusicXML without a score in it")
    return others[0]


def is_hidden(name: str) -> bool:
    """Whether a path such as `__MACOSX/._song.mid` is something that a system put there and no person."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def contents(path: Path) -> bytes:
    """The bytes of a file. Raises `InputError` when there are none to be had, naming its neighbours when it is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        suffixes = (*MIDI_SUFFIXES, *NOTATION_SUFFIXES)
        near = [p.name for p in sorted(path.parent.glob("*")) if p.suffix.lower() in suffixes][:3] if path.parent.is_dir() else []
        hint = f"; in that folder: {', '.join(near)}" if near else "; check the spelling"
        raise InputError(f"{path}: no such file{hint}") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: this is a folder, a file of music is wanted") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _midi_bytes_of(source: Any) -> bytes:
    """MIDI bytes of a `PrettyMIDI` or of a music21 stream, through its own writer."""
    import tempfile

    kind = type(source).__name__
    is_pretty_midi = hasattr(source, "instruments") and hasattr(source, "resolution")
    if not is_pretty_midi and not hasattr(source, "recurse"):
        raise InputError(f"a {kind} cannot be read as music; give a path, bytes, a PrettyMIDI or a music21 stream")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "score.mid"
        try:
            if is_pretty_midi:
                source.write(str(path))
            else:
                source.write("midi", fp=str(path))
            return path.read_bytes()
        except Exception as error:  # both writers raise many types for what they cannot say in MIDI
            raise InputError(f"this {kind}: its own library cannot write it as MIDI ({type(error).__name__}: {error})") from error
