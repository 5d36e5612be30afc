"""The decoder sample by sample: each layer keeps what it will look at again (Le Paine et al., "Fast Wavenet Generation", 2016).

This is the plain version in PyTorch, for any device; `NativeDecoder` does the same in machine code and has the same methods.
A draw takes the code where the running sum of probabilities passes a given random number.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symbolic.dsp.mu_law import mu_law_decode
from symbolic.models.wavenet.decoder import Decoder, Layer, gate
from symbolic.models.wavenet.excitation import PAST, periods, taps


@dataclass
class TensorLanes:
    """What lanes remember: the last codes (B,), the sound of the last samples (B, `PAST`), and for each layer (slots, B, C)."""

    codes: Tensor
    past: Tensor
    queues: list[Tensor]
    position: int = 0

    def __len__(self) -> int:
        return len(self.codes)


class TensorDecoder:
    """A decoder that plays; it does not follow later changes of the weights."""

    def __init__(self, decoder: Decoder) -> None:
        self.config, self.decoder = decoder.config, decoder
        layers: list[Layer] = list(decoder.layers)  # type: ignore[arg-type]
        self.matrices = [layer.both.detach().permute(2, 1, 0).flatten(0, 1) for layer in layers]  # (kernel · C, 2C), the oldest first
        self.outs = [(layer.out.weight.detach().T, layer.out.bias.detach()) for layer in layers]

    def lanes(self, count: int) -> TensorLanes:
        """Silence."""
        config, weight = self.config, self.decoder.embedding.detach()
        sizes = [(config.kernel - 1) * dilation for dilation in config.dilations]
        queues = [weight.new_zeros(size, count, config.channels) for size in sizes]
        codes = torch.full((count,), config.levels // 2, device=weight.device)
        return TensorLanes(codes, weight.new_zeros(count, PAST), queues)

    def silence(self, lanes: TensorLanes, lane: int) -> None:
        """Let one lane begin anew."""
        lanes.codes[lane] = self.config.levels // 2
        lanes.past[lane] = 0.0
        for queue in lanes.queues:
            queue[:, lane] = 0.0

    def chosen(self, lanes: TensorLanes, index: np.ndarray) -> TensorLanes:
        """A copy of some lanes."""
        queues = [queue[:, index].clone() for queue in lanes.queues]
        return TensorLanes(lanes.codes[index].clone(), lanes.past[index].clone(), queues, lanes.position)

    @torch.no_grad()
    def step(self, lanes: TensorLanes, biases: tuple[Tensor, ...], clock: Tensor, reach: Tensor, weights: Tensor) -> Tensor:
        """Logits (B, V) of the codes after `lanes.codes`, with the biases (B, 2C) of each layer (`Decoder.condition`).

        `clock` (B, C) is this sample's, `reach` (B, P) and `weights` (B, P, 4) those of `symbolic.models.wavenet.excitation.taps`.
        """
        config, decoder = self.config, self.decoder
        lanes.past[:, (lanes.position - 1) % PAST] = mu_law_decode(lanes.codes, config.levels)
        x = decoder.embedding[lanes.codes] + clock + decoder.excitation.ago(lanes.past, lanes.position, reach, weights)
        total = torch.zeros_like(x)
        for matrix, out, queue, dilation, bias in zip(self.matrices, self.outs, lanes.queues, config.dilations, biases, strict=True):
            places = [(lanes.position - back * dilation) % len(queue) for back in range(config.kernel - 1, 0, -1)]
            gated = gate(torch.addmm(bias, torch.cat([*(queue[place] for place in places), x], 1), matrix))
            queue[lanes.position % len(queue)] = x
            residual, skip = torch.addmm(out[1], gated, out[0]).chunk(2, 1)
            x, total = x + residual, total + skip
        lanes.position += 1
        return decoder.head(torch.relu(decoder.hidden(torch.relu(total))))

    @torch.no_grad()
    def play(
        self, lanes: TensorLanes, conditioning: np.ndarray, cycles: np.ndarray, random: np.ndarray, temperature: np.ndarray
    ) -> np.ndarray:
        """The next codes (B, J · hold) of every lane; `lanes` moves on in place.

        `conditioning` (J, B, W); `cycles` (B, J + 1); `random` (B, J · hold) within 0 … 1; `temperature` (B,): 0 takes the likeliest code.
        """
        device = lanes.codes.device
        scale = torch.from_numpy(1.0 / np.maximum(temperature, 1e-4)).float().to(device)[:, None]
        numbers, told = torch.from_numpy(random).to(device), torch.from_numpy(conditioning).to(device)
        waves, hold = torch.from_numpy(cycles), self.config.hold
        clock = self.decoder.excitation.clocked(waves)
        reach, weights = (part.to(device) for part in taps(periods(waves, hold)))
        drawn = np.empty(random.shape, dtype=np.int64)
        biases: tuple[Tensor, ...] = ()
        for sample in range(random.shape[1]):
            frame = sample // hold
            if sample % hold == 0:
                biases = self.decoder.condition(told[frame]).chunk(self.config.layers, 1)
            logits = self.step(lanes, biases, clock[:, sample], reach[:, frame], weights[:, frame])
            lanes.codes = draw(logits * scale, numbers[:, sample])
            drawn[:, sample] = lanes.codes.cpu()
        return drawn


def draw(logits: Tensor, numbers: Tensor) -> Tensor:
    """Codes (B,) drawn from softmax(logits (B, V)) by numbers (B,) within 0 … 1."""
    sums = torch.softmax(logits, -1).cumsum(-1)
    found = torch.searchsorted(sums, numbers[:, None].to(sums.dtype) * sums[:, -1:], right=True)
    return found[:, 0].clamp(max=logits.shape[-1] - 1)
