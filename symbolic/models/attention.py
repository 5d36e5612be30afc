"""Relative attention over a sliding window: the formula's two implementations behind one function.

Shapes: B batch, T tokens of the segment, M memory length, H heads, D width of a head, b queries of a block.
Query i stands at key index M + i and sees the keys i … M + i: itself and the M before it, in training as in generation.
The *band* of a block's scores (b, b + M) is what lies inside the window: column c of row i is key i + c at distance M − c.

Source: Dai et al., "Transformer-XL" (2019), section 3.3: score = (q + u)·k + (q + v)·r(distance).
Different on purpose: the window slides with every query (theirs lets a segment's first query see less than its last),
so the result does not depend on where segments are cut; and the relative shift is a strided view instead of a copy.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 64


def relative_attention(
    queries: Tensor,
    key: Tensor,
    value: Tensor,
    past: tuple[Tensor, Tensor],
    relative: Tensor,
    content_bias: Tensor,
    position_bias: Tensor,
    hidden: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """softmax over the window of (q + u)·k + (q + v)·r, times values, by what is fastest on the device: (H, B, T, D).

    queries: (H, B, T, D), scaled by D^-½ as the biases are; key, value: of the segment, the same shape.
    past: keys and values of memory, (H, B, M, D) each; no gradient goes there.
    relative: (H, M + 1, D), row c for distance M − c; content_bias, position_bias: u and v, (H, D).
    hidden: bool (B, T, M + 1), true where a key may not be seen, or None.
    Gives besides the result the keys and values of the next memory, like `past`.
    """
    past = (past[0].to(key.dtype), past[1].to(value.dtype))
    if queries.device.type == "cpu":
        return WindowAttention.apply(queries, key, value, *past, relative, content_bias, position_bias, hidden)
    return fused_attention(queries, key, value, *past, relative, content_bias, position_bias, hidden)


def fused_attention(
    queries: Tensor,
    key: Tensor,
    value: Tensor,
    past_keys: Tensor,
    past_values: Tensor,
    relative: Tensor,
    content_bias: Tensor,
    position_bias: Tensor,
    hidden: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same by PyTorch's fused attention, block by block, the relative term as its additive mask: for GPUs."""
    T, M = queries.shape[2], relative.shape[1] - 1
    keys, values = torch.cat([past_keys.detach(), key], dim=2), torch.cat([past_values.detach(), value], dim=2)
    content, position = (queries + bias.to(queries.dtype)[:, None, None] for bias in (content_bias, position_bias))
    scores = torch.einsum("hbtd,hcd->hbtc", position, relative)
    if hidden is not None:
        scores = scores.masked_fill(hidden, float("-inf"))
    parts = []
    for start in range(0, T, BLOCK):
        stop = min(start + BLOCK, T)
        window = slice(start, stop + M)
        # b more columns in every row but the last: read b fewer a row, row i stands i columns further right
        wide = functional.pad(scores[:, :, start:stop], (0, stop - start), value=float("-inf")).flatten(-2)
        bias = wide[..., : start - stop].unflatten(-1, (stop - start, stop - start + M))
        parts.append(
            functional.scaled_dot_product_attention(
                content[:, :, start:stop], keys[:, :, window], values[:, :, window], attn_mask=bias, scale=1.0
            )
        )
    return torch.cat(parts, dim=2), _latest(past_keys, key).detach(), _latest(past_values, value).detach()


class WindowAttention(torch.autograd.Function):
    """The same with a hand-written backward pass, for processors; blocks of `BLOCK` queries keep the scores in the cache.

    What is saved is each block's softmax, zero outside the band, so that every product is a plain batched one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        key: Tensor,
        value: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        relative: Tensor,
        content_bias: Tensor,
        position_bias: Tensor,
        hidden: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `relative_attention`."""
        H, B, T, D = queries.shape
        M = relative.shape[1] - 1
        content, position = _biased(queries, content_bias), _biased(queries, position_bias).view(H, B, T, D)
        bias = None if hidden is None else torch.zeros(hidden.shape, dtype=queries.dtype).masked_fill_(hidden, float("-inf"))
        result = queries.new_empty(H, B, T, D)
        flat_result, blocks = result.flatten(0, 1), []
        scores = queries.new_empty(0)
        for start in range(0, T, BLOCK):
            stop = min(start + BLOCK, T)
            if scores.shape[1:2] != (stop - start,):
                scores = queries.new_full((H * B, stop - start, stop - start + M), float("-inf"))
                band = _band_of(scores).unflatten(0, (H, B))
            places = torch.bmm(position[:, :, start:stop].flatten(1, 2), relative.transpose(1, 2)).view(band.shape)
            if bias is None:
                band.copy_(places)
            else:
                torch.add(places, bias[:, start:stop], out=band)
            scores.baddbmm_(content[:, start:stop], _window(past_keys, key, start, stop).transpose(1, 2))
            blocks.append(torch.softmax(scores, dim=-1))
            torch.bmm(blocks[-1], _window(past_values, value, start, stop), out=flat_result[:, start:stop])
        ctx.save_for_backward(queries, key, value, past_keys, past_values, relative, content_bias, position_bias, *blocks)
        keys, values = _latest(past_keys, key), _latest(past_values, value)
        ctx.mark_non_differentiable(keys, values)
        return result, keys, values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The formula's derivative, block by block."""
        queries, key, value, past_keys, past_values, relative, content_bias, position_bias, *blocks = ctx.saved_tensors
        H, B, T, D = queries.shape
        M = relative.shape[1] - 1
        outer = gradients[0].contiguous().flatten(0, 1)
        content, position = _biased(queries, content_bias), _biased(queries, position_bias)
        d_content, d_key, d_value = torch.empty_like(content), torch.zeros_like(content), torch.zeros_like(content)
        d_band = queries.new_empty(H * B, T, M + 1)
        for block, start in zip(blocks, range(0, T, BLOCK), strict=True):
            stop = min(start + BLOCK, T)
            present = max(M - start, 0)  # the block's first column that is a key of the segment
            part = slice(max(start - M, 0), stop)
            d_value[:, part].baddbmm_(block[:, :, present:].transpose(1, 2), outer[:, start:stop])
            d_block = torch.bmm(outer[:, start:stop], _window(past_values, value, start, stop).transpose(1, 2))
            d_scores = torch._softmax_backward_data(d_block, block, -1, block.dtype)
            torch.bmm(d_scores, _window(past_keys, key, start, stop), out=d_content[:, start:stop])
            d_key[:, part].baddbmm_(d_scores[:, :, present:].transpose(1, 2), content[:, start:stop])
            d_band[:, start:stop] = _band_of(d_scores)
        flat = d_band.view(H, B * T, M + 1)
        d_position = torch.bmm(flat, relative)
        d_relative = torch.bmm(flat.transpose(1, 2), position.view(H, B * T, D))
        d_content = d_content.view(H, B * T, D)
        d_biases = [part.sum(1, dtype=torch.float32 if part.dtype == torch.bfloat16 else None) for part in (d_content, d_position)]
        d_queries, d_key, d_value = (part.view(H, B, T, D) for part in (d_content.add_(d_position), d_key, d_value))
        return d_queries, d_key, d_value, None, None, d_relative, d_biases[0], d_biases[1], None


def _biased(queries: Tensor, bias: Tensor) -> Tensor:
    """(H, B, T, D) and (H, D) → (H B, T, D)."""
    return torch.add(queries, bias.to(queries.dtype)[:, None, None], out=queries.new_empty(queries.shape)).flatten(0, 1)


def _window(past: Tensor, new: Tensor, start: int, stop: int) -> Tensor:
    """What queries `start` to `stop` may see of (H, B, M, D) and (H, B, T, D), contiguous: (H B, M + stop − start, D)."""
    M = past.shape[2]
    return torch.cat([past[:, :, start:], new[:, :, max(start - M, 0) : stop]], dim=2).flatten(0, 1)


def _latest(past: Tensor, new: Tensor) -> Tensor:
    """The last M of (H, B, M, D) and (H, B, T, D)."""
    M, T = past.shape[2], new.shape[2]
    return torch.cat([past[:, :, T:], new[:, :, max(T - M, 0) :]], dim=2)


def _band_of(scores: Tensor) -> Tensor:
    """The band of contiguous (N, b, b + M) scores as a view (N, b, M + 1): row i begins one column later than row i − 1."""
    n, b, width = scores.shape
    return scores.as_strided((n, b, width - b + 1), (b * width, width + 1, 1))


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
