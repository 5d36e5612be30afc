"""A voice's decoder in machine code, for playing without torch: rows of pitch and loudness in, amplitudes and gains out.

What is played from a score has no timbre code, so what the code's layers say of zeros is added to the biases of what comes after them.
The same numbers as `decoder.VoiceDecoder` gives, which a test holds this to. Shapes: B rows, F frames, G = F / stride steps, K partials,
M noise bands, H memory. Matrices lie in panels of 32 outputs, input after input, so that a panel's sums stay in registers while several
rows go through it; products and the GRU are written for LLVM, what is done to single numbers is left to numba.
"""

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from symbolic.dsp.a_weighting import RANGE_DB
from symbolic.dsp.compiled import compiled
from symbolic.errors import InputError
from symbolic.models.native_code import FLOAT, INTEGER, LANES, VECTOR, Array, Code, Number, Variable, machine_code
from symbolic.models.voices.configuration import VoiceConfig, read_config

PANEL = 2 * LANES
# Rows that go through a panel together where there are 32 wide registers: their sums stay there while each weight is read once. The memory
# has as many rows as phrases play together, and a weight that waits in a slower cache for every row would cost more than the products.
GROUPS = {"multiply": (6, 1), "remember": (4, 2, 1)}
BEND, CEILING, REFERENCE_DB = 400.0, 6.0, 19.8  # as in `decoder` and `layers`, which import torch
PERIODS = (48.0, 24.0, 12.0, 6.0)


class NativeDecoder:
    """The decoder of a voice. It holds no state: the GRU's memory (B, H) is taken and given. Calls may run in several threads."""

    def __init__(self, config: VoiceConfig, weights: Mapping[str, np.ndarray]) -> None:
        self.config = config
        parts = {name: np.asarray(part, np.float32) for name, part in weights.items() if not name.startswith("encoder.")}
        if config.code:
            parts |= _without_code(parts, 2 * config.width, config.memory)
        names = ("pitch_layers", "loudness_layers", "output_layers")
        self._layers = {name: [_Layer(parts, name, number) for number in (0, 1)] for name in names}
        self._inputs = _Product({"x.weight": parts["gru.weight_ih_l0"], "x.bias": parts["gru.bias_ih_l0"]}, "x")
        self._memory = _Product({"x.weight": parts["gru.weight_hh_l0"], "x.bias": parts["gru.bias_hh_l0"]}, "x", thirds=True)
        heads = ("by_number", "by_frequency", "noise")
        stacked = {f"x.{kind}": np.concatenate([parts[f"{name}.{kind}"] for name in heads]) for kind in ("weight", "bias")}
        self._heads = _Product(stacked, "x")

    def __call__(
        self, pitch: np.ndarray, loudness: np.ndarray, state: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Amplitudes (B, F, K), gains (B, F, M) and the state (B, H) after pitch (B, F) in hertz and loudness (B, F) in decibels.

        Partials at or above half the sample rate are given as 0. Raises `ValueError` when F is no multiple of the stride.
        """
        config, stride = self.config, self.config.stride
        rows, frames = pitch.shape
        if frames % stride:
            raise ValueError(f"{frames} frames are no multiple of the stride {stride}")
        steps = frames // stride
        pitch, loudness = np.ascontiguousarray(pitch, np.float32), np.maximum(loudness, -RANGE_DB, dtype=np.float32)
        of_pitch = self._through("pitch_layers", _pitch_features(pitch.reshape(rows * steps, stride)))
        of_loudness = self._through("loudness_layers", _loudness_features(loudness.reshape(rows * steps, stride)))
        inputs = np.concatenate([of_pitch, of_loudness], 1)
        remembered, state = self._remember(self._inputs(inputs), rows, steps, state)
        hidden = self._through("output_layers", np.concatenate([remembered, inputs], 1))
        spoken = self._heads(hidden).reshape(rows, steps, -1)
        amplitudes = np.zeros((rows, frames, config.partials), np.float32)
        gains = np.empty((rows, frames, config.noise_bands), np.float32)
        reference = (10 ** ((loudness - REFERENCE_DB) / 20) * (1 - 10 ** ((-RANGE_DB - loudness) / 20))).astype(np.float32)
        _speak(spoken, pitch, reference, stride, config.envelope_points, float(config.sample_rate), amplitudes, gains)
        return amplitudes, gains, state

    def _through(self, name: str, values: np.ndarray) -> np.ndarray:
        for layer in self._layers[name]:
            values = layer(values)
        return values

    def _remember(self, told: np.ndarray, rows: int, steps: int, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        memory = self.config.memory
        wide = self._memory.wide // 3  # the memory, rounded up to whole panels
        held = np.zeros((rows, wide), np.float32)
        if state is not None:
            held[:, :memory] = state
        padded = np.zeros((rows * steps, 3, wide), np.float32)
        padded[:, :, :memory] = told.reshape(rows * steps, 3, memory)
        outputs = np.empty((rows, steps, wide), np.float32)
        spare = np.empty((rows, 3 * wide), np.float32)
        _run("remember", self._memory.packed, self._memory.bias, padded, held, outputs, spare, rows, steps, wide)
        return outputs[:, :, :memory].reshape(rows * steps, memory), held[:, :memory].copy()


def load_native_decoder(folder: str | Path) -> NativeDecoder:
    """The decoder of a voice's folder. Raises `InputError`, one line, when no voice is there, it is damaged, or of another version."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config, _ = read_config(Path(folder) / "config.json")
    path = Path(folder) / "voice.safetensors"
    try:
        return NativeDecoder(config, load_file(str(path)))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be loaded ({error}); copy the voice again, or train it again") from error


def _without_code(parts: Mapping[str, np.ndarray], inputs: int, memory: int) -> dict[str, np.ndarray]:
    """Weights and biases of the two products that the code's layers go into, for codes of zeros; `inputs` come before the code's."""
    of_code = np.zeros((1, parts["code_layers.0.weight"].shape[1]), np.float32)
    for number in (0, 1):
        of_code = _Layer(parts, "code_layers", number)(of_code)
    changed = {}
    for weight, bias, kept in (
        ("gru.weight_ih_l0", "gru.bias_ih_l0", inputs),
        ("output_layers.0.weight", "output_layers.0.bias", memory + inputs),
    ):
        changed[weight] = np.ascontiguousarray(parts[weight][:, :kept])
        changed[bias] = parts[bias] + parts[weight][:, kept:] @ of_code[0]
    return changed


class _Product:
    """inputs (R, n) → inputs · Wᵀ + b (R, m), with the weights packed. With `thirds`, each third of the outputs is padded by itself."""

    def __init__(self, parts: Mapping[str, np.ndarray], name: str, thirds: bool = False) -> None:
        weight, bias = parts[f"{name}.weight"], parts[f"{name}.bias"]
        self.outputs, self.inputs = weight.shape
        groups = 3 if thirds else 1
        wide = -(-self.outputs // groups // PANEL) * PANEL
        self.wide, self.n = groups * wide, wide if thirds else self.inputs + self.inputs % 2
        padded = np.zeros((groups, wide, self.n), np.float32)
        padded[:, : self.outputs // groups, : self.inputs] = weight.reshape(groups, -1, self.inputs)
        self.bias = np.zeros((groups, wide), np.float32)
        self.bias[:, : self.outputs // groups] = bias.reshape(groups, -1)
        self.packed = np.ascontiguousarray(padded.reshape(-1, PANEL, self.n).transpose(0, 2, 1))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        if values.shape[1] != self.n:
            values = np.pad(values, ((0, 0), (0, self.n - values.shape[1])))
        result = np.empty((len(values), self.wide), np.float32)
        _run("multiply", self.packed, self.bias, np.ascontiguousarray(values), result, len(values), self.n, self.wide)
        return result[:, : self.outputs] if self.wide == self.outputs else np.ascontiguousarray(result[:, : self.outputs])


class _Layer:
    """A product, LayerNorm and leaky ReLU."""

    def __init__(self, parts: Mapping[str, np.ndarray], name: str, number: int) -> None:
        self._product = _Product(parts, f"{name}.{3 * number}")
        self._weight, self._bias = (parts[f"{name}.{3 * number + 1}.{kind}"] for kind in ("weight", "bias"))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        result = self._product(values)
        _normalise(result, self._weight, self._bias)
        return result


def _run(name: str, *arguments: "np.ndarray | int") -> None:
    """Call the machine code with the addresses of arrays and with numbers."""
    told = np.array([one if isinstance(one, int) else one.ctypes.data for one in arguments], np.int64)
    _machine(name)(told.ctypes.data)


def _pitch_features(pitch: np.ndarray) -> np.ndarray:
    note = (69 + 12 * (np.log2(pitch).mean(1) - math.log2(440.0))).astype(np.float32)
    turns = note[:, None] * (2 * np.pi / np.array(PERIODS, np.float32))
    return np.concatenate([note[:, None] / np.float32(63.5) - 1, np.sin(turns), np.cos(turns)], 1).astype(np.float32)


def _loudness_features(loudness: np.ndarray) -> np.ndarray:
    scaled = 2 * (loudness / np.float32(RANGE_DB) + 1) - 1
    return np.concatenate([scaled, scaled.mean(1, keepdims=True) ** 2], 1).astype(np.float32)


@compiled
def _normalise(values: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
    """LayerNorm and leaky ReLU, in place."""
    width = values.shape[1]
    for row in range(values.shape[0]):
        total = np.float32(0.0)
        for c in range(width):
            total += values[row, c]
        mean = total / np.float32(width)
        square = np.float32(0.0)
        for c in range(width):
            square += (values[row, c] - mean) * (values[row, c] - mean)
        scale = np.float32(1.0) / np.sqrt(square / np.float32(width) + np.float32(1e-5))
        for c in range(width):
            value = (values[row, c] - mean) * scale * weight[c] + bias[c]
            values[row, c] = max(value, np.float32(0.1) * value)


@compiled
def _speak(
    spoken: np.ndarray,
    pitch: np.ndarray,
    reference: np.ndarray,
    stride: int,
    points: int,
    sample_rate: float,
    amplitudes: np.ndarray,
    gains: np.ndarray,
) -> None:
    """From what the heads say of each step, in nepers, to amplitudes and gains of each frame.

    exp(c − softplus(c − x)), which bounds them by c nepers, is exp(c) / (1 + exp(c − x)).
    """
    rows, frames = pitch.shape
    partials, bands = amplitudes.shape[2], gains.shape[2]
    scale = np.float32((points - 1) / math.log1p(sample_rate / 2 / BEND))
    top = np.float32(points - 1.001)
    ceiling, most, far = np.float32(CEILING), np.float32(math.exp(CEILING)), np.float32(80.0)
    tones, hisses = np.empty(partials, np.float32), np.empty(bands, np.float32)
    for row in range(rows):
        for step in range(frames // stride):
            said = spoken[row, step]
            middle = lowest = pitch[row, step * stride]
            if stride > 1:
                total = 0.0
                for frame in range(step * stride, (step + 1) * stride):
                    lowest = min(lowest, pitch[row, frame])
                    total += math.log2(pitch[row, frame])
                middle = np.float32(2.0 ** (total / stride))
            heard = min(partials, math.ceil(sample_rate / 2 / lowest) - 1)
            for p in range(heard):
                place = min(np.log1p(middle * np.float32(p + 1) / np.float32(BEND)) * scale, top)
                below = int(place)
                part = place - np.float32(below)
                curve = said[partials + below] * (np.float32(1.0) - part) + said[partials + below + 1] * part
                tones[p] = most / (np.float32(1.0) + np.exp(min(ceiling - (said[p] + curve), far)))
            for m in range(bands):
                hisses[m] = most / (np.float32(1.0) + np.exp(min(ceiling - said[partials + points + m], far)))
            for frame in range(step * stride, (step + 1) * stride):
                for p in range(min(heard, math.ceil(sample_rate / 2 / pitch[row, frame]) - 1)):
                    amplitudes[row, frame, p] = reference[row, frame] * tones[p]
                for m in range(bands):
                    gains[row, frame, m] = reference[row, frame] * hisses[m]


@functools.cache
def _machine(name: str) -> Callable[[int], None]:
    """`multiply` (weights, bias, inputs, outputs, rows, n, width) or `remember` (see `_write_remember`)."""
    groups = GROUPS[name] if llvm.get_host_cpu_features().get("avx512f", False) else (2, 1)
    module = ir.Module(name)
    for rows in groups:
        _write_panel(module, rows)
    (_write_multiply if name == "multiply" else _write_remember)(module, groups)
    return machine_code(module, name)


def _arguments(code: Code, arrays: int, numbers: int) -> tuple[list[Array], list[Number]]:
    """Arrays and then numbers, of a function that is told the one address where their addresses and values lie."""
    told = Array(code, code.function.args[0], "int64")
    pointers = [code.builder.inttoptr(told[place].value, FLOAT.as_pointer()) for place in range(arrays)]
    return [Array(code, pointer) for pointer in pointers], [told[arrays + place] for place in range(numbers)]


def _write_panel(module: ir.Module, rows: int) -> None:
    """panel_ROWS(weights, bias, inputs, n = their distance, outputs, distance of output rows): `rows` rows times one panel."""
    pointer = FLOAT.as_pointer()
    code = Code(module, f"panel_{rows}", [pointer, pointer, pointer, INTEGER, pointer, INTEGER], inlined=False)
    weights, bias, inputs = (Array(code, code.function.args[place]) for place in range(3))
    n, outputs, output_step = Number(code, code.function.args[3]), Array(code, code.function.args[4]), Number(code, code.function.args[5])
    chains = 2 if rows == 1 else 1  # one sum after another is slow: a lone row has two
    zero = code.number(0.0, VECTOR)
    sums = [[[Variable(code, zero if chain else bias.vector(v * LANES)) for v in range(2)] for _ in range(rows)] for chain in range(chains)]
    with code.loop(n, step=2) as i:
        for k in range(2):
            parts = [weights.at((i + k) * PANEL).vector(v * LANES) for v in range(2)]
            for row in range(rows):
                value = inputs[i + k + n * row].spread()
                for part, place in zip(parts, sums[k % chains][row], strict=True):
                    place.set(code.fused(value, part, place.get()))
    for r in range(rows):
        for v in range(2):
            total = functools.reduce(operator.add, (chain[r][v].get() for chain in sums))
            outputs.set_vector(output_step * r + v * LANES, total)
    code.builder.ret_void()


def _write_product(
    code: Code, weights: Array, bias: Array, inputs: Array, outputs: Array, count: Number, n: Number, width: Number, groups: Sequence[int]
) -> None:
    """`count` rows of n inputs through all panels of `width` outputs, in groups as large as there are rows for."""

    def call(together: int, row: Number, column: Number) -> None:
        where = [weights.at(column * n).pointer, bias.at(column).pointer, inputs.at(row * n).pointer, n.value]
        code.builder.call(code.module.globals[f"panel_{together}"], [*where, outputs.at(row * width + column).pointer, width.value])

    with code.loop(width, step=PANEL) as column:
        done = code.number(0)
        for rows in groups:
            end = done + (count - done) // rows * rows
            with code.loop(end, start=done, step=rows) as row:
                call(rows, row, column)
            done = end


def _write_multiply(module: ir.Module, groups: Sequence[int]) -> None:
    code = Code(module, "multiply", [INTEGER.as_pointer()])
    (weights, bias, inputs, outputs), (count, n, width) = _arguments(code, 4, 3)
    _write_product(code, weights, bias, inputs, outputs, count, n, width, groups)
    code.builder.ret_void()


def _write_remember(module: ir.Module, groups: Sequence[int]) -> None:
    """remember(weights, bias, told (B, G, 3, H), held (B, H), outputs (B, G, H), spare (B, 3, H), B, G, H): the GRU step by step."""
    code = Code(module, "remember", [INTEGER.as_pointer()])
    (weights, bias, told, held, outputs, spare), (count, steps, width) = _arguments(code, 6, 3)
    with code.loop(steps) as step:
        _write_product(code, weights, bias, held, spare, count, width, width * 3, groups)
        with code.loop(count) as b:
            heard, own = told.at((b * steps + step) * (width * 3)), spare.at(b * (width * 3))
            memory, result = held.at(b * width), outputs.at((b * steps + step) * width)
            with code.loop(width, step=LANES) as c:
                reset = _sigmoid(code, heard.vector(c) + own.vector(c))
                update = _sigmoid(code, heard.vector(c + width) + own.vector(c + width))
                fresh = _sigmoid(code, (heard.vector(c + width * 2) + reset * own.vector(c + width * 2)) * 2.0) * 2.0 - 1.0
                value = fresh + update * (memory.vector(c) - fresh)
                memory.set_vector(c, value)
                result.set_vector(c, value)
    code.builder.ret_void()


def _sigmoid(code: Code, x: Number) -> Number:
    return 1.0 / (code.exponential(x.highest(-40.0).lowest(40.0) * -1.0) + 1.0)
