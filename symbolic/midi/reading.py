"""Reading what people hold in their hands into a `symusic.Score`, and writing it back.

Times are ticks. What is no music is refused with one line that says why.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from symusic.core import ScoreQuarter, ScoreSecond, ScoreTick

from symbolic.errors import InputError
from symbolic.files import new_file

if TYPE_CHECKING:
    import music21
    import pretty_midi

MIDI_SUFFIXES = (".mid", ".midi")


def read(
    source: "str | Path | bytes | ScoreTick | ScoreQuarter | ScoreSecond | pretty_midi.PrettyMIDI | music21.stream.Stream",
) -> ScoreTick:
    """Read a MIDI file, its bytes, a `pretty_midi.PrettyMIDI` or a music21 stream.

    A `Score` in ticks is given back as it is, one in quarters or seconds is brought to ticks.
    Raises `InputError` for a missing or empty file, a folder, text named .mid, a truncated file, and a file without notes.
    """
    if isinstance(source, ScoreTick):
        return source
    if isinstance(source, (ScoreQuarter, ScoreSecond)):
        return cast("ScoreTick", source.to("tick"))
    if isinstance(source, bytes):
        return _parse(source, "these bytes")
    if isinstance(source, (str, Path)):
        return _parse(_contents(Path(source)), str(source))
    return _parse(_midi_bytes_of(source), f"this {type(source).__name__}")


def write(score: ScoreTick, path: str | Path, force: bool = False) -> None:
    """Write a score as a MIDI file, whole or not at all. Raises `InputError` when `path` exists, unless `force`."""
    with new_file(Path(path), force) as temporary:
        temporary.write_bytes(score.dumps_midi())


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        near = [p.name for p in sorted(path.parent.glob("*.mid"))[:3]] if path.parent.is_dir() else []
        hint = f"; in that folder: {', '.join(near)}" if near else "; check the spelling"
        raise InputError(f"{path}: no such file{hint}") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: this is a folder, a MIDI file is wanted") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _parse(data: bytes, name: str) -> ScoreTick:
    if not data:
        raise InputError(f"{name}: the file is empty (0 bytes)")
    if data[:4] != b"MThd":
        kind = "a RIFF file" if data[:4] == b"RIFF" else "text" if _looks_like_text(data) else "something else"
        raise InputError(f"{name}: not a MIDI file: it begins with {data[:4]!r}, not b'MThd' ({kind}); MIDI files (.mid, .midi) are read")
    try:
        score = ScoreTick.from_midi(data)
    except Exception as error:  # symusic raises many types for malformed files
        raise InputError(f"{name}: this MIDI file is damaged or cut short ({len(data)} bytes read; {error})") from error
    if score.ticks_per_quarter <= 0:
        raise InputError(f"{name}: the header says {score.ticks_per_quarter} ticks per quarter note, so no time can be told")
    if score.note_num() == 0:
        raise InputError(f"{name}: no notes in it ({len(score.tracks)} tracks); a file cut short also looks like this")
    return score


def _looks_like_text(data: bytes) -> bool:
    return all(byte in (9, 10, 13) or 32 <= byte < 127 or byte > 127 for byte in data[:256])


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
