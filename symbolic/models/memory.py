"""What a model remembers between calls: of training and scoring, and of generation.

Shapes: B batch, M memory length, H heads, D width of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Memory:
    """Keys and values of the last M tokens at each layer, without gradient, how old the piece is, and the last R ids.

    keys, values: one (H, B, M, D) for each layer; ages: (B,) tokens of the piece seen so far, less one (−1 before the first);
    recent: (B, R), the newest last; what is older than the piece does not count.
    """

    keys: list[Tensor]
    values: list[Tensor]
    ages: Tensor
    recent: Tensor

    def rows(self, index: Tensor) -> "Memory":
        """The memory of chosen rows: a branch into several takes, or a new order of the batch."""
        keys, values = [keys[:, index] for keys in self.keys], [values[:, index] for values in self.values]
        return Memory(keys, values, self.ages[index], self.recent[index])

    @staticmethod
    def joined(parts: "Sequence[Memory]") -> "Memory":
        """Several memories as the rows of one."""
        keys = [torch.cat(rows, dim=1) for rows in zip(*(part.keys for part in parts), strict=True)]
        values = [torch.cat(rows, dim=1) for rows in zip(*(part.values for part in parts), strict=True)]
        return Memory(keys, values, torch.cat([part.ages for part in parts]), torch.cat([part.recent for part in parts]))


@dataclass
class DecodingState:
    """Keys and values of the last M + 1 tokens in a ring, for generation token by token; a step costs O(M).

    keys, values: for each layer (B, H, M + 1, D); slot p mod (M + 1) holds position p.
    relative: for each layer (H, 2 (M + 1), D), laid out so that a slice of M + 1 rows fits the ring at any position.
    recent: (B, R), the last ids, the newest last.
    """

    keys: list[Tensor]
    values: list[Tensor]
    relative: list[Tensor]
    ages: Tensor
    recent: Tensor
    position: int

    def rows(self, index: Tensor) -> "DecodingState":
        """The state of chosen rows, copied."""
        keys, values = [k[index] for k in self.keys], [v[index] for v in self.values]
        return DecodingState(keys, values, self.relative, self.ages[index], self.recent[index], self.position)
