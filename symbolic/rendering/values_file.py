"""An audio file of any number of channels, of values that were rounded before: written block by block, and whole or not at all.

Values are (channels, samples), full scale is −1 … 1. WAV and FLAC hold whole numbers exactly; OGG and MP3 are compressed from floats.
An output too long for WAV's 4 GB is written as RF64, which the same players read.
"""

from pathlib import Path

import numpy as np
import soundfile

from symbolic.errors import InputError
from symbolic.rendering.output import FORMATS, LARGEST_WAV

WRITTEN_AT_ONCE = 1 << 16  # frames; the encoder of OGG cannot take millions


class ValuesFile:
    """A file being written; a context manager. Values go to `target`, in the format of `output`'s suffix, which messages name.

    `exact` is for values that no whole numbers hold: WAV gets floats, FLAC 24 bits. `seconds` is about how long it will be.
    """

    def __init__(
        self, target: Path, output: Path, sample_rate: int, channels: int, bit_depth: int, seconds: float, *, exact: bool = False
    ) -> None:
        kind = FORMATS[output.suffix.lower()]
        self._output, self._target, self._frames = output, target, 0
        self._shift = 0 if kind in ("OGG", "MP3") or (exact and kind == "WAV") else 31
        if kind == "WAV":
            subtype = "FLOAT" if exact else "PCM_U8" if bit_depth <= 8 else "PCM_16" if bit_depth <= 16 else "PCM_24"
            if seconds * sample_rate * channels * 4 > LARGEST_WAV:
                kind = "RF64"
        else:
            subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(kind, "PCM_24" if exact or bit_depth > 16 else "PCM_16")
        try:
            self._file = soundfile.SoundFile(target, "w", sample_rate, channels, subtype, format=kind)
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{output}: {channels} channels at {sample_rate} Hz cannot be written as {output.suffix}; choose .wav"
            ) from error

    def __enter__(self) -> "ValuesFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, values: np.ndarray) -> None:
        """Append values (C, S)."""
        frames = np.ascontiguousarray(values.T)
        if self._shift:  # soundfile takes 32-bit numbers and keeps the upper bits
            frames = np.clip(np.rint(frames * 2.0**self._shift), -(2**31), 2**31 - 1).astype(np.int32)
        for start in range(0, len(frames), WRITTEN_AT_ONCE):
            try:
                self._file.write(frames[start : start + WRITTEN_AT_ONCE])
            except (soundfile.LibsndfileError, AssertionError) as error:
                raise self._failed() from error
        self._frames += len(frames)

    def finish(self) -> None:
        """Close, and make sure that everything arrived."""
        self._file.close()
        try:
            stored = soundfile.info(self._target).frames
        except soundfile.LibsndfileError as error:
            raise self._failed() from error
        if stored < self._frames:
            raise self._failed()

    def _failed(self) -> InputError:
        return InputError(f"{self._output}: could not be written whole, nothing was kept; is the disk full?")
