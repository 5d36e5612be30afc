"""What the networks of a voice have in common: their layers, how they hear a pitch, and the loudness that levels are relative to."""

import math

import torch
from torch import nn

REFERENCE_DB = 19.8  # the loudness of a sine of amplitude 1 at 1 kHz
PERIODS = (48.0, 24.0, 12.0, 6.0)  # semitones


def layers(inputs: int, width: int, depth: int) -> nn.Sequential:
    """`depth` times a product, LayerNorm and leaky ReLU."""
    parts: list[nn.Module] = []
    for _ in range(depth):
        parts += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.LeakyReLU(0.1)]
        inputs = width
    return nn.Sequential(*parts)


def pitch_features(pitch: torch.Tensor) -> torch.Tensor:
    """A pitch (…) in hertz as numbers (…, 9): a MIDI number over 63.5, and where in each of four periods it lies."""
    note = 69 + 12 * torch.log2(pitch / 440)
    turns = [2 * math.pi * note / period for period in PERIODS]
    return torch.stack([note / 63.5 - 1, *(torch.sin(turn) for turn in turns), *(torch.cos(turn) for turn in turns)], -1)
