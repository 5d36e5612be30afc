"""What the decoder is told besides the codes of the sound so far: one vector for each `hold` samples (2 ms).

Temporal codes are drawn out to straight lines between their middles; pitch (MIDI number, fractions too) and velocity (0 … 127) come
from tables, in straight lines between two rows, so that what lies between trained notes is between them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from symbolic.models.wavenet.configuration import AutoencoderConfig

PITCHES = 128
VELOCITY_ROWS = 9  # velocities 0, 16, … 128


class Conditioning(nn.Module):
    """Codes (B, F, `code_size`), pitch (B,) or (B, J), velocity (B,) → vectors (B, J, W), J = F · code_samples / hold."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        W = config.conditioning
        self.steps = config.code_samples // config.hold
        self.codes = nn.Linear(config.code_size, W)
        self.pitch = nn.Parameter(torch.randn(PITCHES, W) * 0.5)
        self.velocity = nn.Parameter(torch.randn(VELOCITY_ROWS, W) * 0.1)
        self.mixed = nn.Linear(W, W)

    def forward(self, codes: Tensor, pitch: Tensor, velocity: Tensor) -> Tensor:
        """The vectors, each within −1 … 1."""
        drawn = self.codes(drawn_out(codes, self.steps))
        pitch, velocity = (part[:, None] if part.ndim == 1 else part for part in (pitch, velocity / 16))
        told = drawn + between_rows(self.pitch, pitch) + between_rows(self.velocity, velocity)
        return torch.tanh(self.mixed(functional.gelu(told)))


def drawn_out(codes: Tensor, steps: int) -> Tensor:
    """(B, F, K) → (B, F · steps, K): `steps` vectors for each code, on straight lines between the middles of codes, held at both ends."""
    before = torch.cat([codes[:, :1], codes[:, :-1]], 1)
    after = torch.cat([codes[:, 1:], codes[:, -1:]], 1)
    place = ((torch.arange(steps, device=codes.device, dtype=codes.dtype) + 0.5) / steps - 0.5)[:, None]  # −½ … ½ around the middle
    neighbour = torch.where(place < 0, before[:, :, None], after[:, :, None])
    return (codes[:, :, None] * (1 - place.abs()) + neighbour * place.abs()).flatten(1, 2)


def between_rows(table: Tensor, where: Tensor) -> Tensor:
    """Rows of a table (N, W) at the places `where` (…), fractions on straight lines: (…, W). Places beyond the ends take the last row."""
    where = where.to(table.dtype).clamp(0, len(table) - 1)
    low = where.floor().long().clamp(max=len(table) - 2)
    share = (where - low)[..., None]
    return table[low] * (1 - share) + table[low + 1] * share
