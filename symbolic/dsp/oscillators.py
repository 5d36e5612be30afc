"""A bank of sinusoids with moving frequency and amplitudes: the tonal half of a DDSP voice.

Shapes: F frames of `hop` samples each, F + 1 control points (the frames' borders), P partials, S = F · hop samples.
Partial p at a moment has the frequency `frequency · ratios[p]` in hertz. Between two control points an amplitude moves along a
straight line and a frequency stands at the mean of the two, so a phase is exact at every border for a frequency that moves along
a straight line. Phases are in cycles, kept in double precision and wrapped, so a note of an hour does not drift.
A partial at or above half the sample rate is silent in that frame: nothing ever aliases.

Idea: Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR 2020, section 3. Here phases are wrapped at each
frame and the samples within a frame come from a rotating phasor, not from a sine for each sample.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from symbolic.dsp.compiled import compiled

if TYPE_CHECKING:
    import torch

# A partial below this amplitude (−110 dB of full scale) at both ends of a frame is skipped there.
INAUDIBLE = 3e-6


def oscillator_bank(
    frequency: np.ndarray, ratios: np.ndarray, amplitudes: np.ndarray, phases: np.ndarray, hop: int, sample_rate: int
) -> np.ndarray:
    """Sum of the partials (S,) float32; `phases` (P,) float64 in cycles is advanced in place, so that calls can follow on.

    frequency (F + 1,) hertz; ratios (P,); amplitudes (F + 1, P) float32. Give partials from low to high: the loop leaves out
    the inaudible ones at the end. Raises `ValueError` when `hop` is no multiple of 4.
    """
    sound = np.zeros((1, (len(frequency) - 1) * hop), np.float32)
    add_oscillators(sound, (1.0,), frequency, ratios, amplitudes, np.ones(len(frequency)), phases, hop, sample_rate)
    return sound[0]


def add_oscillators(
    sound: np.ndarray, gains: Sequence[float], frequency: np.ndarray, ratios: np.ndarray, amplitudes: np.ndarray, levels: np.ndarray,
    phases: np.ndarray, hop: int, sample_rate: int,
) -> None:  # fmt: skip
    """Add the bank with amplitudes · levels (F + 1,) to each channel of `sound` (C, S) float32 with its gain (C,)."""
    if hop % 4:
        raise ValueError(f"hop ({hop}) must be a multiple of 4")
    padded = -(-len(ratios) // 8) * 8  # whole vectors of eight lanes
    _bank_loop(
        np.ascontiguousarray(frequency, np.float64),
        np.ascontiguousarray(ratios, np.float64),
        np.ascontiguousarray(amplitudes, np.float32),
        np.ascontiguousarray(levels, np.float32),
        phases,
        np.zeros((6, padded), np.float32),
        hop,
        float(sample_rate),
        np.array(gains, np.float32),
        sound,
    )


def oscillator_bank_tensor(
    frequency: "torch.Tensor", ratios: "torch.Tensor", amplitudes: "torch.Tensor", phases: "torch.Tensor", hop: int, sample_rate: int
) -> "torch.Tensor":
    """The same sum on torch tensors, differentiable and on any device: (S,) in the type of `amplitudes`.

    frequency (F + 1,), ratios (P,), amplitudes (F + 1, P), phases (P,) in cycles, not advanced.
    """
    import torch

    increments = 0.5 * (frequency[1:] + frequency[:-1]).double()[:, None] * ratios.double() / sample_rate  # (F, P) cycles a sample
    starts = torch.cat([torch.zeros_like(increments[:1]), torch.cumsum(increments * hop, 0)[:-1]]) + phases.double()
    starts = starts - torch.floor(starts)
    step = torch.arange(hop, device=amplitudes.device)
    cycles = starts[:, None, :] + increments[:, None, :] * step[None, :, None]  # (F, hop, P)
    sines = torch.sin(2 * math.pi * (cycles - torch.floor(cycles))).to(amplitudes.dtype)
    weight = (step / hop).to(amplitudes.dtype)[None, :, None]
    levels = amplitudes[:-1, None, :] * (1 - weight) + amplitudes[1:, None, :] * weight
    heard = (increments < 0.5).to(amplitudes.dtype)[:, None, :]
    return (sines * levels * heard).sum(-1).reshape(-1)


@compiled
def _bank_loop(
    frequency: np.ndarray,
    ratios: np.ndarray,
    amplitudes: np.ndarray,
    levels: np.ndarray,
    phases: np.ndarray,
    state: np.ndarray,
    hop: int,
    sample_rate: float,
    gains: np.ndarray,
    sound: np.ndarray,
) -> None:
    partials = ratios.shape[0]
    output = np.empty(hop, np.float32)
    real, imaginary, turn_real, turn_imaginary, level, slope = state[0], state[1], state[2], state[3], state[4], state[5]
    for frame in range(frequency.shape[0] - 1):
        cycles_per_hertz = 0.5 * (frequency[frame] + frequency[frame + 1]) / sample_rate
        before, after = levels[frame], levels[frame + 1]
        active = 0
        for p in range(partials - 1, -1, -1):
            if amplitudes[frame, p] * before > INAUDIBLE or amplitudes[frame + 1, p] * after > INAUDIBLE:
                active = p + 1
                break
        whole = (active + 7) // 8 * 8
        for p in range(active, whole):
            level[p] = 0.0
            slope[p] = 0.0
        for p in range(active):
            increment = cycles_per_hertz * ratios[p]
            heard = np.float32(1.0) if increment < 0.5 else np.float32(0.0)
            level[p] = amplitudes[frame, p] * before * heard
            slope[p] = (amplitudes[frame + 1, p] * after - amplitudes[frame, p] * before) * heard / np.float32(hop)
            # sin and cos of 2πx by a polynomial on a quarter turn, folded: plain arithmetic, so that it runs eight at a time.
            for which in range(2):
                x = phases[p] if which == 0 else increment
                for quarter in range(2):
                    turn = x + 0.25 * quarter
                    turn -= math.floor(turn + 0.5)
                    folded = 0.25 - abs(abs(turn) - 0.25)
                    u = folded * folded
                    sine = folded * (
                        6.283185307179586
                        + u
                        * (
                            -41.341702240399755
                            + u
                            * (
                                81.60524927607504
                                + u * (-76.70585975306136 + u * (42.05869394489765 + u * (-15.094642576822984 + u * 3.8199525848482803)))
                            )
                        )
                    )
                    sine = math.copysign(sine, turn)
                    if which == 0 and quarter == 0:
                        imaginary[p] = sine
                    elif which == 0:
                        real[p] = sine
                    elif quarter == 0:
                        turn_imaginary[p] = sine
                    else:
                        turn_real[p] = sine
        for p in range(partials):
            phase = phases[p] + cycles_per_hertz * ratios[p] * hop
            phases[p] = phase - math.floor(phase)
        if not active:
            continue
        # Four samples for each pass over the partials: the numbers stay in registers, which is worth a factor of two.
        for sample in range(0, hop, 4):
            sum0 = np.float32(0.0)
            sum1 = np.float32(0.0)
            sum2 = np.float32(0.0)
            sum3 = np.float32(0.0)
            for p in range(whole):
                c = turn_real[p]
                s = turn_imaginary[p]
                a = level[p]
                d = slope[p]
                x0 = real[p]
                y0 = imaginary[p]
                x1 = x0 * c - y0 * s
                y1 = y0 * c + x0 * s
                x2 = x1 * c - y1 * s
                y2 = y1 * c + x1 * s
                x3 = x2 * c - y2 * s
                y3 = y2 * c + x2 * s
                sum0 += a * y0
                a += d
                sum1 += a * y1
                a += d
                sum2 += a * y2
                a += d
                sum3 += a * y3
                level[p] = a + d
                real[p] = x3 * c - y3 * s
                imaginary[p] = y3 * c + x3 * s
            output[sample] = sum0
            output[sample + 1] = sum1
            output[sample + 2] = sum2
            output[sample + 3] = sum3
        for channel in range(gains.shape[0]):
            gain, target = gains[channel], sound[channel, frame * hop : frame * hop + hop]
            for sample in range(hop):
                target[sample] += gain * output[sample]
