"""Pairs of operations whose first result is computed again in the backward pass instead of being kept: less memory for 1 % more time.

Shapes: n is any number of dimensions, C and K are widths.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def normed_linear(states: Tensor, norm: nn.LayerNorm, weights: Sequence[Tensor], bias: Tensor | None = None) -> Tensor:
    """linear(norm(states)): (n, C) → (n, K), weights (K', C), one below the other K rows, bias (K,)."""
    kind = _kind(states, norm.weight)
    parts = [weight.to(kind) for weight in weights]
    return NormedLinear.apply(
        states, norm.weight, norm.bias, torch.cat(parts) if len(parts) > 1 else parts[0], None if bias is None else bias.to(kind), norm.eps
    )


def gelu_linear(states: Tensor, linear: nn.Linear) -> Tensor:
    """linear(gelu(states)): (n, K) → (n, C)."""
    kind = _kind(states, linear.weight)
    return GeluLinear.apply(states.to(kind), linear.weight.to(kind), linear.bias.to(kind))


def _kind(states: Tensor, weight: Tensor) -> torch.dtype:
    """What a product of the two is computed in: the type of autocast, or that of the weight."""
    device = states.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


class NormedLinear(torch.autograd.Function):
    """Keeps the states, not the normed ones."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, gain: Tensor, shift: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
        """As `normed_linear`, all in the types they come in."""
        ctx.save_for_backward(states, gain, shift, weight)
        ctx.eps, ctx.biased = eps, bias is not None
        return functional.linear(functional.layer_norm(states, gain.shape, gain, shift, eps).to(weight.dtype), weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The formula's derivative."""
        states, gain, shift, weight = ctx.saved_tensors
        outer = gradients[0].flatten(0, -2)
        normed, mean, deviation = torch.native_layer_norm(states, gain.shape, gain, shift, ctx.eps)
        d_weight = outer.t() @ normed.to(weight.dtype).flatten(0, -2)
        d_normed = (outer @ weight).to(states.dtype).view_as(states)
        d_states, d_gain, d_shift = torch.ops.aten.native_layer_norm_backward(
            d_normed, states, gain.shape, mean, deviation, gain, shift, [True, True, True]
        )
        return d_states, d_gain, d_shift, d_weight, outer.sum(0) if ctx.biased else None, None


class GeluLinear(torch.autograd.Function):
    """Keeps what enters the GELU, not what leaves it."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """As `gelu_linear`."""
        ctx.save_for_backward(states, weight)
        return functional.linear(functional.gelu(states), weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """The formula's derivative."""
        states, weight = ctx.saved_tensors
        outer = gradients[0].flatten(0, -2)
        d_weight = outer.t() @ functional.gelu(states).flatten(0, -2)
        d_states = torch.ops.aten.gelu_backward((outer @ weight).view_as(states), states)
        return d_states, d_weight, outer.sum(0)
