"""Oscillators that read single cycles from tables: any wave shape at the cost of one look-up, whatever its number of harmonics.

Shapes: B rows, F frames of `hop` samples, S = F · hop samples, W tables of L points each (one cycle, so L / 2 − 1 harmonics). Controls
stand at the middles of the frames and are joined without corners (see control_curves); the sound is the sum of the tables, each times
its amplitude, so moving amplitudes morph between wave shapes.

A table is kept in copies with fewer and fewer harmonics, four copies an octave, and the copy that fits under half the sample rate at the
pitch of the moment fades into the next smaller one before its top harmonic gets there: nothing aliases. The copies are sampled sixteen
times as densely as their harmonics need and read with a cubic through four points, whose images lie more than 100 dB below a sawtooth.
Idea of trainable tables: S. Shan et al., "Differentiable Wavetable Synthesis", ICASSP 2022.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from symbolic.dsp.compiled import compiled
from symbolic.dsp.control_curves import ControlStream, spline_integrals, spline_weights

if TYPE_CHECKING:
    import torch

COPIES_PER_OCTAVE = 4
DENSITY = 16


def wavetable_sound(
    pitch: "torch.Tensor", amplitudes: "torch.Tensor", tables: "torch.Tensor", hop: int, sample_rate: int
) -> "torch.Tensor":
    """Sound (B, S), differentiable: pitch (B, F) hertz, amplitudes (B, F, W), tables (W, L); `ValueError` for an odd or short table."""
    import torch

    from symbolic.dsp.harmonics import at_samples, cycles_at_samples

    harmonics = harmonics_of_copies(tables.shape[1])
    points = DENSITY * tables.shape[1]
    kept = torch.arange(tables.shape[1] // 2 + 1, device=tables.device) <= torch.from_numpy(harmonics).to(tables.device)[:, None]
    kept[:, [0, -1]] = False  # neither a constant nor half the table's own rate
    spectra = torch.fft.rfft(tables) * kept[:, None]  # (V, W, L / 2 + 1)
    copies = torch.fft.irfft(spectra, points) * DENSITY
    flat = copies.transpose(1, 2).reshape(-1, len(tables))
    # Where the pitch stands among the copies; the next copy with fewer harmonics always fits under half the sample rate.
    part_of_rate = at_samples(pitch.double()[..., None], hop)[..., 0] / sample_rate
    position = COPIES_PER_OCTAVE * torch.log2((2.0 * float(harmonics[0]) * part_of_rate).clamp(min=1e-9))
    copy = torch.ceil(position.detach()).clamp(min=0.0)
    way = (copy - position).clamp(max=1.0)
    share = (way * way * (3 - 2 * way)).to(tables.dtype)[..., None]
    last = len(harmonics) - 1
    copy = copy.long()
    place = cycles_at_samples(pitch, hop, sample_rate) * points
    whole = torch.floor(place)
    part = (place - whole).to(tables.dtype)[..., None]
    value = torch.zeros((), dtype=tables.dtype, device=tables.device)
    for tap, weight in enumerate(_cubic(part)):
        index = (whole.long() + tap - 1) % points
        fuller = flat[copy.clamp(max=last) * points + index]
        smaller = flat[(copy + 1).clamp(max=last) * points + index]
        value = value + weight * (share * fuller + (1 - share) * smaller)
    return (value * at_samples(amplitudes, hop)).sum(2)


class WavetableVoice:
    """One voice in machine code, block by block; `flush` gives the last frame."""

    def __init__(self, tables: np.ndarray, hop: int, sample_rate: int) -> None:
        self.hop, self.sample_rate = hop, sample_rate
        self._harmonics = harmonics_of_copies(tables.shape[1])
        spectrum = np.fft.rfft(np.asarray(tables, np.float64))
        number = np.arange(spectrum.shape[1])
        kept = (number <= self._harmonics[:, None]) & (number > 0) & (number < number[-1])
        self._copies = np.fft.irfft(spectrum * kept[:, None], DENSITY * tables.shape[1]).astype(np.float32) * np.float32(DENSITY)
        self._phase = np.zeros(1)
        self._controls = ControlStream()
        self._weights, self._integrals = spline_weights(hop), spline_integrals(hop)

    def process(self, pitch: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
        """Sound (S,) float32 of all frames that can be computed by now: pitch (F,) hertz, amplitudes (F, W)."""
        return self._sound(self._controls.add(np.asarray(pitch, np.float64), np.asarray(amplitudes, np.float64)))

    def flush(self) -> np.ndarray:
        """Sound of the last frame, whose control stands on."""
        last = self._controls.flush()
        return np.zeros(0, np.float32) if last is None else self._sound(last)

    def _sound(self, controls: list[np.ndarray]) -> np.ndarray:
        pitch, amplitudes = (np.ascontiguousarray(one) for one in controls)
        output = np.zeros(max(0, len(pitch) - 2) * self.hop, np.float32)
        if len(output):
            copies, top = self._copies, float(self._harmonics[0])
            _table_loop(pitch / self.sample_rate, amplitudes, copies, top, self._phase, self._weights, self._integrals, output)
        return output


def harmonics_of_copies(length: int) -> np.ndarray:
    """How many harmonics each copy of a table of `length` points keeps, from all to none: 8 → 3, 2, 2, 1, 1, 1, 1, 0."""
    if length < 4 or length % 2:
        raise ValueError(f"table length ({length}) must be even and at least 4")
    top = length // 2 - 1
    # The small surpluses keep an exact power of two from being rounded below itself.
    copies = math.floor(COPIES_PER_OCTAVE * math.log2(top) + 1e-9) + 1
    return np.append(np.floor(top * 2.0 ** (-np.arange(copies) / COPIES_PER_OCTAVE) + 1e-9), 0).astype(np.int64)


def _cubic(part: "torch.Tensor") -> list["torch.Tensor"]:
    """Weights of the points −1, 0, 1 and 2 at a part 0 … 1 of the way from point 0 to point 1 (Lagrange)."""
    before, after, beyond = part + 1, part - 1, part - 2
    return [-part * after * beyond / 6, before * after * beyond / 2, -before * part * beyond / 2, before * part * after / 6]


@compiled
def _table_loop(
    pitch: np.ndarray,
    amplitudes: np.ndarray,
    copies: np.ndarray,
    top: float,
    phase: np.ndarray,
    weights: np.ndarray,
    integrals: np.ndarray,
    output: np.ndarray,
) -> None:
    number, tables, points = copies.shape
    hop = weights.shape[1]
    cycles = phase[0]
    for frame in range(pitch.shape[0] - 2):
        before, own, after = pitch[frame], pitch[frame + 1], pitch[frame + 2]
        for t in range(hop):
            frequency = before * weights[0, t] + own * weights[1, t] + after * weights[2, t]
            position = COPIES_PER_OCTAVE * math.log2(max(2.0 * top * frequency, 1e-9))
            copy = max(math.ceil(position), 0)
            way = min(copy - position, 1.0)
            share = way * way * (3.0 - 2.0 * way)
            fuller = min(copy, number - 1)
            smaller = min(copy + 1, number - 1)
            place = cycles + hop * (before * integrals[0, t] + own * integrals[1, t] + after * integrals[2, t])
            place = (place - math.floor(place)) * points
            whole = int(place)
            u = place - whole
            w0 = -u * (u - 1.0) * (u - 2.0) / 6.0
            w1 = (u + 1.0) * (u - 1.0) * (u - 2.0) / 2.0
            w2 = -(u + 1.0) * u * (u - 2.0) / 2.0
            w3 = (u + 1.0) * u * (u - 1.0) / 6.0
            i0 = (whole - 1) % points
            i1 = whole % points
            i2 = (whole + 1) % points
            i3 = (whole + 2) % points
            total = 0.0
            for table in range(tables):
                level = (
                    amplitudes[frame, table] * weights[0, t]
                    + amplitudes[frame + 1, table] * weights[1, t]
                    + amplitudes[frame + 2, table] * weights[2, t]
                )
                one = copies[fuller, table]
                other = copies[smaller, table]
                full = w0 * one[i0] + w1 * one[i1] + w2 * one[i2] + w3 * one[i3]
                small = w0 * other[i0] + w1 * other[i1] + w2 * other[i2] + w3 * other[i3]
                total += level * (share * full + (1.0 - share) * small)
            output[frame * hop + t] = total
        cycles += hop * (before + 4.0 * own + after) / 6.0
        cycles -= math.floor(cycles)
    phase[0] = cycles
