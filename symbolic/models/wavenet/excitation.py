"""What a decoder is told about the period it is in: where it stands in it, and what stood there one and two periods ago.

A network that sees the last milliseconds and a pitch by its name has to learn, for every pitch, when the next wave is due, and a small
one hardly does. Here it is shown: a clock, cosines and sines of the fundamental's first harmonics, says how far the wave has come, as the
excitation of neural source-filter models does (Wang et al., 2019); and the sound one and two periods back says what the wave was like,
as the pitch-dependent dilations of the quasi-periodic WaveNet do (Wu et al., 2019). Of recorded notes the clock is the phase that is
heard in them (`symbolic.dsp.fundamental_phase`), so that in played ones it leads.

`cycles` counts the fundamental's waves: at the J conditioning vectors' beginnings and at the end of the last, (B, J + 1) float64, on
straight lines between. Shapes: B rows, T = J · hold samples, P = 2 periods back, H harmonics.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from symbolic.dsp.mu_law import mu_law_decode
from symbolic.dsp.units import midi_to_hz
from symbolic.models.wavenet.configuration import AutoencoderConfig

HARMONICS = 4
PERIODS = 2
TAPS = 4
PAST = 4096
"""Samples of its own sound that a decoder keeps: two periods of 8 Hz."""
SHORTEST, LONGEST = 3.0, PAST / PERIODS - 4  # samples; a shorter period is taken several times


class Excitation(nn.Module):
    """What is added to the decoder's view of each sample, `width` numbers."""

    def __init__(self, config: AutoencoderConfig, width: int) -> None:
        super().__init__()
        self.hold, self.levels = config.hold, config.levels
        self.clock = nn.Parameter(torch.randn(2 * HARMONICS, width) * 0.2)
        self.past = nn.Parameter(torch.randn(PERIODS, width) * 0.5)

    def forward(self, codes: Tensor, cycles: Tensor) -> Tensor:
        """From µ-law codes (B, T), of which each sample sees those before it, and cycles (B, J + 1): (B, T, width)."""
        reach, weights = taps(periods(cycles, self.hold))
        reach, weights = (part.to(codes.device).repeat_interleave(self.hold, 1) for part in (reach, weights))
        past = functional.pad(mu_law_decode(codes, self.levels), (PAST, 0))
        first = torch.arange(codes.shape[1], device=codes.device)[:, None] + PAST - reach  # (B, T, P)
        rows = torch.arange(len(codes), device=codes.device)[:, None, None]
        ago = sum(past[rows, first + tap] * weights[..., tap] for tap in range(TAPS))
        assert isinstance(ago, Tensor)
        return self.clocked(cycles) + bent(ago, self.levels) @ self.past

    def ago(self, past: Tensor, position: int, reach: Tensor, weights: Tensor) -> Tensor:
        """What one sample is told of periods ago (B, width), from rings of the last samples (B, `PAST`), sample p at p modulo `PAST`.

        `reach` (B, P) and `weights` (B, P, 4) are those of `taps`.
        """
        first = position - reach[..., None] + torch.arange(TAPS, device=past.device)
        rows = torch.arange(len(past), device=past.device)[:, None, None]
        return bent((past[rows, first % PAST] * weights).sum(-1), self.levels) @ self.past

    def clocked(self, cycles: Tensor) -> Tensor:
        """The clock's part of it, which is known before a note is played."""
        inside = torch.arange(self.hold, dtype=cycles.dtype, device=cycles.device) / self.hold
        waves = cycles.diff(dim=1)[..., None]
        numbers = torch.arange(1, HARMONICS + 1, dtype=cycles.dtype, device=cycles.device)
        below = (numbers * waves / self.hold < 0.5).repeat_interleave(self.hold, 1)  # of half the sample rate
        phase = math.tau * (numbers * (cycles[:, :-1, None] + waves * inside).flatten(1)[..., None] % 1.0)
        hands = torch.cat([torch.cos(phase) * below, torch.sin(phase) * below], -1)
        return hands.to(self.clock) @ self.clock


def bent(sound: Tensor, levels: int) -> Tensor:
    """Sound within −1 … 1 on the scale of µ-law, −1 … 1."""
    return torch.sign(sound) * torch.log1p((levels - 1) * sound.abs()) / math.log(levels)


def periods(cycles: Tensor, hold: int) -> Tensor:
    """Samples from a wave to a like one (B, J): a period, or several where it is shorter than `SHORTEST`."""
    period = hold / cycles.diff(dim=1).clamp(min=hold / LONGEST)
    return period * torch.ceil(SHORTEST / period)


def taps(period: Tensor) -> tuple[Tensor, Tensor]:
    """Where the sound is read one and two periods ago: samples (B, J, P) back to the first of four taps, and their weights (B, J, P, 4).

    A cubic through four samples (Catmull and Rom, 1974); the newest of them is one sample old at least.
    """
    back = period[..., None] * torch.arange(1, PERIODS + 1, dtype=period.dtype, device=period.device)
    whole = torch.ceil(back)
    s = whole - back
    weights = [-s + 2 * s**2 - s**3, 2 - 5 * s**2 + 3 * s**3, s + 4 * s**2 - 3 * s**3, s**3 - s**2]
    return whole.long() + 1, torch.stack(weights, -1).float() / 2


def counted(pitch: np.ndarray | float, vectors: int, config: AutoencoderConfig, start: float = 0.0) -> np.ndarray:
    """Cycles (J + 1,) of a pitch to be played, MIDI number, or (J,) of them, the last one held on; the first wave begins at `start`."""
    held = np.atleast_1d(np.asarray(pitch, dtype=np.float64))
    each = held[np.minimum(np.arange(vectors), len(held) - 1)]
    waves = midi_to_hz(each) * config.hold / config.sample_rate
    return start + np.concatenate([[0.0], np.cumsum(waves)])
