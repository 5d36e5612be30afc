"""Playing in machine code: what `TensorDecoder` computes, without a call of PyTorch for every product.

Weights are packed once: in half of their bytes where that changes no number (those of a saved voice are rounded to bfloat16), and in
float32 otherwise; sums are float32 always. A lane gives the same bits whatever lanes are beside it.

Shapes: B lanes, C channels, L layers, W width of conditioning, V levels.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symbolic.dsp.mu_law import mu_law_table
from symbolic.models.native_code import LANES
from symbolic.models.wavenet.decoder import Decoder, Layer
from symbolic.models.wavenet.excitation import PAST, periods, taps
from symbolic.models.wavenet.native_kernels import ARRAYS, Shape, compiled, layout


@dataclass
class Lanes:
    """What lanes remember: the last codes (B,), the sound of the last samples (B, `PAST`), and the queues of all layers, (slots, B, C)
    one after another."""

    codes: np.ndarray
    past: np.ndarray
    queues: np.ndarray
    position: int = 0
    buffers: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)


class NativeDecoder:
    """The packed weights of a decoder; they do not follow later changes of it. `processor` as for `machine_code`."""

    def __init__(self, decoder: Decoder, processor: str = "") -> None:
        config = decoder.config
        self.config = config
        layers: list[Layer] = list(decoder.layers)  # type: ignore[arg-type]
        C, L = config.channels, config.layers
        with torch.no_grad():
            conditions = decoder.condition.weight.view(L, 2 * C, -1)
            matrices: list[tuple[Tensor, bool]] = []  # (outputs, inputs), and whether it makes waves and gates
            biases: list[Tensor] = []
            for layer, condition, bias in zip(layers, conditions, decoder.condition.bias.view(L, -1), strict=True):
                matrices += [(condition, True), (layer.both.permute(0, 2, 1).flatten(1), True), (layer.out.weight, False)]
                biases += [bias, layer.out.bias]
            matrices += [(decoder.hidden.weight, False), (decoder.head.weight, False)]
            exact = all(torch.equal(matrix.bfloat16().float(), matrix) for matrix, _ in matrices)
            self.kind = "bfloat16" if exact else "float32"
            rows, panel = layout(C, processor)
            half = panel // 2 * LANES
            order = torch.arange(2 * C).view(2, -1, half).transpose(0, 1).flatten()  # waves, their gates, the next waves …
            width = panel * LANES
            packed = [_packed(matrix[order] if mixed else matrix, width, self.kind) for matrix, mixed in matrices]
            self.weights = np.concatenate(packed)
            biases = [bias[order] if place % 2 == 0 else bias for place, bias in enumerate(biases)]
            self.biases = torch.cat([*biases, decoder.hidden.bias, decoder.head.bias]).numpy().copy()
            self.embedding = decoder.embedding.detach().numpy().copy()
            self.lags = decoder.excitation.past.detach().numpy().copy()
        self.excitation, self.table = decoder.excitation, mu_law_table(config.levels)
        self.shape = Shape(C, L, config.kernel, config.levels, config.conditioning, config.hold, self.kind, rows, panel, processor)
        self.dilations = np.array(config.dilations, dtype=np.int64)
        sizes = (config.kernel - 1) * self.dilations
        self.places, self.slots = np.concatenate([[0], np.cumsum(sizes)[:-1]]), int(sizes.sum())
        self.code = compiled(self.shape)

    def lanes(self, count: int) -> Lanes:
        """Silence."""
        codes = np.full(count, self.config.levels // 2, dtype=np.int64)
        return Lanes(
            codes, np.zeros((count, PAST), dtype=np.float32), np.zeros((self.slots, count, self.config.channels), dtype=np.float32)
        )

    def silence(self, lanes: Lanes, lane: int) -> None:
        """Let one lane begin anew."""
        lanes.codes[lane] = self.config.levels // 2
        lanes.past[lane] = 0.0
        lanes.queues[:, lane] = 0.0

    def chosen(self, lanes: Lanes, index: np.ndarray) -> Lanes:
        """A copy of some lanes."""
        return Lanes(lanes.codes[index].copy(), lanes.past[index].copy(), np.ascontiguousarray(lanes.queues[:, index]), lanes.position)

    def play(self, lanes: Lanes, conditioning: np.ndarray, cycles: np.ndarray, random: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """The next codes (B, J · hold) of every lane; `lanes` moves on in place.

        `conditioning` (J, B, W); `cycles` (B, J + 1); `random` (B, J · hold) within 0 … 1; `temperature` (B,): 0 takes the likeliest code.
        """
        frames, count = len(conditioning), len(lanes)
        samples = frames * self.config.hold
        if not lanes.buffers:
            lanes.buffers = self._buffers(lanes)
        arrays = lanes.buffers
        arrays["counts"][:] = count, frames, lanes.position
        arrays["scale"][:] = 1.0 / np.maximum(temperature, 1e-4)
        arrays["drawn"] = np.empty((count, samples), dtype=np.int64)
        arrays["conditioning"] = np.ascontiguousarray(conditioning, dtype=np.float32)
        arrays["random"] = np.ascontiguousarray(random, dtype=np.float32)
        shapes = conditioning.shape, cycles.shape, random.shape
        if shapes != ((frames, count, self.config.conditioning), (count, frames + 1), (count, samples)):
            raise ValueError(f"conditioning, cycles and random {shapes} do not fit {count} lanes")
        waves = torch.from_numpy(cycles)
        with torch.no_grad():
            arrays["clock"] = self.excitation.clocked(waves).numpy()
        arrays["reach"], arrays["taps"] = (part.transpose(0, 1).contiguous().numpy() for part in taps(periods(waves, self.config.hold)))
        addresses = np.array([arrays[name].ctypes.data for name in ARRAYS])
        self.code(addresses.ctypes.data)
        lanes.position += samples
        return arrays["drawn"]

    def _buffers(self, lanes: Lanes) -> dict[str, Any]:
        """The arrays that the machine code works on, by the names of `ARRAYS`."""
        B, C, V, L = len(lanes), self.config.channels, self.config.levels, self.config.layers
        sizes = {"held": L * B * 2 * C, "x": B * C, "total": B * C, "gated": B * C, "hidden": max(B * 2 * C, LANES + V), "logits": B * V}
        arrays: dict[str, Any] = {name: np.zeros(size, dtype=np.float32) for name, size in sizes.items()}
        arrays |= {"counts": np.zeros(3, np.int64), "scale": np.ones(B, np.float32), "codes": lanes.codes, "queues": lanes.queues}
        arrays |= {
            "past": lanes.past,
            "table": self.table,
            "lags": self.lags,
            "embedding": self.embedding,
            "weights": self.weights,
            "biases": self.biases,
        }
        return arrays | {"dilations": self.dilations, "places": self.places}


def _packed(matrix: Tensor, width: int, kind: str) -> np.ndarray:
    """A matrix (outputs, inputs) → panels of `width` outputs, input after input, flat."""
    outputs, inputs = matrix.shape
    panels = matrix.T.reshape(inputs, outputs // width, width).transpose(0, 1).contiguous().numpy()
    if kind == "float32":
        return panels.ravel()
    halves = (panels.view(np.uint32) >> 16).reshape(-1, inputs // 2, 2, width)
    return (halves[:, :, 0] | (halves[:, :, 1] << 16)).view(np.int32).ravel()
