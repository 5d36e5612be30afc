"""One file of music made into one piece of a dataset, or into the reason why it is none.

This runs in a worker (`workers`); what it hands back are the bytes that go into the journal.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from symusic.core import ScoreTick

from symbolic.corpus.duplicates import Fingerprint, fingerprint
from symbolic.corpus.examination import examine
from symbolic.corpus.journal import Parts
from symbolic.corpus.workers import Failure
from symbolic.errors import InputError
from symbolic.midi.folder import MusicFile
from symbolic.midi.keys import detect_key, key_name
from symbolic.midi.meter import last_note_end, meter_sections
from symbolic.midi.reading import Reading, read_bytes
from symbolic.tokenizers.remi import Encoding, RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType

MEGABYTE = 2**20
KINDS = (  # of what readers and the tokenizer refuse, by words of the reason
    ("still at work", "too slow"),
    ("out of memory", "out of memory"),
    ("its reader failed", "reader crashed"),
    ("bytes, more than", "too large"),
    ("more than the", "too large"),
    ("when unpacked", "too large"),
    ("too large", "too large"),
    ("password", "locked"),
    ("cannot be read", "unreadable"),
    ("cannot be opened", "unreadable"),
    ("file is empty", "empty"),
    ("no notes", "no notes"),
    ("no time", "no time"),
    ("not a music file", "no music"),
    ("not music", "no music"),
    ("not a MIDI file", "no music"),
    ("no MIDI", "no music"),
    ("damaged", "damaged"),
    ("cut short", "damaged"),
    ("bytes in all", "damaged"),
    ("broken", "runaway"),
    ("XML entity", "runaway"),
    ("elements deep", "runaway"),
)


@dataclass(frozen=True)
class Piece:
    """A tokenized file: `ids` uint16 (T,) from BOS to EOS, its row of the manifest, and the facts of the report."""

    ids: np.ndarray
    row: dict[str, Any]
    fingerprint: Fingerprint
    verdict: dict[str, Any]


@dataclass(frozen=True)
class Rejected:
    """A file that is no piece, with the reason. The reason does not name the file."""

    name: str
    failure: Failure
    format: str | None = None
    repairs: tuple[str, ...] = ()
    content: str | None = None


def tokenize_file(file: MusicFile, tokenizer: RemiTokenizer, max_megabytes: float = 64, seconds: float = 30) -> Piece | Rejected:
    """The piece in `file`, or why there is none. Only what a process should not outlive is raised: `MemoryError` and `SystemError`.

    `seconds` bound only those readers that have a process of their own; a bound for all is a worker's (`workers`).
    """
    reading: Reading | None = None
    content: str | None = None
    try:
        data = file.read(round(max_megabytes * MEGABYTE))
        content = hashlib.sha256(data).hexdigest()
        reading = read_bytes(data, file.name, seconds)
        encoding = tokenizer.encode(reading.score)
        return _piece(file, data, reading, encoding, tokenizer)
    except Exception as error:  # one bad file must not stop a run of thousands: it is counted and named
        _raise_when_deadly(error)
        failure = _failure(error, file, seconds)
        if reading is None:
            return Rejected(file.name, failure, content=content)
        return Rejected(file.name, failure, reading.format, tuple(reading.repairs), content)


def make_recorder(settings: TokenizerSettings, max_megabytes: float, seconds: float) -> Callable[[MusicFile], Parts]:
    """What a worker does: a function from a file to the parts of its record in the journal."""
    tokenizer = RemiTokenizer(settings)

    def record(file: MusicFile) -> Parts:
        outcome = tokenize_file(file, tokenizer, max_megabytes, seconds)
        if isinstance(outcome, Rejected):
            return rejected_record(outcome)
        return _json({"row": outcome.row, "verdict": outcome.verdict}), outcome.fingerprint.to_bytes(), outcome.ids.astype("<u2").tobytes()

    return record


def rejected_record(rejected: Rejected) -> Parts:
    """The parts of the record of a file that is no piece: no fingerprint, no ids."""
    verdict = _verdict(rejected.name, "skipped", rejected.format, rejected.repairs, rejected.content)
    return _json({"verdict": verdict | {"kind": rejected.failure.kind, "reason": rejected.failure.reason}}), b"", b""


def excluded_verdict(name: str, pattern: str) -> dict[str, Any]:
    """The verdict on a file that was left out on request."""
    return _verdict(name, "excluded") | {"kind": "excluded", "reason": f"left out by --exclude {pattern!r}"}


def _piece(file: MusicFile, data: bytes, reading: Reading, encoding: Encoding, tokenizer: RemiTokenizer) -> Piece:
    vocabulary, score = tokenizer.vocabulary, reading.score
    marks = fingerprint(data, score)
    verdict = _verdict(file.name, "kept", reading.format, reading.repairs, marks.content.hex())
    verdict["facts"] = examine(reading, encoding, tokenizer)
    ids = np.concatenate([[vocabulary.bos], encoding.ids, [vocabulary.eos]]).astype(np.uint16)
    verdict |= {"notes_hash": marks.notes.hex(), "shape_hash": marks.shape.hex()}
    return Piece(ids, _row(file, score, ids, vocabulary.types[encoding.ids], marks), marks, verdict)


def _row(file: MusicFile, score: ScoreTick, ids: np.ndarray, types: np.ndarray, marks: Fingerprint) -> dict[str, Any]:
    _, numerator, denominator = meter_sections(score)[0]
    folders = PurePosixPath(file.name).parts[:-1]
    return {
        "path": file.name,
        "collection": folders[0] if folders else "",
        "content": marks.content.hex(),
        "tokens": len(ids),
        "notes": int((types == TokenType.VELOCITY).sum()),
        "bars": int((types == TokenType.BAR).sum()),
        "beats": last_note_end(score) / score.ticks_per_quarter,
        "key": key_name(detect_key(score)),
        "meter": f"{numerator}/{denominator}",
        "programs": sorted({-1 if track.is_drum else track.program for track in score.tracks if len(track.notes)}),
    }


def _verdict(
    name: str, verdict: str, format_: str | None = None, repairs: Sequence[str] = (), content: str | None = None
) -> dict[str, Any]:
    return {
        "path": name, "verdict": verdict, "reason": None, "kind": None, "format": format_, "repairs": list(repairs), "content": content,
        "facts": None, "cluster": None, "split": None,
    }  # fmt: skip


def too_slow(seconds: float) -> Failure:
    """The failure of a file that takes longer than it may."""
    return Failure("too slow", f"too slow: over {seconds:g} s")


def _failure(error: Exception, file: MusicFile, seconds: float) -> Failure:
    if isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError):
        return Failure("disappeared", "gone since the folder was listed")
    if not isinstance(error, InputError):
        return Failure("reader error", f"{type(error).__name__}: {error}")
    reason = str(error).removeprefix(f"{file.name}: ")
    kind = next((kind for words, kind in KINDS if words in reason), "not understood")
    return too_slow(seconds) if kind == "too slow" else Failure(kind, reason)


def _raise_when_deadly(error: BaseException | None) -> None:
    """Running out of memory, or an extension module in disorder, is the worker's end, also where a reader has made another error of it."""
    while error is not None:
        if isinstance(error, (MemoryError, SystemError)):
            raise error
        error = error.__cause__ or error.__context__


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
