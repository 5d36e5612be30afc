"""Recordings read block by block, whatever their rate, width and number of channels: WAV, FLAC, OGG, MP3 and what libsndfile knows.

Sound is (channels, samples) float64, full scale is −1 … 1. What a file holds that is no sound is counted and told, not passed on:
samples that are no numbers become silence.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from symbolic.errors import InputError

BLOCK_SECONDS = 1.0
PIECE = 4096  # samples read at once: so many may be lost where a file is damaged
BLOCK_VALUES = 1 << 21  # in a block at most, over all channels
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000
LARGEST = 1e9  # a float above this, 180 dB beyond full scale, is no sample of sound
UNKNOWN = 1 << 60  # libsndfile says more than this for a file that does not tell its length


class Recording:
    """A recording being read; a context manager. Iterating over `blocks()` fills in the counts.

    Raises `InputError`, one line, for a path that is missing, a folder, empty, no audio, or without a single sample.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _opened(self.path)
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            self._file.close()
            limits = f"{LOWEST_RATE} … {HIGHEST_RATE} Hz"
            raise InputError(f"{self.path}: its sample rate, {self.sample_rate} Hz, is outside {limits}; is its header damaged?")
        self.expected = self._file.frames if 0 < self._file.frames < UNKNOWN else None  # samples, if the file tells
        self.samples = 0
        self.replaced = 0  # samples that were no numbers
        self.clipped = 0  # samples in runs at full scale
        self.beyond = 0  # samples of float files above full scale
        self.peak = 0.0
        self.damage = ""  # what libsndfile said where it could not go on
        # The highest whole number of 8 bits is 127 / 128, of 16 and more as good as 1.
        self._full = 0.992 if self._file.subtype in ("PCM_U8", "PCM_S8") else 0.9999

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def seconds(self) -> float:
        """Length so far, or when the file tells it the whole length."""
        return (self.expected or self.samples) / self.sample_rate

    def blocks(self, seconds: float = BLOCK_SECONDS) -> Iterator[np.ndarray]:
        """The sound as (channels, S) float64, in order, S bounded.

        A damaged file ends where the damage begins, and `notes` tells; raises `InputError` when nothing can be read before that.
        """
        size = max(PIECE, min(round(seconds * self.sample_rate), BLOCK_VALUES // self.channels))
        while not self.damage:
            pieces: list[np.ndarray] = []
            while sum(map(len, pieces)) < size and len(piece := self._piece()):
                pieces.append(piece)
            if not pieces:
                break
            yield self._examined(np.ascontiguousarray(np.concatenate(pieces).T))
        if not self.samples:
            broken = f"damaged from its beginning ({self.damage})" if self.damage else "an audio file without a single sample"
            raise InputError(f"{self.path}: {broken}; was its recording or its copy broken off?")

    def notes(self) -> list[str]:
        """What a person should know about what was read, a line each."""
        lines = []
        if self.damage:
            lines.append(f"damaged after {self.samples / self.sample_rate:.2f} s ({self.damage}); the rest is left out")
        elif self.expected is not None and self.samples < self.expected and self._file.format != "MP3":  # its length is a guess
            lines.append(f"the file ends early: {self.samples:,} of {self.expected:,} samples are there")
        if self.replaced:
            lines.append(f"{self.replaced:,} samples were no numbers and became silence")
        if self.beyond:
            lines.append(f"{self.beyond:,} samples are beyond full scale, by up to {20 * math.log10(self.peak):.1f} dB")
        elif self.clipped:
            lines.append(f"{self.clipped:,} samples stand at full scale in runs: the recording was clipped before it came here")
        if self.samples and self.peak == 0:
            lines.append("the recording is silent")
        return lines

    def _piece(self) -> np.ndarray:
        """The next few frames (S, C), none at the end and where the file is damaged."""
        try:
            with _quiet(self._file.format == "MP3"):
                return self._file.read(PIECE, dtype="float64", always_2d=True)
        except soundfile.LibsndfileError as error:
            self.damage = _why(error)
            return np.zeros((0, self.channels))

    def _examined(self, block: np.ndarray) -> np.ndarray:
        self.samples += block.shape[1]
        finite = np.abs(block) < LARGEST  # false for what is no number
        if not finite.all():
            self.replaced += int((~finite).sum())
            block[~finite] = 0.0
        self.peak = max(self.peak, float(block.max()), -float(block.min()))
        self.beyond += int((np.abs(block) > 1.0).sum())
        # Three in a row at full scale: music that was not clipped touches it once.
        for side in (block >= self._full, block <= -self._full):
            if side.any():
                run = side[:, 2:] & side[:, 1:-1] & side[:, :-2]  # the middle of three
                wide = np.pad(run, ((0, 0), (2, 2)))
                self.clipped += int((wide[:, 2:] | wide[:, 1:-1] | wide[:, :-2]).sum())
        return block


class _Forwards(soundfile.SoundFile):
    """A file that is only read on: soundfile otherwise seeks after each piece, after which an MP3 decodes to something else."""

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """Keep the MP3 decoder, which writes about each bad frame to stderr by itself, from doing so."""
    if not wanted:
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _opened(path: Path) -> soundfile.SoundFile:
    try:
        if path.is_dir():
            raise InputError(f"{path}: a folder; one audio file is wanted")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: empty (0 bytes)")
        with path.open("rb"):
            pass
        with _quiet(path.suffix.lower() == ".mp3"):
            return _Forwards(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a suffix such as .raw wants parameters
        raise InputError(f"{path}: not an audio file that can be read ({_why(error)}); WAV, FLAC, OGG or MP3 is wanted") from error


def _why(error: Exception) -> str:
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else "its format cannot be told"
    return text.strip().rstrip(".").lower()
