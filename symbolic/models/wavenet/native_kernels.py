"""The arithmetic of playing a WaveNet, written for LLVM: whole stretches of samples for several lanes, drawing included.

A matrix lies in panels of `panel` vectors of outputs, input after input. A panel goes through `rows` lanes side by side, its weights
held in registers; a lone lane takes two panels at a time. Either way every output is one chain of sums in the order of the inputs, so
that a lane gives the same bits alone, among others and in any place.

bfloat16 weights lie in pairs: the lower half of a word is an input's, the upper half the next input's, so that widening costs a shift
or a mask. All sums are float32.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from symbolic.models.native_code import ELEMENTS, FLOAT, INTEGER, LANES, VECTOR, Array, Code, Number, Variable, machine_code
from symbolic.models.wavenet.excitation import PAST, PERIODS, TAPS

WORD = ir.IntType(32)
ARRAYS = {
    "counts": "int64", "codes": "int64", "drawn": "int64", "random": "float32", "scale": "float32", "conditioning": "float32",
    "clock": "float32", "past": "float32", "reach": "int64", "taps": "float32", "lags": "float32", "table": "float32",
    "embedding": "float32", "weights": "", "biases": "float32", "dilations": "int64", "places": "int64", "queues": "float32",
    "held": "float32", "x": "float32", "total": "float32", "gated": "float32", "hidden": "float32", "logits": "float32",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Of a network: C channels, W conditioning, V levels; `rows` lanes go through a panel of `panel` vectors side by side."""

    channels: int
    layers: int
    kernel: int
    levels: int
    conditioning: int
    hold: int
    kind: str
    rows: int
    panel: int
    processor: str = ""

    @property
    def outputs(self) -> int:
        """Outputs of a panel."""
        return self.panel * LANES


def layout(channels: int, processor: str = "") -> tuple[int, int]:
    """Rows and vectors of a panel for this processor, or for an older one by name: as many sums as its registers hold."""
    wide = not processor and llvm.get_host_cpu_features().get("avx512f", False)
    return (4, 4) if wide and channels % 64 == 0 else (6, 2) if wide else (2, 2)


def processor_without_avx512() -> str | None:
    """LLVM's name of an older processor whose instructions this one has (for tests); None where there is none."""
    features = llvm.get_host_cpu_features()
    return "haswell" if all(features.get(name, False) for name in ("avx2", "fma", "bmi2", "movbe")) else None


@functools.cache
def compiled(shape: Shape) -> Callable[[int], None]:
    """Machine code that plays; its argument is the address of the addresses of `ARRAYS`, in order."""
    module = ir.Module("wavenet")
    for rows in {1, shape.rows}:
        _write_linear(module, shape, rows)
        _write_gate(module, shape, rows)
        _write_out(module, shape, rows)
    _write_draw(module, shape)
    _write_play(module, shape)
    return machine_code(module, "play", shape.processor)


class _Sums:
    """`rows` times `panels` panels of sums in registers."""

    def __init__(self, code: Code, shape: Shape, rows: int, panels: int, start: Callable[[int, int, int], Number]) -> None:
        self.code, self.shape, self.rows, self.panels = code, shape, rows, panels
        self.sums = [[[Variable(code, start(r, p, v)) for v in range(shape.panel)] for p in range(panels)] for r in range(rows)]

    def add(self, weights: Array, panel_step: "Number | int", inputs: Array, input_step: "Number | int", n: "Number | int") -> None:
        """Add `n` inputs (even) of each row times the weights of each panel."""
        code, shape = self.code, self.shape
        with code.loop(n, step=2) as i:
            values = [[inputs[i + k + r * input_step].spread() for k in range(2)] for r in range(self.rows)]
            for p in range(self.panels):
                for v in range(shape.panel):
                    for k, part in enumerate(_pair(code, weights, shape, p * panel_step, i, v)):
                        for r in range(self.rows):
                            total = self.sums[r][p][v]
                            total.set(code.fused(values[r][k], part, total.get()))

    def get(self, row: int, panel: int, vector: int) -> Number:
        return self.sums[row][panel][vector].get()


def _pair(code: Code, weights: Array, shape: Shape, offset: "Number | int", i: Number, v: int) -> tuple[Number, Number]:
    """The weights of inputs i and i + 1 for vector v of the panel at `offset`."""
    if shape.kind == "float32":
        line = weights.at(offset + i * shape.outputs + v * LANES)
        return line.vector(0), line.vector(shape.outputs)
    words = ir.VectorType(WORD, LANES)
    place = weights.at(offset + (i // 2) * shape.outputs + v * LANES)
    raw = code.builder.load(code.builder.bitcast(place.pointer, words.as_pointer()), align=4)
    low = code.builder.shl(raw, ir.Constant(words, [16] * LANES))
    high = code.builder.and_(raw, ir.Constant(words, [0xFFFF0000] * LANES))
    return Number(code, code.builder.bitcast(low, VECTOR)), Number(code, code.builder.bitcast(high, VECTOR))


def _element(shape: Shape) -> Any:
    """What the array of weights holds: pairs of bfloat16, or float32."""
    return FLOAT if shape.kind == "float32" else WORD


def _stored(shape: Shape, inputs: int) -> int:
    """Elements of the array that hold a panel of so many inputs."""
    return inputs * shape.outputs // (1 if shape.kind == "float32" else 2)


def _function(module: ir.Module, shape: Shape, name: str, arguments: Sequence[str]) -> tuple[Code, list[Any]]:
    """A function whose arguments are arrays by their kinds, or numbers ("number")."""
    kinds = {"weights": _element(shape).as_pointer(), "floats": FLOAT.as_pointer(), "number": INTEGER}
    code = Code(module, name, [kinds[argument] for argument in arguments], inlined=False)
    made: list[Any] = []
    for kind, value in zip(arguments, code.function.args, strict=True):
        if kind == "number":
            made.append(Number(code, value))
        else:
            made.append(Array(code, value))
    return code, made


def _panels(rows: int) -> int:
    return 2 if rows == 1 else 1


def _write_linear(module: ir.Module, shape: Shape, rows: int) -> None:
    """linear_ROWS(weights, biases, inputs, inputs of a row, outputs, distance of output rows): one panel, a lone row two."""
    code, made = _function(module, shape, f"linear_{rows}", ["weights", "floats", "floats", "number", "floats", "number"])
    weights, biases, inputs, n, outputs, output_step = made
    step = n * shape.outputs // (1 if shape.kind == "float32" else 2)
    sums = _Sums(code, shape, rows, _panels(rows), lambda r, p, v: biases.vector(p * shape.outputs + v * LANES))
    sums.add(weights, step, inputs, n, n)
    for r in range(rows):
        for p in range(sums.panels):
            for v in range(shape.panel):
                outputs.set_vector(output_step * r + p * shape.outputs + v * LANES, sums.get(r, p, v))
    code.builder.ret_void()


def _write_gate(module: ir.Module, shape: Shape, rows: int) -> None:
    """gate_ROWS(weights, held biases, gated, tap, tap, … x): a panel holds as many waves as gates, of the same channels."""
    taps = shape.kernel
    code, made = _function(module, shape, f"gate_{rows}", ["weights", "floats", "floats", *["floats"] * taps])
    weights, held, gated, inputs = made[0], made[1], made[2], made[3:]
    C, half = shape.channels, shape.panel // 2
    step = _stored(shape, taps * C)
    sums = _Sums(code, shape, rows, _panels(rows), lambda r, p, v: held.vector(r * 2 * C + p * shape.outputs + v * LANES))
    for tap, array in enumerate(inputs):
        sums.add(weights.at(tap * _stored(shape, C)), step, array, C, C)
    for r in range(rows):
        for p in range(sums.panels):
            for v in range(half):
                gated.set_vector(r * C + (p * half + v) * LANES, _gated(code, sums.get(r, p, v), sums.get(r, p, v + half)))
    code.builder.ret_void()


def _write_out(module: ir.Module, shape: Shape, rows: int) -> None:
    """out_ROWS(weights, biases, gated, x, total): one panel of x and the same of the total of skips, which begin C outputs later."""
    code, made = _function(module, shape, f"out_{rows}", ["weights", "floats", "floats", "floats", "floats"])
    weights, biases, gated, x, total = made
    C = shape.channels
    step, later = _stored(shape, C) * (C // shape.outputs), C
    if rows == 1:
        sums = _Sums(code, shape, 1, 2, lambda _r, p, v: biases.vector(p * later + v * LANES))
        sums.add(weights, step, gated, 0, C)
        parts = [(0, 0, x), (0, 1, total)]
        _added(shape, sums, parts, C)
    else:
        for p, target in enumerate((x, total)):
            sums = _Sums(code, shape, rows, 1, lambda _r, _p, v, p=p: biases.vector(p * later + v * LANES))  # type: ignore[misc]
            sums.add(weights.at(p * step), 0, gated, C, C)
            _added(shape, sums, [(r, 0, target) for r in range(rows)], C)
    code.builder.ret_void()


def _added(shape: Shape, sums: _Sums, parts: Sequence[tuple[int, int, Array]], row_step: int) -> None:
    for row, panel, target in parts:
        for v in range(shape.panel):
            place = row * row_step + v * LANES
            target.set_vector(place, target.vector(place) + sums.get(row, panel, v))


def _gated(code: Code, wave: Number, gate: Number) -> Number:
    """tanh(wave) · sigmoid(gate) with one division."""
    a = code.exponential(wave.highest(-10.0).lowest(10.0) * -2.0)
    b = code.exponential(gate.highest(-30.0).lowest(30.0) * -1.0)
    return (1.0 - a) / ((a + 1.0) * (b + 1.0))


def _ago(code: Code, past: Array, now: Number, at: dict[str, Any], place: Number, levels: int) -> Number:
    """The sound some periods ago, on the scale of µ-law, in every lane of a vector: `Excitation.ago` before its weights."""
    first = now + PAST - at["reach"][place]
    heard = code.number(0.0, FLOAT)
    for tap in range(TAPS):
        heard = heard + past[(first + tap) % PAST] * at["taps"][place * TAPS + tap]
    sound = heard.spread()
    size = sound.highest(sound * -1.0)
    return code.logarithm(size * (levels - 1.0) + 1.0) * (1 / math.log(levels)) * (sound / size.highest(1e-20))


def _write_draw(module: ir.Module, shape: Shape) -> None:
    """draw(logits, scale and number in 0 … 1, weights of a row, code): the code where the running sum of exp passes the number's share."""
    code = Code(module, "draw", [FLOAT.as_pointer()] * 3 + [INTEGER.as_pointer()], inlined=False)
    logits, told, weights = (Array(code, argument) for argument in code.function.args[:3])
    result = Array(code, code.function.args[3], "int64")
    V = shape.levels
    highest = Variable(code, code.number(-3e38, VECTOR))
    with code.loop(V, step=LANES) as c:
        highest.set(highest.get().highest(logits.vector(c)))
    top, scale = highest.get().largest().spread(), told[0].spread()
    total = Variable(code, code.number(0.0, FLOAT))
    with code.loop(V, step=LANES) as c:
        weight = code.exponential(((logits.vector(c) - top) * scale).highest(-87.0))
        weights.set_vector(c, weight)
        total.set(total.get() + weight.total())
    rest, found = Variable(code, told[1] * total.get()), Variable(code, code.number(0))
    block = Variable(code, code.number(0))  # whole vectors are passed over first, then numbers of one
    running = Variable(code, code.number(1))
    with code.loop(V, step=LANES) as c:
        share = weights.vector(c).total()
        over = code.builder.fcmp_ordered(">=", rest.get().value, share.value)
        going = Number(code, code.builder.and_(running.get().value, code.builder.zext(over, INTEGER)))
        running.set(going)
        passed = code.builder.icmp_signed("!=", going.value, INTEGER(0))
        rest.set(Number(code, code.builder.select(passed, (rest.get() - share).value, rest.get().value)))
        block.set(block.get() + going * LANES)
    block.set(
        Number(
            code, code.builder.select(code.builder.icmp_signed("<", block.get().value, INTEGER(V)), block.get().value, INTEGER(V - LANES))
        )
    )
    running.set(code.number(1))
    with code.loop(LANES - 1) as c:
        share = weights[block.get() + c]
        over = code.builder.fcmp_ordered(">=", rest.get().value, share.value)
        going = Number(code, code.builder.and_(running.get().value, code.builder.zext(over, INTEGER)))
        running.set(going)
        rest.set(rest.get() - share)
        found.set(found.get() + going)
    result[0] = block.get() + found.get()
    code.builder.ret_void()


def _write_play(module: ir.Module, shape: Shape) -> None:
    code = Code(module, "play", [INTEGER.as_pointer()])
    addresses = Array(code, code.function.args[0], "int64")
    at: dict[str, Any] = {}
    for place, (name, kind) in enumerate(ARRAYS.items()):
        element = ELEMENTS[kind] if kind else _element(shape)
        at[name] = Array(code, code.builder.inttoptr(addresses[place].value, element.as_pointer()), kind or "float32")
    B, frames, position = (at["counts"][place] for place in range(3))
    C, L, V, W, K = shape.channels, shape.layers, shape.levels, shape.conditioning, shape.kernel
    weights, biases = at["weights"], at["biases"]
    parts = {"condition": (W, 2 * C), "gate": (K * C, 2 * C), "out": (C, 2 * C)}
    sizes = {name: inputs * outputs // (1 if shape.kind == "float32" else 2) for name, (inputs, outputs) in parts.items()}
    per_layer = sum(sizes.values())
    samples = frames * shape.hold
    whole = B - B % shape.rows

    def groups(panels: int, body: Callable[[int, Number, Number], None], *, pairs: bool = True) -> None:
        """`body(rows, panel, row)` for all panels and rows; a lone row takes two panels at a time, where `pairs`."""
        with code.loop(panels) as panel, code.loop(whole, step=shape.rows) as row:
            body(shape.rows, panel, row)
        with code.loop(panels, step=2 if pairs else 1) as panel, code.loop(B, start=whole) as row:
            body(1, panel, row)

    def linear(heavy: Array, light: Array, inputs: Array, n: int, outputs: Array, width: int) -> None:
        def body(rows: int, panel: Number, row: Number) -> None:
            function, column = module.globals[f"linear_{rows}"], panel * shape.outputs
            where = [heavy.at(panel * _stored(shape, n)), light.at(column), inputs.at(row * n)]
            code.builder.call(
                function,
                [*[part.pointer for part in where], INTEGER(n), outputs.at(row * width + column).pointer, INTEGER(width)],
            )

        groups(width // shape.outputs, body)

    def relu(array: Array, width: int) -> None:
        with code.loop(B * width, step=LANES) as c:
            array.set_vector(c, array.vector(c).highest(0.0))

    with code.loop(frames) as frame:
        with code.loop(L) as layer:  # what this frame adds to each layer
            light = biases.at(layer * 4 * C)
            linear(weights.at(layer * per_layer), light, at["conditioning"].at(frame * B * W), W, at["held"].at(layer * B * 2 * C), 2 * C)
        with code.loop(shape.hold) as within:
            sample = frame * shape.hold + within
            now = position + sample
            with code.loop(B) as b:
                past = at["past"].at(b * PAST)
                past[(now + (PAST - 1)) % PAST] = at["table"][at["codes"][b]]
                ago = [_ago(code, past, now, at, (frame * B + b) * PERIODS + back, V) for back in range(PERIODS)]
                with code.loop(C, step=LANES) as c:
                    x = at["embedding"].at(at["codes"][b] * C).vector(c) + at["clock"].at((b * samples + sample) * C).vector(c)
                    for back, heard in enumerate(ago):
                        x = code.fused(heard, at["lags"].vector(c + back * C), x)
                    at["x"].set_vector(b * C + c, x)
                    at["total"].set_vector(b * C + c, code.number(0.0, VECTOR))
            with code.loop(L) as layer:
                heavy = weights.at(layer * per_layer + sizes["condition"])
                dilation, queue = at["dilations"][layer], at["queues"].at(at["places"][layer] * B * C)
                size = dilation * (K - 1)
                taps = [queue.at((now + dilation * tap) % size * B * C) for tap in range(K - 1)]

                def gate(
                    rows: int, panel: Number, row: Number, heavy: Array = heavy, taps: list[Array] = taps, layer: Number = layer
                ) -> None:
                    held = at["held"].at(layer * B * 2 * C + row * 2 * C + panel * shape.outputs)
                    gated = at["gated"].at(row * C + panel * (shape.outputs // 2))
                    inputs = [array.at(row * C) for array in [*taps, at["x"]]]
                    where = [heavy.at(panel * _stored(shape, K * C)), held, gated, *inputs]
                    code.builder.call(module.globals[f"gate_{rows}"], [part.pointer for part in where])

                groups(2 * C // shape.outputs, gate)
                code.copy(queue.at(now % size * B * C), at["x"], B * C)
                heavy, light = heavy.at(sizes["gate"]), biases.at(layer * 4 * C + 2 * C)

                def out(rows: int, panel: Number, row: Number, heavy: Array = heavy, light: Array = light) -> None:
                    column = panel * shape.outputs
                    where = [heavy.at(panel * _stored(shape, C)), light.at(column), at["gated"].at(row * C)]
                    where += [at["x"].at(row * C + column), at["total"].at(row * C + column)]
                    code.builder.call(module.globals[f"out_{rows}"], [part.pointer for part in where])

                groups(C // shape.outputs, out, pairs=False)
            relu(at["total"], C)
            heavy, light = weights.at(L * per_layer), biases.at(L * 4 * C)
            linear(heavy, light, at["total"], C, at["hidden"], 2 * C)
            relu(at["hidden"], 2 * C)
            linear(heavy.at(sizes["out"]), light.at(2 * C), at["hidden"], 2 * C, at["logits"], V)
            with code.loop(B) as b:
                told = at["hidden"].at(0)  # free by now: scale and random number, then weights
                told[0] = at["scale"][b]
                told[1] = at["random"][b * samples + sample]
                where = [at["logits"].at(b * V).pointer, told.pointer, told.at(LANES).pointer, at["codes"].at(b).pointer]
                code.builder.call(module.globals["draw"], where)
                at["drawn"][b * samples + sample] = at["codes"][b]
    code.builder.ret_void()
