"""What a model remembers between calls: of training and scoring, and of generation.

Shapes: B batch, M memory length, C hidden width, H heads, D width of a head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Memory:
    """Hidden states entering each layer at the last M tokens, without gradient, and how old the piece is.

    states: one (B, M, C) for each layer; ages: (B,) tokens of the piece seen so far, less one (−1 before the first).
    """

    states: list[Tensor]
    ages: Tensor

    def rows(self, index: Tensor) -> "Memory":
        """The memory of chosen rows: a branch into several takes, or a new order of the batch."""
        return Memory([state[index] for state in self.states], self.ages[index])


@dataclass
class DecodingState:
    """Keys and values of the last M + 1 tokens in a ring, for generation token by token; a step costs O(M).

    keys, values: for each layer (B, H, M + 1, D); slot p mod (M + 1) holds position p.
    relative: for each layer (H, 2 (M + 1), D), laid out so that a slice of M + 1 rows fits the ring at any position.
    """

    keys: list[Tensor]
    values: list[Tensor]
    relative: list[Tensor]
    ages: Tensor
    position: int

    def rows(self, index: Tensor) -> "DecodingState":
        """The state of chosen rows, copied."""
        return DecodingState([k[index] for k in self.keys], [v[index] for v in self.values], self.relative, self.ages[index], self.position)


def advanced(states: Tensor, segment: Tensor) -> Tensor:
    """The last M of memory and segment, without gradient: (B, M, C), (B, T, C) → (B, M, C)."""
    M, T = states.shape[1], segment.shape[1]
    kept = segment[:, T - M :] if T >= M else torch.cat([states[:, T:], segment], dim=1)
    return kept.detach()
