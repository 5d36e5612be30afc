"""Relative attention over a sliding window, with a hand-written backward pass.

Shapes: B batch, T tokens of the segment, M memory length, H heads, D width of a head, b queries of a block.
Query i stands at key index M + i and sees the keys i … M + i: itself and the M before it, in training as in generation.
The scores are kept as a *band*, column c of row i being key i + c at distance M − c, so nothing outside the window is stored.

Source: Dai et al., "Transformer-XL" (2019), section 3.3: score = (q + u)·k + (q + v)·r(distance).
Different on purpose: the window slides with every query (theirs lets a segment's first query see less than its last),
so the result does not depend on where segments are cut; and the relative shift is a strided view instead of a copy.
"""

from typing import Any

import torch
from torch import Tensor

BLOCK = 64


class BandAttention(torch.autograd.Function):
    """softmax over the band, times values; blocks of `BLOCK` queries keep the scores in the processor's cache."""

    @staticmethod
    def forward(
        ctx: Any, content: Tensor, position: Tensor, keys: Tensor, values: Tensor, relative: Tensor, hidden: Tensor | None
    ) -> Tensor:
        """Attend.

        content, position: queries with their biases added and scaled, (H, B, T, D).
        keys, values: of memory and segment, (H, B, M + T, D); relative: (H, M + 1, D), row c for distance M − c.
        hidden: bool (B, T, M + 1), true where a key may not be seen, or None. Gives (H, B, T, D).
        """
        H, B, T, D = content.shape
        M = relative.shape[1] - 1
        result = torch.empty_like(content)
        band = content.new_empty(H, B, T, M + 1)
        dense = content.new_zeros(0)
        for start in range(0, T, BLOCK):
            stop = min(start + BLOCK, T)
            b = stop - start
            block_keys = keys[:, :, start : stop + M]
            scores = torch.matmul(content[:, :, start:stop], block_keys.transpose(-1, -2))
            relative_scores = torch.bmm(position[:, :, start:stop].reshape(H, B * b, D), relative.transpose(1, 2)).view(H, B, b, M + 1)
            relative_scores += _band_of(scores)
            if hidden is not None:
                relative_scores.masked_fill_(hidden[None, :, start:stop], float("-inf"))
            weights = torch.softmax(relative_scores, dim=-1)
            band[:, :, start:stop] = weights
            if dense.shape != scores.shape:
                dense = scores.new_zeros(scores.shape)
            _band_of(dense).copy_(weights)
            result[:, :, start:stop] = torch.matmul(dense, values[:, :, start : stop + M])
        ctx.save_for_backward(content, position, keys, values, relative, band)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The formula's derivative, block by block; the weights of the band are the only saved product."""
        content, position, keys, values, relative, band = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        H, B, T, D = content.shape
        M = relative.shape[1] - 1
        d_content, d_position = torch.empty_like(content), torch.empty_like(position)
        d_keys, d_values, d_relative = torch.zeros_like(keys), torch.zeros_like(values), torch.zeros_like(relative)
        dense = content.new_zeros(0)
        for start in range(0, T, BLOCK):
            stop = min(start + BLOCK, T)
            b = stop - start
            window = slice(start, stop + M)
            if dense.shape[2:] != (b, b + M):
                dense = content.new_zeros(H, B, b, b + M)
            weights, outer = band[:, :, start:stop], gradient[:, :, start:stop]
            _band_of(dense).copy_(weights)
            d_values[:, :, window] += torch.matmul(dense.transpose(-1, -2), outer)
            d_weights = _band_of(torch.matmul(outer, values[:, :, window].transpose(-1, -2)))
            d_scores = weights * (d_weights - (weights * d_weights).sum(-1, keepdim=True))
            _band_of(dense).copy_(d_scores)
            d_content[:, :, start:stop] = torch.matmul(dense, keys[:, :, window])
            d_keys[:, :, window] += torch.matmul(dense.transpose(-1, -2), content[:, :, start:stop])
            flat = d_scores.reshape(H, B * b, M + 1)
            d_position[:, :, start:stop] = torch.bmm(flat, relative).view(H, B, b, D)
            d_relative += torch.bmm(flat.transpose(1, 2), position[:, :, start:stop].reshape(H, B * b, D))
        return d_content, d_position, d_keys, d_values, d_relative, None


def _band_of(scores: Tensor) -> Tensor:
    """The band of contiguous (H, B, b, b + M) scores as a view (H, B, b, M + 1): row i begins one column later than row i − 1."""
    H, B, b, width = scores.shape
    return scores.as_strided((H, B, b, width - b + 1), (B * b * width, b * width, width + 1, 1))


def sinusoids(distances: Tensor, width: int) -> Tensor:
    """Sinusoidal encoding of distances in tokens, (n,) → (n, width): sines, then cosines, of wavelengths 2π to 20000π."""
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, device=distances.device, dtype=torch.float32) / width)
    angles = distances.to(torch.float32)[:, None] * frequencies[None]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def window_mask(ages: Tensor, memory_length: int) -> Tensor | None:
    """Which of the band's keys are before the piece's beginning: bool (B, T, M + 1), or None when no key is.

    ages: number of tokens of the same piece before each token, int (B, T). Age 0 sees only itself.
    """
    if bool((ages >= memory_length).all()):
        return None
    distances = torch.arange(memory_length, -1, -1, device=ages.device)
    return distances > ages.clamp(min=0)[..., None]
