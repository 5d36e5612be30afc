"""A recorded note as a WaveNet takes it: mono, at its rate, without the silence around it, with its pitch and a velocity.

Sound is (S,) float32, full scale −1 … 1; pitch is a MIDI number with its fraction. A network learned with the encoder hearing notes up to
`REACH` semitones beside the pitch told: for a pitch farther away the sound is heard at another speed, by as much as is beyond that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from symbolic.dsp.resampling import resample
from symbolic.errors import InputError
from symbolic.models.wavenet.autoencoder import Autoencoder
from symbolic.models.wavenet.temporal_codes import CodedNote, load_codes, stretched
from symbolic.rendering.in_tune import heard_pitch
from symbolic.rendering.recordings import LARGEST, Recording

REACH = 3.0
LONGEST = 60.0  # seconds of a note, heard or asked for
SHORTEST = 0.03
LEVEL = 0.35  # of the peak: notes learned from have 0.02 (pianissimo) to 1
HOP = 64  # samples of a frame: 4 ms at 16 kHz
BELOW_PEAK = 50.0  # dB: what is softer than the loudest frame by so much at both ends is silence
SILENT = 1e-4  # a peak below this, −80 dB, is silence
WANDERING = 1.0  # semitones between a tenth and nine tenths of the loud frames: more is no note of one pitch

Tell = Callable[[str], object]


@dataclass(frozen=True)
class HeardNote:
    """A note with its sound; `codes_at` gives its temporal codes."""

    sound: np.ndarray
    pitch: float
    velocity: float

    @property
    def samples(self) -> int:
        """Its length."""
        return len(self.sound)

    def codes_at(self, model: Autoencoder, pitch: float) -> Tensor:
        """The codes (F, `code_size`), for a note that is to have another pitch."""
        beyond = pitch - self.pitch - float(np.clip(pitch - self.pitch, -REACH, REACH))
        codes = model.encode(torch.from_numpy(self.sound))
        if not beyond:
            return codes
        faster = resample(self.sound, 2 ** (beyond / 12), 1.0)
        return stretched(model.encode(torch.from_numpy(faster)), len(codes))


@dataclass(frozen=True)
class KeptNote:
    """A note of which the codes alone were kept: they are what they are at every pitch."""

    note: CodedNote

    @property
    def pitch(self) -> float:
        """As it was heard."""
        return self.note.pitch

    @property
    def velocity(self) -> float:
        """As it was taken."""
        return self.note.velocity

    @property
    def samples(self) -> int:
        """Its length."""
        return self.note.samples

    def codes_at(self, model: Autoencoder, pitch: float) -> Tensor:
        """The codes."""
        return self.note.codes


Material = HeardNote | KeptNote


def read_note(path: str | Path, model: Autoencoder, tell: Tell | None = None) -> Material:
    """The note in a recording of any rate, width and number of channels, or in a file of codes (`.safetensors`).

    `tell` gets what a person should know. Raises `InputError`, one line, for files that hold no note: missing, damaged, empty, silent,
    longer than a minute, without a pitch; and for codes of another model.
    """
    path = Path(path)
    if path.suffix.lower() == ".safetensors":
        return KeptNote(load_codes(path, model))
    with Recording(path) as recording:
        most = round(LONGEST * recording.sample_rate)
        blocks = []
        for block in recording.blocks():
            blocks.append(block.mean(0).astype(np.float32))
            if recording.samples > most:
                break
        too_long = recording.samples > most
    if too_long:
        raise InputError(f"{path}: {recording.seconds:.0f} s are too long for a note; cut one of at most {LONGEST:.0f} s out of it")
    for line in recording.notes() if tell else ():
        assert tell
        tell(f"{path}: {line}")
    return heard_note(np.concatenate(blocks), recording.sample_rate, model, str(path), tell=tell)


def heard_note(audio: np.ndarray, sample_rate: int, model: Autoencoder, name: str = "the note", *, tell: Tell | None = None) -> HeardNote:
    """The note in a sound (S,) or (C, S). Raises `InputError` as `read_note`."""
    audio = np.asarray(audio)
    mono = audio if audio.ndim == 1 else audio.mean(0)
    mono = np.where(np.abs(mono) < LARGEST, mono, 0.0).astype(np.float32)
    rate = model.config.sample_rate
    peak = float(np.abs(mono).max(initial=0.0))
    if len(mono) > LONGEST * sample_rate:
        raise InputError(f"{name}: {len(mono) / sample_rate:.0f} s are too long for a note; at most {LONGEST:.0f} s are taken")
    if peak < SILENT:
        raise InputError(f"{name}: it is silent{f', its peak is {20 * np.log10(peak):.0f} dB' if peak else ''}; a sounding note is wanted")
    sound = _trimmed(resample(mono / peak, sample_rate, rate))
    if len(sound) < SHORTEST * rate:
        raise InputError(f"{name}: {1000 * len(sound) / rate:.0f} ms sound in it, at least {1000 * SHORTEST:.0f} ms are wanted")
    heard = heard_pitch(sound, rate)
    if heard is None:
        raise InputError(f"{name}: no pitch is to be heard in it: noise, a drum or many notes at once; one note is wanted")
    pitch, low, high = heard
    if high - low > WANDERING and tell:
        tell(f"{name}: its pitch wanders by {high - low:.1f} semitones; what is between is taken for its pitch")
    sound *= LEVEL / max(float(np.abs(sound).max()), 1e-9)
    return HeardNote(sound, pitch, velocity_of(sound, pitch, model))


@torch.no_grad()
def velocity_of(sound: np.ndarray, pitch: float, model: Autoencoder) -> float:
    """The velocity whose codes, as the model writes them for a note of this pitch and length, are nearest to those of the sound."""
    velocities = torch.arange(16.0, 127.0, 8.0)
    codes = model.encode(torch.from_numpy(sound))
    count = torch.full((len(velocities),), len(sound))
    written = model.writer(torch.full_like(velocities, pitch), velocities, count)[:, : len(codes)]
    return float(velocities[(written - codes).square().mean((1, 2)).argmin()])


def _trimmed(sound: np.ndarray) -> np.ndarray:
    """Without silence at both ends, in whole frames."""
    frames = -(-len(sound) // HOP)
    energy = np.square(np.pad(sound, (0, frames * HOP - len(sound))).reshape(frames, HOP)).mean(1)
    loud = np.flatnonzero(energy > energy.max(initial=0.0) * 10 ** (-BELOW_PEAK / 10))
    return sound[loud[0] * HOP : (loud[-1] + 1) * HOP] if len(loud) else sound[:0]
