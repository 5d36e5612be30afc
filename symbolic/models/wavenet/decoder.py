"""The decoder: µ-law codes so far and conditioning vectors in, logits of the next code out.

Gated dilated causal convolutions with residual and skip connections (van den Oord et al., "WaveNet", 2016), conditioned by a bias for
each layer as in NSynth (Engel et al., 2017). The embedding of codes begins as a straight line in their value, so that neighbours are
alike from the start. Before its first sample every sound was silent: layers see zeros there, and the first code fed in is silence.

Shapes: B rows, T samples, J = T / hold conditioning vectors, W their width, C channels, L layers, V levels.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.excitation import Excitation


class Layer(nn.Module):
    """One gated convolution; its weights begin so that the sum over all layers keeps its size."""

    def __init__(self, config: WavenetConfig, dilation: int) -> None:
        super().__init__()
        C = config.channels
        self.dilation, self.kernel = dilation, config.kernel
        self.both = nn.Parameter(torch.randn(2 * C, C, config.kernel) * (C * config.kernel) ** -0.5)
        self.out = nn.Linear(C, 2 * C)
        nn.init.normal_(self.out.weight, std=(C * config.layers) ** -0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, T) and bias (B, 2C, J) → the next layer's x, and what is skipped to the end, both (B, C, T)."""
        padded = functional.pad(x, ((self.kernel - 1) * self.dilation, 0))
        both = functional.conv1d(padded, self.both, dilation=self.dilation)
        held = both.unflatten(-1, (bias.shape[-1], -1)) + bias[..., None]
        gated = gate(held.flatten(-2))
        residual, skip = functional.conv1d(gated, self.out.weight[..., None], self.out.bias).chunk(2, 1)
        return x + residual, skip


class Decoder(nn.Module):
    """The whole decoder, for many samples at once."""

    def __init__(self, config: WavenetConfig) -> None:
        super().__init__()
        C, L = config.channels, config.layers
        self.config = config
        values = (torch.arange(config.levels) - config.levels // 2) / (config.levels // 2 - 1)
        self.embedding = nn.Parameter(values[:, None] * torch.randn(C) + 0.1 * torch.randn(config.levels, C))
        self.excitation = Excitation(config, C)
        self.layers = nn.ModuleList(Layer(config, dilation) for dilation in config.dilations)
        self.condition = nn.Linear(config.conditioning, L * 2 * C)
        nn.init.normal_(self.condition.weight, std=0.5 * config.conditioning**-0.5)
        self.hidden = nn.Linear(C, 2 * C)
        self.head = nn.Linear(2 * C, config.levels)
        nn.init.normal_(self.head.weight, std=0.1 * (2 * C) ** -0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, codes: Tensor, conditioning: Tensor, cycles: Tensor) -> Tensor:
        """Logits (B, T, V) of every sample's code, from the codes (B, T) before it, conditioning (B, J, W) and cycles (B, J + 1)."""
        start = codes.new_full((len(codes), 1), self.config.levels // 2)
        seen = self.embedding[torch.cat([start, codes[:, :-1]], 1)] + self.excitation(codes, cycles)
        x = seen.transpose(1, 2)
        biases = self.condition(conditioning).transpose(1, 2).chunk(self.config.layers, 1)
        total: Tensor | None = None
        for layer, bias in zip(self.layers, biases, strict=True):
            x, skip = layer(x, bias)
            total = skip if total is None else total + skip
        assert total is not None
        hidden = torch.relu(self.hidden(torch.relu(total.transpose(1, 2)))).to(self.head.weight.dtype)
        with torch.autocast(hidden.device.type, enabled=False):  # a logit of 10 in bfloat16 is known to 0.03 only
            return self.head(hidden)


def bits_per_sample(logits: Tensor, codes: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean cost in bits of codes (B, T) under logits (B, T, V), over the samples that are `counted` (B, T) of True, or all."""
    nats = functional.cross_entropy(logits.flatten(0, 1).float(), codes.flatten(), reduction="none").view_as(codes)
    mean = nats.mean() if counted is None else (nats * counted).sum() / counted.sum().clamp(min=1)
    return mean / math.log(2)


def gate(both: Tensor) -> Tensor:
    """Waves and their gates (B, 2C, …) → (B, C, …)."""
    wave, opening = both.chunk(2, 1)
    return torch.tanh(wave) * torch.sigmoid(opening)
