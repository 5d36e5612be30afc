"""Audio files: which suffixes there are, and sound written block by block with dither.

Files are stereo. WAV and FLAC hold whole numbers of `bit_depth` bits, dithered; WAV at 32 bits holds floats; OGG (Vorbis) and MP3
are compressed from floats and have no bit depth. An output too long for WAV's 4 GB is written as RF64, which the same players read.
"""

from pathlib import Path

import numpy as np
import soundfile

from symbolic.dsp.dither import quantise
from symbolic.errors import InputError

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
BIT_DEPTHS = (16, 24, 32)
LARGEST_WAV = 4_000_000_000  # bytes
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def check_format(path: Path, bit_depth: int, sample_rate: int) -> None:
    """Raise `InputError`, before any long work, for a suffix, bit depth or sample rate that cannot be written."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: the suffix {suffix or '(none)'} is no audio format that can be written; choose {', '.join(FORMATS)}")
    if bit_depth not in BIT_DEPTHS or (suffix == ".flac" and bit_depth == 32):
        choices = BIT_DEPTHS[:2] if suffix == ".flac" else BIT_DEPTHS
        raise InputError(f"bit depth {bit_depth} cannot be written to {suffix}; choose {', '.join(map(str, choices))}")
    if suffix == ".mp3" and sample_rate not in MP3_RATES:
        raise InputError(f"{path}: MP3 has no sample rate {sample_rate}; choose {', '.join(map(str, MP3_RATES))}, or another suffix")
    if not soundfile.check_format(FORMATS[suffix]):
        raise InputError(f"{path}: the installed libsndfile cannot write {suffix}; choose .wav")


class AudioFile:
    """A stereo file being written; a context manager. `samples` is how many are expected, for the choice of WAV or RF64."""

    def __init__(self, path: Path, suffix: str, sample_rate: int, bit_depth: int, samples: int, seed: int = 0) -> None:
        kind = FORMATS[suffix.lower()]
        if kind == "WAV" and samples * 2 * bit_depth // 8 > LARGEST_WAV:
            kind = "RF64"
        self._bit_depth = bit_depth if kind in ("WAV", "RF64", "FLAC") and bit_depth < 32 else 0
        subtype = f"PCM_{bit_depth}" if self._bit_depth else {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(kind, "FLOAT")
        self._generator = np.random.default_rng(seed)
        self._file = soundfile.SoundFile(path, "w", sample_rate, 2, subtype, format=kind)

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, block: np.ndarray) -> np.ndarray:
        """Append (2, S) samples; returns them as they will be read back from a file of whole numbers."""
        if not self._bit_depth:
            self._file.write(frames_of(np.asarray(block, np.float32)))
            return block
        whole = quantise(block, self._bit_depth, self._generator)
        # soundfile takes 32-bit numbers and keeps the upper bits.
        self._file.write(frames_of(whole << (32 - self._bit_depth)))
        heard = whole.astype(np.float32)
        heard *= np.float32(2.0 ** (1 - self._bit_depth))
        return heard


def frames_of(sound: np.ndarray) -> np.ndarray:
    """Sound (C, S) as contiguous frames (S, C): channel by channel, which is faster than a transposed copy."""
    return np.stack(tuple(sound), axis=1)
