"""Temporal codes from pitch, velocity and length, for a note that nobody played.

A small network sees for each code how long the note has sounded and how long it still will (both on scales that are fine near the
beginning and the end and coarse in between), its pitch and its velocity. It learns the mean of the codes of recorded notes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from symbolic.models.wavenet.conditioning import PITCHES, VELOCITY_ROWS, between_rows
from symbolic.models.wavenet.configuration import AutoencoderConfig

WIDTH = 64
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # codes of 32 ms: up to 2 s


class CodeWriter(nn.Module):
    """Pitch (B,), velocity (B,) and lengths in samples (B,) → codes (B, F, `code_size`), F those of the longest."""

    scales: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.code_samples = config.code_samples
        self.register_buffer("scales", torch.tensor(SCALES), persistent=False)
        self.pitch = nn.Parameter(torch.randn(PITCHES, WIDTH) * 0.1)
        self.velocity = nn.Parameter(torch.randn(VELOCITY_ROWS, WIDTH) * 0.1)
        self.time = nn.Linear(2 * len(SCALES), WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, config.code_size)

    def forward(self, pitch: Tensor, velocity: Tensor, samples: Tensor) -> Tensor:
        """The codes; those after a note's end are as at its end."""
        count = max(1, -(-int(samples.max()) // self.code_samples))
        middle = torch.arange(count, device=samples.device) + 0.5
        since = middle[None].expand(len(samples), -1)
        left = (samples[:, None] / self.code_samples - since).clamp(min=0)
        times = torch.cat([torch.exp(-since[..., None] / self.scales), torch.exp(-left[..., None] / self.scales)], -1)
        told = between_rows(self.pitch, pitch[:, None]) + between_rows(self.velocity, velocity[:, None] / 16) + self.time(times)
        x = functional.gelu(told)
        return self.last(x + functional.gelu(self.second(x)))
