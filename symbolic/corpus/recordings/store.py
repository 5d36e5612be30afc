"""A folder of recordings as notes and phrases on disk, examined once: what a voice is learned from.

STORE/notes.json     format, fingerprint of the folder, a verdict for each file, the notes: file, place, frames, label, split.
STORE/*.f32          plain float32, phrase after phrase: `sound` at 48 kHz (192 a frame), `low` the same at 16 kHz (64 a frame), and a
                     value a frame of `pitch` (hertz), `loudness` (decibels) and `periodicity`. Read through memory maps.

Every tenth note is held out. Recordings of the same note at the same dynamic, however long, are on the same side; what has no label is
told apart by file, or by phrase where there are few files. The split depends on names and places only.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from symbolic.corpus.recordings.labels import Label, label_of, note_name
from symbolic.corpus.recordings.levels import evened_out, gains, level
from symbolic.corpus.recordings.phrases import FRAME_RATE, HOP, LOW_HOP, phrases
from symbolic.corpus.recordings.pieces import find_recordings, pieces
from symbolic.dsp.a_weighting import RANGE_DB
from symbolic.errors import InputError
from symbolic.files import new_folder
from symbolic.rendering.recordings import Recording

FORMAT = 3
ARRAYS = {"sound": HOP, "low": LOW_HOP, "pitch": 1, "loudness": 1, "periodicity": 1}  # values a frame
HELD_OUT_EVERY, FIRST_HELD_OUT = 10, 4
MANY_FILES = 20


@dataclass
class Note:
    """A note or phrase: `frames` from `first` on in the arrays; `start` is in seconds into `file`; `note` is a MIDI number or None."""

    file: str
    start: float
    first: int
    frames: int
    note: int | None
    dynamic: str
    held_out: bool = False

    @property
    def name(self) -> str:
        """A short name: the label, or file and place."""
        label = f"{note_name(self.note)} {self.dynamic}".strip() if self.note is not None else ""
        return label or f"{Path(self.file).stem} {clock(self.start)}"


class Recordings:
    """The notes of a store. Raises `InputError` when the folder is none, or of another version."""

    def __init__(self, folder: Path) -> None:
        path = folder / "notes.json"
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: no examined recordings are there ({error}); start again without --resume") from error
        if content.get("format") != FORMAT:
            raise InputError(f"{path}: made by another version (format {content.get('format')}, this one reads {FORMAT}); start again")
        self.notes = [Note(**note) for note in content["notes"]]
        self.fingerprint: str = content["fingerprint"]
        self.verdicts: list[str] = content["verdicts"]
        frames = sum(note.frames for note in self.notes)
        self._arrays = {name: np.memmap(folder / f"{name}.f32", np.float32, "r", shape=(frames * width,)) for name, width in ARRAYS.items()}

    def array(self, name: str, note: Note, first: int = 0, frames: int | None = None) -> np.ndarray:
        """The values of frames `first` … of a note; `name` is one of `ARRAYS`."""
        width = ARRAYS[name]
        start, count = note.first + first, note.frames - first if frames is None else frames
        return np.asarray(self._arrays[name][start * width : (start + count) * width])

    def chosen(self, held_out: bool) -> list[Note]:
        """The notes to learn from, or those held out."""
        return [note for note in self.notes if note.held_out == held_out]

    def minutes(self, held_out: bool) -> float:
        """How long these sound together."""
        return sum(note.frames for note in self.chosen(held_out)) / FRAME_RATE / 60


def examine(folder: Path, store: Path, progress: Callable[[int, int], None] | None = None) -> Recordings:
    """Read the recordings below `folder` into `store`; what lies there is taken as it is if the folder has not changed since.

    Raises `InputError` when nothing, or not even two notes, can be learned from.
    """
    paths = find_recordings(folder)
    fingerprint = _fingerprint(folder, paths)
    if (store / "notes.json").is_file():
        found = Recordings(store)
        if found.fingerprint == fingerprint:
            return found
    with new_folder(store, force=True) as partial:
        streams = {name: (partial / f"{name}.f32").open("wb") for name in ARRAYS}
        try:
            notes, verdicts = _read(folder, paths, streams, progress)
        finally:
            for stream in streams.values():
                stream.close()
        if len(notes) < 2:
            reason = f"; {verdicts[0]}" if verdicts else ""
            raise InputError(f"{folder}: {len(notes) or 'no'} note or phrase in {len(paths)} files to learn from, two are needed{reason}")
        verdicts += _put_back_levels(notes, partial)
        hold_out(notes)
        content = {"format": FORMAT, "fingerprint": fingerprint, "verdicts": verdicts, "notes": [asdict(note) for note in notes]}
        (partial / "notes.json").write_text(json.dumps(content) + "\n")
    return Recordings(store)


def hold_out(notes: list[Note]) -> None:
    """Mark every tenth group of notes, at least one and never all, spread over the compass and the dynamics."""
    groups: dict[tuple[object, ...], list[Note]] = defaultdict(list)
    many = len({note.file for note in notes}) >= MANY_FILES
    for note in notes:
        if note.note is not None:
            groups[0, note.note, note.dynamic].append(note)
        else:
            groups[(1, note.file) if many else (1, note.file, note.start)].append(note)
    ordered = [groups[key] for key in sorted(groups, key=str)]
    for index, group in enumerate(ordered):
        for note in group:
            note.held_out = index % HELD_OUT_EVERY == min(FIRST_HELD_OUT, len(ordered) - 1)
    if len(ordered) == 1:  # one note again and again: the last of them
        for note in notes:
            note.held_out = note is notes[-1]


def clock(seconds: float) -> str:
    """75.2 → "1:15.2"."""
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _read(
    folder: Path, paths: list[Path], streams: Mapping[str, IO[bytes]], progress: Callable[[int, int], None] | None
) -> tuple[list[Note], list[str]]:
    notes: list[Note] = []
    verdicts: list[str] = []
    frames = 0
    for number, path in enumerate(paths):
        name, label = str(path.relative_to(folder)), label_of(path)
        try:
            with Recording(path) as recording:
                told: list[tuple[float, float, str]] = []
                usable = 0
                for piece in pieces(recording):
                    for phrase in phrases(piece, label):
                        if phrase.fault or phrase.doubt:
                            told.append((phrase.start, phrase.seconds, phrase.fault or phrase.doubt))
                        if phrase.fault:
                            continue
                        for array, stream in streams.items():
                            stream.write(getattr(phrase, array).tobytes())
                        heard = None if label.note is None else _heard(phrase.pitch, phrase.periodicity)
                        notes.append(Note(name, phrase.start, frames, len(phrase.pitch), heard, label.dynamic))
                        frames += len(phrase.pitch)
                        usable += 1
                verdicts.extend(_verdicts(name, recording, told, usable, label))
        except InputError as error:
            verdicts.append(f"{str(error).replace(str(path), name, 1)}; left out")
        if progress:
            progress(number + 1, len(paths))
    return notes, verdicts


def _put_back_levels(notes: list[Note], store: Path) -> list[str]:
    """Bring the notes in `store` to the levels of their dynamics where a library evened these out; a line that says so."""
    arrays = {name: np.memmap(store / f"{name}.f32", np.float32, "r+") for name in ("sound", "low", "loudness")}
    parts = [{name: array[note.first * ARRAYS[name] : (note.first + note.frames) * ARRAYS[name]] for name, array in arrays.items()}
             for note in notes]  # fmt: skip
    found, dynamics = [level(part["loudness"]) for part in parts], [note.dynamic for note in notes]
    medians = evened_out(found, dynamics)
    if medians is None:
        return []
    for part, gain in zip(parts, gains(found, dynamics), strict=True):
        for name in ("sound", "low"):
            part[name] *= np.float32(10 ** (gain / 20))
        part["loudness"][:] = np.maximum(part["loudness"] + np.float32(gain), -RANGE_DB)
    for array in arrays.values():
        array.flush()
    soft, loud = medians
    return [
        f"soft notes ({soft:.0f} dB) are hardly softer than loud ones ({loud:.0f} dB): levels were put back by the dynamics in the names"
    ]


def _heard(pitch: np.ndarray, periodicity: np.ndarray) -> int:
    """The MIDI number of a labelled note, as it sounds."""
    return round(float(np.median(69 + 12 * np.log2(pitch[periodicity >= min(0.5, float(periodicity.max()))] / 440))))


def _verdicts(name: str, recording: Recording, told: list[tuple[float, float, str]], usable: int, label: Label) -> list[str]:
    """A line for each thing that a person should know about a file; the same reason in a row of phrases is one."""
    lines = [f"{name}: {note}" for note in recording.notes()]
    if not usable and not told and recording.peak > 0:
        lines.append(f"{name}: nothing in it is louder than a whisper for a twelfth of a second; left out")
    if recording.sample_rate < 32000 and usable:
        lines.append(f"{name}: {recording.sample_rate} Hz: it tells nothing above {recording.sample_rate / 2000:g} kHz")
    merged: list[tuple[float, float, str]] = []
    for start, seconds, reason in told:
        if merged and merged[-1][2] == reason:
            merged[-1] = (merged[-1][0], start + seconds, reason)
        else:
            merged.append((start, start + seconds, reason))
    for start, end, reason in merged:
        lines.append(f"{name}: {clock(start)} to {clock(end)}: {reason}{'' if 'believed' in reason else '; left out'}")
    return lines


def _fingerprint(folder: Path, paths: list[Path]) -> str:
    facts = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(json.dumps([FORMAT, facts]).encode()).hexdigest()
