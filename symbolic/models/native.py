"""A generation step as one loop of machine code, for the processor: what `Network.step` computes, without a call for every product.

Weights are packed once. "exact" keeps them in half precision where that changes no number (as in every exported model, which is saved
in half precision) and in float32 otherwise; sums are float32 always.

Shapes: L layers, B rows, H heads, D = width / H, S slots of the ring (M + 1), lengths padded to whole panels of `PANEL`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from symbolic.models.echoes import NONE, echoes_of_last
from symbolic.models.memory import DecodingState
from symbolic.models.native_kernels import ARRAYS, PANEL, Shape, compiled_step, padded
from symbolic.models.network import Network

PRECISIONS = {"exact": "", "float32": "float32", "half": "float16", "int8": "int8"}


@dataclass
class NativeState:
    """Keys (L, B, H, S / PANEL, D, PANEL) and values (L, B, H, D / PANEL, S, PANEL) in slots as in `DecodingState`."""

    keys: np.ndarray
    values: np.ndarray
    ages: np.ndarray
    recent: np.ndarray
    position: int
    buffers: dict[str, Any] = field(default_factory=dict)

    def rows(self, index: Tensor) -> "NativeState":
        """The state of chosen rows, copied."""
        chosen = index.numpy()
        keys, values = (np.ascontiguousarray(part[:, chosen]) for part in (self.keys, self.values))
        return NativeState(keys, values, self.ages[chosen], self.recent[chosen], self.position)


class NativeModel:
    """The packed weights of a model; they do not follow later changes of it. `precision` is one of `PRECISIONS`.

    Raises `ValueError` for a model that has no native step (see `fits`).
    """

    def __init__(self, model: Network, precision: str = "exact") -> None:
        if not fits(model):
            raise ValueError("a native step needs float32 weights on the processor, and widths that are multiples of 4")
        config = model.config
        self.recent, self.echo_lengths = model.embeddings.recent_tokens, model.embeddings.echo_lengths
        self.before = self.recent + len(self.echo_lengths)
        sizes = [config.vocab_size, config.bar_cycle, config.beats_per_bar, config.positions_per_beat, *[config.vocab_size] * self.before]
        self.offsets = np.cumsum(sizes)  # of the tables behind that of tokens; where the last ends is a row of zeros
        self.bar_cycle, self.vocabulary = config.bar_cycle, config.vocab_size
        with torch.no_grad():
            matrices, vectors, scales = _weights(model)
            kind = PRECISIONS[precision] or ("float16" if all(torch.equal(part.half().float(), part) for part in matrices) else "float32")
            if kind == "int8":
                for place, (matrix, scale) in enumerate(zip(matrices, scales, strict=True)):
                    scale[: len(matrix)] = (matrix.abs().amax(1) / 127).clamp(min=1e-12)
                    matrices[place] = (matrix / scale[: len(matrix), None]).round()
            self.weights = np.concatenate([_panels(matrix).numpy().ravel() for matrix in matrices]).astype(kind)
            self.vectors = torch.cat(vectors).numpy()
            embeddings = model.embeddings
            tables = (embeddings.token, embeddings.bar, embeddings.beat, embeddings.subdivision)
            parts = [*(table.weight for table in tables), *embeddings.before_tables(), torch.zeros(1, config.hidden_size)]
            self.tables = _wide(torch.cat(parts)).numpy()
            positions = model._positions(torch.arange(config.memory_length, -1, -1))
            self.relative = torch.stack([_key_panels(block.attention.relative_keys(positions)) for block in model.layers()]).numpy()
        heads, width = config.num_attention_heads, config.hidden_size
        self.shape = Shape(
            config.num_hidden_layers, heads, width // heads, width, config.intermediate_size, config.vocab_size,
            config.memory_length + 1, kind, self.before,
        )  # fmt: skip
        maker = ThreadPoolExecutor(1)
        self.code = maker.submit(compiled_step, self.shape)  # LLVM works beside what the caller does until the first step
        maker.shutdown(wait=False)

    def state(self, state: DecodingState) -> NativeState:
        """The same memory as a native one; the other is not touched."""
        keys = torch.stack([_key_panels(part) for part in state.keys]).numpy()
        values = torch.stack([_value_panels(part) for part in state.values]).numpy()
        return NativeState(keys, values, state.ages.numpy().copy(), state.recent.numpy().astype(np.int32), state.position)

    def step(self, ids: Tensor, beats: Tensor, state: NativeState) -> Tensor:
        """Logits (B, V) after one more token, ids (B,), beats (B, 3); `state` moves on in place."""
        if not state.buffers:
            state.buffers = self._buffers(state)
        buffers = state.buffers
        state.ages += 1
        buffers["counts"][1] = state.position
        buffers["ids"][:] = ids
        places = buffers["places"]
        places[:, :3] = beats
        places[:, 0] %= self.bar_cycle
        seen = np.concatenate((state.recent, ids.numpy()[:, None]), axis=1, dtype=np.int32)
        places[:, 3:] = self._before(seen, state.ages)
        places[:, 3:] += np.where(places[:, 3:] == NONE, self.offsets[-1] - NONE, self.offsets[3:-1])
        places[:, :3] += self.offsets[:3]
        state.recent = seen[:, 1:]
        self.code.result()(buffers["address"])
        state.position += 1
        return torch.from_numpy(buffers["logits"][:, : self.vocabulary].copy())

    def _before(self, seen: np.ndarray, ages: np.ndarray) -> np.ndarray:
        """The ids before the last of seen (B, R + 1) that it is told of, (B, recent tokens and echoes), `NONE` where there is none."""
        last = seen.shape[1] - 1
        recent = np.where(ages[:, None] < np.arange(self.recent, 0, -1), NONE, seen[:, last - self.recent : last])
        return np.concatenate((recent, echoes_of_last(seen, ages, self.echo_lengths)), axis=1) if self.echo_lengths else recent

    def _buffers(self, state: NativeState) -> dict[str, Any]:
        """Every array the machine code works on, by the names of `ARRAYS`, and the `address` of their addresses."""
        B, shape = len(state.ages), self.shape
        C, S = shape.C, shape.S
        sizes = {
            "states": C, "normed": C, "mixed": padded(3 * shape.width), "content": C + PANEL, "placed": C + PANEL, "shifted": S,
            "attended": C + PANEL, "added": C, "inner": padded(shape.inner), "logits": padded(shape.vocabulary),
        }  # fmt: skip
        arrays: dict[str, Any] = {name: np.zeros((B, size), dtype=np.float32) for name, size in sizes.items()}
        arrays |= {name: np.zeros(S, dtype=np.float32) for name in ("rotated", "scores")}
        arrays["rotated"][shape.size :] = -1e30  # padding is never seen
        arrays |= {"ids": np.zeros(B, np.int64), "places": np.zeros((B, 3 + self.before), np.int64)}
        arrays |= {"counts": np.array([B, 0]), "ages": state.ages}
        arrays |= {"tables": self.tables, "weights": self.weights, "vectors": self.vectors, "relative": self.relative}
        arrays |= {"keys": state.keys, "values": state.values}
        addresses = np.array([arrays[name].ctypes.data for name in ARRAYS])
        return arrays | {"addresses": addresses, "address": addresses.ctypes.data}


def fits(model: Network) -> bool:
    """Whether a model has a native step: float32 on the processor, and widths that are multiples of 4 (a product takes 4 inputs a turn)."""
    config = model.config
    widths = (config.hidden_size, config.hidden_size // config.num_attention_heads)
    return model.device.type == "cpu" and model.dtype == torch.float32 and not any(width % 4 for width in widths)


def _weights(model: Network) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Matrices (outputs, inputs), vectors and the vectors that scale each matrix's outputs, in the order the step uses them."""
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    scales: list[Tensor] = []

    def matrix(weight: Tensor) -> None:
        matrices.append(_wide(weight))
        scales.append(torch.ones(padded(len(weight))))
        vectors.append(scales[-1])

    def vector(*parts: Tensor) -> None:
        vectors.extend(_wide(part.reshape(-1)) for part in parts)

    for block in model.layers():
        attention, factor = block.attention, block.attention.width**-0.5
        vector(block.attention_norm.weight, block.attention_norm.bias)
        matrix(torch.cat([attention.query.weight, attention.key_value.weight]))
        vector(attention.content_bias * factor, attention.position_bias * factor)
        matrix(attention.output.weight)
        vector(block.feed_forward_norm.weight, block.feed_forward_norm.bias)
        matrix(block.inner.weight)
        vector(block.inner.bias)
        matrix(block.outer.weight)
        vector(block.outer.bias)
    vector(model.norm.weight, model.norm.bias)
    matrix(model.head.weight)
    vector(model.head.bias)
    return matrices, vectors, scales


def _wide(rows: Tensor) -> Tensor:
    """(…, n) → (…, n padded with zeros), contiguous."""
    return functional.pad(rows.detach(), (0, padded(rows.shape[-1]) - rows.shape[-1])).contiguous()


def _panels(weight: Tensor) -> Tensor:
    """A matrix (outputs, inputs) → (panels, inputs, PANEL)."""
    return _wide(weight.T).unflatten(-1, (-1, PANEL)).transpose(0, 1).contiguous()


def _key_panels(keys: Tensor) -> Tensor:
    """(…, M + 1, D) → (…, S / PANEL, D, PANEL)."""
    return _wide(keys.transpose(-1, -2)).unflatten(-1, (-1, PANEL)).transpose(-2, -3).contiguous()


def _value_panels(values: Tensor) -> Tensor:
    """(…, M + 1, D) → (…, D / PANEL, S, PANEL)."""
    rows = padded(values.shape[-2]) - values.shape[-2]
    return functional.pad(_wide(values), (0, 0, 0, rows)).unflatten(-1, (-1, PANEL)).transpose(-2, -3).contiguous()
