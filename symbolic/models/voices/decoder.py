"""Pitch, loudness and a timbre code → the amplitudes of harmonics and of noise bands, frame by frame: the part of a voice that learns.

Shapes: B rows, F frames, K partials, M noise bands, H memory, G = F / stride steps of the network. Pitch is in hertz and enters as a
MIDI number over 127 with sines and cosines over the octaves (raw hertz would be lost in a normalisation); loudness in decibels, −80 for
silence, enters as dB / 80 + 1.

The network steps once in `stride` frames and says the same of all of them; only the loudness it is relative to moves with each frame.
Each input has its own layers, also the timbre code (see `timbre_encoder`), which is all zeros where none is told; a GRU remembers, and
three heads speak of amplitudes in nepers (natural logarithms) relative to the sine of 1 kHz that would be as loud: a level for each
partial by its number, a resonance curve over frequency that every partial reads at its own place, and the noise bands. What an
instrument's body does at 2 kHz is so learned once for all notes. Silence is exactly 0.

After Engel et al., "DDSP: Differentiable Digital Signal Processing", ICLR 2020 (`RnnFcDecoder`), which has one head by number only, sized
by a sigmoid; the curve over frequency and the reference to the loudness are ours.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from symbolic.dsp.a_weighting import RANGE_DB
from symbolic.models.voices.configuration import VoiceConfig
from symbolic.models.voices.layers import PERIODS, REFERENCE_DB, layers, pitch_features

CEILING = 6.0  # nepers above the reference, the most that can be said: 52 dB
BEND = 400.0  # hertz: below it the points of the resonance curve lie evenly, above it by octaves


@dataclass
class Controls:
    """What sounds: `amplitudes` (B, F, K) of the partials, `gains` (B, F, M) of the noise bands."""

    amplitudes: torch.Tensor
    gains: torch.Tensor


class VoiceDecoder(nn.Module):
    """The network; its state is the GRU's memory (1, B, H). In training, `dropout` of its inputs and of what the heads hear is left out."""

    def __init__(self, config: VoiceConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config, self.dropout = config, dropout
        width = config.width
        self.pitch_layers = layers(1 + 2 * len(PERIODS), width, 2)
        self.loudness_layers = layers(config.stride + 1, width, 2)
        self.code_layers = layers(config.code, width, 2) if config.code else None
        inputs = (3 if config.code else 2) * width
        self.gru = nn.GRU(inputs, config.memory, batch_first=True)
        self.output_layers = layers(config.memory + inputs, 2 * width, 2)
        self.by_number = nn.Linear(2 * width, config.partials)
        self.by_frequency = nn.Linear(2 * width, config.envelope_points)
        self.noise = nn.Linear(2 * width, config.noise_bands)
        with torch.no_grad():  # begin near a soft sawtooth over faint noise
            self.by_number.bias.copy_(-1.2 * torch.log(torch.arange(1.0, config.partials + 1)) - 1.0)
            self.by_frequency.bias.zero_()
            self.noise.bias.fill_(-5.0)
            for head in (self.by_number, self.by_frequency, self.noise):
                head.weight.mul_(0.3)

    def forward(
        self, pitch: torch.Tensor, loudness: torch.Tensor, state: torch.Tensor | None = None, code: torch.Tensor | None = None
    ) -> tuple[Controls, torch.Tensor]:
        """Controls of pitch (B, F) in hertz, loudness (B, F) in decibels and a code (B, F, D), and the state after them.

        Raises `ValueError` when F is no multiple of the stride.
        """
        rows, frames = pitch.shape
        stride = self.config.stride
        if frames % stride:
            raise ValueError(f"{frames} frames are no multiple of the stride {stride}")
        loudness = loudness.clamp(min=-RANGE_DB)
        steps = (rows, frames // stride, stride)
        middle = pitch.reshape(steps).log2().mean(-1).exp2()
        of_pitch = self.pitch_layers(pitch_features(middle))
        told = [of_pitch, self.loudness_layers(_loudness_features(loudness.reshape(steps)))]
        if self.code_layers is not None:
            none = of_pitch.new_zeros(*steps[:2], self.config.code)
            told.append(self.code_layers(none if code is None else code.reshape(*steps, -1).mean(2)))
        inputs = nn.functional.dropout(torch.cat(told, -1), self.dropout, self.training)
        remembered, state = self.gru(inputs, state)
        hidden = self.output_layers(torch.cat([remembered, inputs], -1))
        hidden = nn.functional.dropout(hidden, self.dropout, self.training)
        partials = _gain(self.by_number(hidden) + self._read_curve(self.by_frequency(hidden), middle))
        noise = _gain(self.noise(hidden))
        reference = (10 ** ((loudness - REFERENCE_DB) / 20) * (1 - 10 ** ((-RANGE_DB - loudness) / 20))).reshape(steps)[..., None]
        amplitudes, gains = ((reference * said[:, :, None]).flatten(1, 2) for said in (partials, noise))
        return Controls(amplitudes, gains), state

    def _read_curve(self, curve: torch.Tensor, pitch: torch.Tensor) -> torch.Tensor:
        """The curve (B, G, E) at the frequencies of the partials of pitch (B, G): (B, G, K)."""
        points = curve.shape[-1]
        frequency = pitch[..., None] * torch.arange(1, self.config.partials + 1, device=pitch.device)
        top = math.log1p(self.config.sample_rate / 2 / BEND)
        place = (torch.log1p(frequency / BEND) * ((points - 1) / top)).clamp(max=points - 1.001)
        below = place.long()
        part = place - below
        return torch.gather(curve, -1, below) * (1 - part) + torch.gather(curve, -1, below + 1) * part


def _loudness_features(loudness: torch.Tensor) -> torch.Tensor:
    """Of each frame in a step, and the square of their mean."""
    scaled = 2 * (loudness / RANGE_DB + 1) - 1
    return torch.cat([scaled, scaled.mean(-1, keepdim=True) ** 2], -1)


def _gain(nepers: torch.Tensor) -> torch.Tensor:
    """Amplitude factors that may fall without end and stay below the ceiling."""
    return torch.exp(CEILING - nn.functional.softplus(CEILING - nepers))
