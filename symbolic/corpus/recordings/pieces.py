"""The recordings of a folder as pieces of bounded length at 48 kHz, one channel, whatever rate, channels and length the files have.

A file is read in blocks; a piece ends where a file ends or, after a minute, at the most silent moment of its last ten seconds. A piece
is (S,) float32. Stereo becomes one channel: the mean, or the louder channel where the mean cancels most of the sound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from symbolic.dsp.resampling import Resampler
from symbolic.errors import InputError
from symbolic.rendering.recordings import Recording

SAMPLE_RATE = 48000
SUFFIXES = (".wav", ".wave", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".caf", ".au", ".w64", ".rf64")
PIECE_SECONDS = 60
SEARCHED_SECONDS = 10
CELL = 480  # samples, in which silence is looked for


@dataclass
class Piece:
    """`sound` (S,) float32 at 48 kHz begins `start` seconds into the file."""

    sound: np.ndarray
    start: float


def find_recordings(folder: Path) -> list[Path]:
    """The audio files below a folder, by name; hidden ones are left out. Raises `InputError` when there is none."""
    if folder.is_file():
        raise InputError(f"{folder}: this is a file, a folder of recordings is wanted; put it into one")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; a folder of recordings (WAV, FLAC, MP3) is wanted")
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        raise InputError(f"{folder}: no recordings in it; files that end in .wav, .flac, .mp3 or .ogg are looked for, also in its folders")
    return found


def pieces(recording: Recording) -> Iterator[Piece]:
    """The pieces of a file, in order. Raises `InputError` as `Recording` does."""
    resampler = Resampler(recording.sample_rate, SAMPLE_RATE, 1)
    held = np.zeros(0, np.float32)
    given = 0

    def ready(limit: int) -> Iterator[Piece]:
        nonlocal held, given
        while len(held) > limit:
            cut = _quietest(held[:limit]) if limit else len(held)
            yield Piece(held[:cut], given / SAMPLE_RATE)
            held, given = held[cut:], given + cut

    for block in recording.blocks():
        held = np.concatenate([held, resampler.process(_mono(block)[None])[0].astype(np.float32)])
        yield from ready(PIECE_SECONDS * SAMPLE_RATE)
    held = np.concatenate([held, resampler.flush()[0].astype(np.float32)])
    yield from ready(PIECE_SECONDS * SAMPLE_RATE)
    yield from ready(0)


def _mono(block: np.ndarray) -> np.ndarray:
    """(C, S) → (S,)."""
    if len(block) == 1:
        return block[0]
    mean = block.mean(0)
    energy = np.square(block).sum(1)
    return mean if np.square(mean).sum() > 0.1 * energy.max() else block[energy.argmax()]


def _quietest(sound: np.ndarray) -> int:
    """Where to cut: the middle of the quietest cell near the end."""
    tail = sound[-SEARCHED_SECONDS * SAMPLE_RATE :]
    cells = tail[: len(tail) // CELL * CELL].reshape(-1, CELL)
    return len(sound) - len(tail) + int(np.square(cells).sum(1).argmin()) * CELL + CELL // 2
