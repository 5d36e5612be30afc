"""Notes for a WaveNet: from examined recordings, and batches of pieces of them.

Sound is (S,) float32 at 16 kHz. All notes of a folder get one gain, so that the loud ones come near full scale and soft ones stay soft.
A batch depends on the random seed and the number of its step only, so that a run that goes on later sees what it would have seen.

The encoder hears each piece at a speed of its own (up to `shift_semitones` higher or lower), and its codes are put back in time: they
cannot tell the pitch well, so that the decoder takes it from where it is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from symbolic.corpus.recordings.phrases import LOW_RATE
from symbolic.corpus.recordings.store import Recordings
from symbolic.dsp.fundamental_phase import fundamental_cycles
from symbolic.dsp.mu_law import mu_law_decode, mu_law_encode
from symbolic.dsp.units import hz_to_midi, midi_to_hz
from symbolic.errors import InputError
from symbolic.models.wavenet.encoder import Encoder

VELOCITIES = {"ppp": 16, "pp": 32, "p": 48, "mp": 64, "mf": 80, "f": 96, "ff": 112, "fff": 126}
STEADY = 1.0  # semitones between the tenth and the ninetieth percentile of a note's pitch
CYCLE_HOP = 32  # samples
BACK = 0.12  # seconds in which what strayed has come back by two thirds
LOUD = 0.9  # full scale that the loudest of a hundred notes reaches


@dataclass(frozen=True)
class RecordedNote:
    """Sound (S,) at the model's rate, MIDI pitch with its fraction, velocity 0 … 127; `track`: pitch in hertz over equal parts of it."""

    sound: np.ndarray
    pitch: float
    velocity: float
    held_out: bool = False
    name: str = ""
    track: np.ndarray | None = None

    @cached_property
    def waves(self) -> np.ndarray:
        """Of its fundamental, counted every `CYCLE_HOP` samples; track and sound are followed within a semitone of the pitch."""
        hertz = float(midi_to_hz(self.pitch))
        near = hertz if self.track is None else np.clip(self.track, hertz * 2 ** (-1 / 12), hertz * 2 ** (1 / 12))
        return fundamental_cycles(self.sound, near, LOW_RATE, CYCLE_HOP)

    def cycles(self, first: int, vectors: int, hold: int) -> np.ndarray:
        """Waves (`vectors` + 1,) at the samples `first`, `first` + `hold`, …; after the note they go on at its pitch."""
        place = (first + hold * np.arange(vectors + 1)) / CYCLE_HOP
        last = len(self.waves) - 1
        beyond = np.maximum(place - last, 0) * float(midi_to_hz(self.pitch)) * CYCLE_HOP / LOW_RATE
        return np.interp(place, np.arange(last + 1), self.waves) + beyond


def notes_of(recordings: Recordings) -> list[RecordedNote]:
    """The notes of a store that hold one pitch, at one gain for all. Velocity is the dynamic named, or else the rank of loudness."""
    steady: list[tuple[np.ndarray, float, str, float, bool, str, np.ndarray]] = []
    for note in recordings.notes:
        pitch, loudness = recordings.array("pitch", note), recordings.array("loudness", note)
        loud = hz_to_midi(pitch[loudness > loudness.max() - 20].astype(np.float64))
        low, middle, high = np.percentile(loud, (10, 50, 90))
        if high - low <= STEADY:
            sound = recordings.array("low", note)
            steady.append((sound, float(middle), note.dynamic, float(loudness.max()), note.held_out, note.name, pitch))
    if not steady:
        return []
    gain = LOUD / max(1e-4, float(np.percentile([np.abs(sound).max() for sound, *_ in steady], 99)))
    ranks = np.argsort(np.argsort([entry[3] for entry in steady])) / max(1, len(steady) - 1)
    return [
        RecordedNote(sound * np.float32(gain), pitch, VELOCITIES.get(dynamic, round(30 + 80 * float(rank))), held_out, name, track)
        for (sound, pitch, dynamic, _, held_out, name, track), rank in zip(steady, ranks, strict=True)
    ]


@dataclass
class Batch:
    """B pieces of F codes: µ-law `codes` and `counted` (B, T); `heard` (B, M + T + M) by the encoder, M its margin's samples.

    `cycles` (B, J + 1) count the fundamental's waves at each conditioning vector, float64, and stay on the processor.
    `scale` (B,) is the speed at which the encoder hears; `first` (B,) the piece's first code within its note, `samples` the note's length.
    """

    codes: Tensor
    counted: Tensor
    heard: Tensor
    scale: Tensor
    pitch: Tensor
    velocity: Tensor
    cycles: Tensor
    first: Tensor
    samples: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items() if name != "cycles"}, cycles=self.cycles)


def draw_batch(
    notes: Sequence[RecordedNote], step: int, random_seed: int, *, lanes: int, frames: int, size: int, hold: int, margin: int, warmup: int,
    onsets: float, shift_semitones: float,
) -> Batch:  # fmt: skip
    """A batch of `lanes` pieces of `frames` codes of `size` samples; notes come as often as they are long.

    A share `onsets` of the pieces begins where the note does; in others the first `warmup` samples are not counted, because the decoder
    does not know what was before. Samples after the end of a note are not counted either.
    """
    generator = np.random.default_rng([random_seed, step])
    lengths = np.array([-(-len(note.sound) // size) for note in notes], dtype=np.float64)
    chosen = generator.choice(len(notes), lanes, p=lengths / lengths.sum())
    length, around = frames * size, margin * size
    heard = np.zeros((lanes, length + 2 * around), dtype=np.float32)
    counted = np.zeros((lanes, length), dtype=bool)
    first = np.zeros(lanes, dtype=np.int64)
    cycles = np.zeros((lanes, length // hold + 1))
    for lane, index in enumerate(chosen):
        sound = notes[index].sound
        last = max(0, int(lengths[index]) - frames)
        first[lane] = 0 if generator.random() < onsets else generator.integers(0, last + 1)
        begin = int(first[lane]) * size
        cycles[lane] = notes[index].cycles(begin, length // hold, hold)
        counted[lane, warmup if begin else 0 : len(sound) - begin] = True
        source = slice(max(0, begin - around), begin + length + around)
        part = sound[source]
        heard[lane, source.start - (begin - around) :][: len(part)] = part
    scale = 2.0 ** (generator.uniform(-shift_semitones, shift_semitones, lanes) / 12)
    picked = [notes[index] for index in chosen]
    return Batch(
        torch.from_numpy(mu_law_encode(heard[:, around : around + length])), torch.from_numpy(counted), torch.from_numpy(heard),
        torch.from_numpy(scale.astype(np.float32)), torch.tensor([note.pitch for note in picked], dtype=torch.float32),
        torch.tensor([float(note.velocity) for note in picked]), torch.from_numpy(cycles), torch.from_numpy(first),
        torch.tensor([len(note.sound) for note in picked]),
    )  # fmt: skip


def codes_heard(encoder: Encoder, batch: Batch, frames: int) -> Tensor:
    """Temporal codes (B, F, `code_size`) of a batch, from its sound at other speeds, put back in time."""
    window = batch.heard.shape[1]
    middle = (window - 1) / 2
    place = middle + (torch.arange(window, device=batch.heard.device) - middle) * batch.scale[:, None]
    codes = encoder(_between(batch.heard[..., None], place)[..., 0])
    count = codes.shape[1]
    wanted = torch.arange(frames, device=codes.device) + (count - frames) / 2
    back = (count - 1) / 2 + (wanted - (count - 1) / 2) / batch.scale[:, None]
    return _between(codes, back)


def strayed(codes: Tensor, random_seed: int, gain: float, noise: float, levels: int) -> Tensor:
    """µ-law `codes` (B, T) as they would be if the decoder had strayed before and found back: too loud or soft and noisy at first.

    A decoder that only ever sees the true past learns to go on with its level and noise, right or wrong, and when it plays, its own errors
    stay and grow. Here both die away in `BACK`, while temporal codes tell the true sound all the time: it learns to go back to that.
    `gain` is the standard deviation of the level in decibels at the beginning; noise is `noise` decibels beside the sound around it
    (over 64 ms) there, or up to 40 softer.
    """
    generator = torch.Generator().manual_seed(random_seed)
    sound = mu_law_decode(codes.cpu(), levels)
    rows = len(sound), 1
    left = torch.exp(-torch.arange(sound.shape[1]) / (BACK * LOW_RATE))
    around = functional.avg_pool1d(sound.square()[:, None], 1025, 1, 512)[:, 0].sqrt()
    depth = 10 ** ((noise - 40 * torch.rand(rows, generator=generator)) / 20) * left
    louder = 10 ** (gain * torch.randn(rows, generator=generator) * left / 20)
    made = (sound + around * depth * torch.randn(sound.shape, generator=generator)) * louder
    return mu_law_encode(made, levels).to(codes.device)


def margin_of(encoder: Encoder, frames: int, shift_semitones: float) -> int:
    """Codes of sound around a piece of so many, so that the encoder hears all that it would hear of the whole note."""
    return encoder.margin + int(np.ceil((frames / 2 + encoder.margin) * (2 ** (shift_semitones / 12) - 1))) + 1


def check_notes(notes: Sequence[RecordedNote], where: str) -> None:
    """Raise `InputError` unless there are notes to learn from and notes held out."""
    learned = sum(not note.held_out and len(note.sound) > 0 for note in notes)
    held_out = sum(note.held_out and len(note.sound) > 0 for note in notes)
    if not learned or not held_out:
        raise InputError(f"{where}: {learned} notes of one pitch to learn from and {held_out} held out; at least one of each is needed")


def fingerprint(notes: Sequence[RecordedNote]) -> list[float]:
    """Numbers that tell these notes from others."""
    sums = [float(np.abs(note.sound[:: max(1, len(note.sound) // 64)]).sum()) for note in notes]
    return [float(len(sums)), round(sum(sums), 3), round(sum(note.pitch for note in notes), 3)]


def _between(values: Tensor, place: Tensor) -> Tensor:
    """Values (B, N, K) at fractional places (B, P) on straight lines → (B, P, K); the ends are held."""
    place = place.clamp(0, values.shape[1] - 1)
    low = place.floor().long().clamp(max=max(0, values.shape[1] - 2))
    share = (place - low)[..., None]
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, low] * (1 - share) + values[rows, (low + 1).clamp(max=values.shape[1] - 1)] * share
