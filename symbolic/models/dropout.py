"""Dropout whose masks cost little on a processor, where PyTorch draws one random float for every value."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dropout(nn.Dropout):
    """As `nn.Dropout`; on a processor four 16-bit numbers are cut from every 64 random bits, so `p` is rounded to 1/65536."""

    def forward(self, input: Tensor) -> Tensor:
        """Zero with probability p, scaled by what is kept."""
        if not self.training or self.p == 0:
            return input
        if input.device.type != "cpu":
            return functional.dropout(input, self.p)
        return input * mask(input.shape, self.p, input.dtype)


def mask(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """0 where dropped, 1 / (share kept) elsewhere, from the global random state of the processor."""
    size = shape.numel()
    dropped = round(p * 65536)
    numbers = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:size]
    kept = torch.ge(numbers, dropped - 32768, out=torch.empty(size, dtype=dtype))
    return kept.mul_(65536 / max(65536 - dropped, 1)).view(shape)
