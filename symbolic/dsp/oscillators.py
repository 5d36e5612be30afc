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
    the inaudible ones at the end.
    """
    frames = len(frequency) - 1
    output = np.zeros(frames * hop, np.float32)
    padded = -(-len(ratios) // 8) * 8  # whole vectors of eight lanes
    state = np.zeros((6, padded), np.float32)
    _bank_loop(
        np.ascontiguousarray(frequency, np.float64),
        np.ascontiguousarray(ratios, np.float64),
        np.ascontiguousarray(amplitudes, np.float32),
        phases,
        state,
        hop,
        float(sample_rate),
        output,
    )
    return output


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
    phases: np.ndarray,
    state: np.ndarray,
    hop: int,
    sample_rate: float,
    output: np.ndarray,
) -> None:
    partials = ratios.shape[0]
    real, imaginary, turn_real, turn_imaginary, level, slope = state[0], state[1], state[2], state[3], state[4], state[5]
    for frame in range(frequency.shape[0] - 1):
        cycles_per_hertz = 0.5 * (frequency[frame] + frequency[frame + 1]) / sample_rate
        active = 0
        for p in range(partials - 1, -1, -1):
            if amplitudes[frame, p] > INAUDIBLE or amplitudes[frame + 1, p] > INAUDIBLE:
                active = p + 1
                break
        whole = (active + 7) // 8 * 8
        for p in range(active, whole):
            level[p] = 0.0
            slope[p] = 0.0
        for p in range(active):
            increment = cycles_per_hertz * ratios[p]
            heard = np.float32(1.0) if increment < 0.5 else np.float32(0.0)
            level[p] = amplitudes[frame, p] * heard
            slope[p] = (amplitudes[frame + 1, p] - amplitudes[frame, p]) * heard / np.float32(hop)
            # sin and cos of 2πx by a polynomial on a quarter turn, folded: plain arithmetic, so that it runs eight at a time.
            for which in range(2):
                x = phases[p] if which == 0 else increment
                for quarter in range(2):
                    turn = x + 0.25 * quarter
                    turn -= math.floor(turn + 0.5)
                    folded = 0.25 - abs(abs(turn) - 0.25)
                    u = folded * folded
                    s = folded * (
                        6.283185307179586
                        + u
                        * (
                            -41.341702240399755
                            + u
                            * (
                                81.60524927607504
                                + u
                                * (-76.70585975306136 + u * (42.05869394489765 + u * (-15.094642576822984 + u * 3.8199525848482803)))
                            )
                        )
                    )
                    s = math.copysign(s, turn)
                    if which == 0 and quarter == 0:
                        imaginary[p] = s
                    elif which == 0:
                        real[p] = s
                    elif quarter == 0:
                        turn_imaginary[p] = s
                    else:
                        turn_real[p] = s
        for p in range(partials):
            phase = phases[p] + cycles_per_hertz * ratios[p] * hop
            phases[p] = phase - math.floor(phase)
        first = frame * hop
        for sample in range(first, first + hop):
            total = np.float32(0.0)
            for p in range(whole):
                total += level[p] * imaginary[p]
                level[p] += slope[p]
                turned = real[p] * turn_real[p] - imaginary[p] * turn_imaginary[p]
                imaginary[p] = imaginary[p] * turn_real[p] + real[p] * turn_imaginary[p]
                real[p] = turned
            output[sample] = total
