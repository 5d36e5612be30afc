"""The arithmetic of a native generation step, written for LLVM: products with packed weights, norms, gelu, attention over rings.

Weights lie in panels of `PANEL` outputs, input after input; a panel is read once for all rows. All widths are padded to whole panels.
"""

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from symbolic.models.native_code import ELEMENTS, FLOAT, INTEGER, LANES, VECTOR, Array, Code, Number, Variable, machine_code

PANEL = 2 * LANES
TOGETHER = 4  # rows that go through a product side by side
ARRAYS = {
    "ids": "int64", "places": "int64", "ages": "int64", "counts": "int64", "tables": "float32", "weights": "", "vectors": "float32",
    "keys": "float32", "values": "float32", "relative": "float32", "states": "float32", "normed": "float32", "mixed": "float32",
    "content": "float32", "placed": "float32", "shifted": "float32", "rotated": "float32", "scores": "float32",
    "attended": "float32", "added": "float32", "inner": "float32", "logits": "float32",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Of a network, padded: C width, I inner width, V vocabulary, in whole panels; and D = width / heads, ring size M + 1."""

    layers: int
    heads: int
    head_width: int
    width: int
    inner: int
    vocabulary: int
    size: int
    kind: str
    before: int

    @property
    def C(self) -> int:  # noqa: N802
        """Width, padded."""
        return padded(self.width)

    @property
    def S(self) -> int:  # noqa: N802
        """Slots of the ring, padded."""
        return padded(self.size)


def padded(length: int) -> int:
    """The next whole number of panels."""
    return -(-length // PANEL) * PANEL


@functools.cache
def compiled_step(shape: Shape) -> Callable[[int], None]:
    """Machine code that makes a step; its argument is the address of the addresses of `ARRAYS`, in order."""
    module = ir.Module("step")
    for kind in sorted({shape.kind, "float32"}):
        for rows in (1, TOGETHER):
            _write_panel(module, rows, kind)
    _write_normalise(module, shape)
    _write_attend(module, shape)
    _write_step(module, shape)
    return machine_code(module, "step")


def _write_panel(module: ir.Module, rows: int, kind: str) -> None:
    """panel_ROWS_KIND(weights, inputs, distance of input rows, n, outputs, distance of output rows): `rows` rows times one panel."""
    pointer = FLOAT.as_pointer()
    code = Code(module, f"panel_{rows}_{kind}", [ELEMENTS[kind].as_pointer(), pointer, INTEGER, INTEGER, pointer, INTEGER], inlined=False)
    a, b, *_ = code.function.args
    weights, inputs, outputs = Array(code, a, kind), Array(code, b), Array(code, code.function.args[4])
    input_step, n, output_step = (Number(code, code.function.args[place]) for place in (2, 3, 5))
    chains = 4 if rows == 1 else 1  # one sum after another is slow: a lone row has several
    zero = code.number(0.0, VECTOR)
    sums = [[[Variable(code, zero) for _ in range(2)] for _ in range(rows)] for _ in range(chains)]
    with code.loop(n, step=4) as i:
        for k in range(4):
            line = weights.at((i + k) * PANEL)
            parts = [line.vector(0), line.vector(LANES)]
            for row in range(rows):
                value = inputs[i + k + input_step * row].spread()
                for part, total in zip(parts, sums[k % chains][row], strict=True):
                    total.set(code.fused(value, part, total.get()))
    for r in range(rows):
        for p in range(2):
            outputs.set_vector(output_step * r + p * LANES, functools.reduce(operator.add, (chain[r][p].get() for chain in sums)))
    code.builder.ret_void()


def _product(
    code: Code, weights: Array, inputs: Array, input_step: int, n: int, outputs: Array, output_step: int, width: int, B: "Number | int"
) -> None:
    """Rows of outputs (width) = rows of inputs (n) times weights."""
    functions = {rows: code.module.globals[f"panel_{rows}_{weights.kind}"] for rows in (1, TOGETHER)}

    def call(rows: int, row: Number, column: Number) -> None:
        where = [weights.at(column * n).pointer, inputs.at(row * input_step).pointer, INTEGER(input_step), INTEGER(n)]
        code.builder.call(functions[rows], [*where, outputs.at(row * output_step + column).pointer, INTEGER(output_step)])

    count = code.number(B)
    whole = count - count % TOGETHER
    with code.loop(width, step=PANEL) as column:
        with code.loop(whole, step=TOGETHER) as row:
            call(TOGETHER, row, column)
        with code.loop(count, start=whole) as row:
            call(1, row, column)


def _write_normalise(module: ir.Module, shape: Shape) -> None:
    """normalise(states, weights and biases, result): one row."""
    code = Code(module, "normalise", [FLOAT.as_pointer()] * 3, inlined=False)
    states, weights, result = (Array(code, argument) for argument in code.function.args)
    mean, square = Variable(code, code.number(0.0, VECTOR)), Variable(code, code.number(0.0, VECTOR))
    with code.loop(shape.C, step=LANES) as c:
        mean.set(mean.get() + states.vector(c))
    middle = (mean.get().total() / float(shape.width)).spread()
    with code.loop(shape.C, step=LANES) as c:
        off = states.vector(c) - middle
        square.set(code.fused(off, off, square.get()))
    extra = Number(code, code.builder.extract_element(middle.value, ir.IntType(32)(0)))
    variance = (square.get().total() - extra * extra * float(shape.C - shape.width)) / float(shape.width)
    root = code.builder.call(code.outside("llvm.sqrt.f32", FLOAT, [FLOAT]), [(variance + 1e-5).value])
    scale = (1.0 / Number(code, root)).spread()
    with code.loop(shape.C, step=LANES) as c:
        result.set_vector(c, (states.vector(c) - middle) * scale * weights.vector(c) + weights.vector(c + shape.C))
    code.builder.ret_void()


def _exponential(code: Code, x: Number) -> Number:
    """exp of a vector, none above 0: 2^n times a polynomial (Cephes), to 1e-7."""
    build, whole = code.builder, ir.VectorType(ir.IntType(32), LANES)
    x = x.highest(-87.0)
    n = build.fptosi((x * 1.44269504 - 0.5).value, whole)
    m = Number(code, build.sitofp(n, VECTOR))
    f = code.fused(m, code.number(2.12194440e-4, VECTOR), code.fused(m, code.number(-0.693359375, VECTOR), x))
    p = f * 1.9875691500e-4 + 1.3981999507e-3
    for coefficient in (8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * f + coefficient
    power = build.shl(build.add(n, ir.Constant(whole, [127] * LANES)), ir.Constant(whole, [23] * LANES))
    return (p * f * f + f + 1.0) * Number(code, build.bitcast(power, VECTOR))


def _gelu(x: Number) -> Number:
    """x · Φ(x) of a vector, with erf as a quotient of polynomials (Eigen's), to 3e-7."""
    z = (x * math.sqrt(0.5)).highest(-4.0).lowest(4.0)
    q = z * z
    p = q * -2.72614225801306e-10 + 2.77068142495902e-08
    for coefficient in (-2.10102402082508e-06, -5.69250639462346e-05, -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02):
        p = p * q + coefficient
    d = q * -1.45660718464996e-05 + -2.13374055278905e-04
    for coefficient in (-1.68282697438203e-03, -7.37332916720468e-03, -1.42647390514189e-02):
        d = d * q + coefficient
    return x * 0.5 * (p * z / d + 1.0)


def _write_attend(module: ir.Module, shape: Shape) -> None:
    """attend(keys, values, content, shifted, rotated, scores, result, newest, age): one row of one head."""
    code = Code(module, "attend", [FLOAT.as_pointer()] * 7 + [INTEGER] * 2, inlined=False)
    keys, values, content, shifted, rotated, scores, result = (Array(code, argument) for argument in code.function.args[:7])
    newest, age = (Number(code, argument) for argument in code.function.args[7:])
    size, S, D = shape.size, shape.S, shape.head_width
    _product(code, keys, content, 0, D, scores, 0, S, 1)
    older = size - 1 - newest
    code.copy(rotated, shifted.at(older), newest + 1)
    code.copy(rotated.at(newest + 1), shifted, older)
    with code.loop(size, start=age + 1) as distance:
        rotated[(newest - distance + size) % size] = code.number(-1e30, FLOAT)
    highest = Variable(code, code.number(-3e30, VECTOR))
    with code.loop(S, step=LANES) as s:
        score = scores.vector(s) + rotated.vector(s)
        scores.set_vector(s, score)
        highest.set(highest.get().highest(score))
    top, total = highest.get().largest().spread(), Variable(code, code.number(0.0, VECTOR))
    with code.loop(S, step=LANES) as s:
        weight = _exponential(code, scores.vector(s) - top)
        scores.set_vector(s, weight)
        total.set(total.get() + weight)
    share = (1.0 / total.get().total()).spread()
    _product(code, values, scores, 0, S, result, 0, padded(D), 1)
    with code.loop(padded(D), step=LANES) as d:
        result.set_vector(d, result.vector(d) * share)
    code.builder.ret_void()


def _write_step(module: ir.Module, shape: Shape) -> None:
    code = Code(module, "step", [INTEGER.as_pointer()])
    kinds = ARRAYS | {"weights": shape.kind}
    addresses = Array(code, code.function.args[0], "int64")
    arrays: dict[str, Any] = {}
    for place, (name, kind) in enumerate(kinds.items()):
        arrays[name] = Array(code, code.builder.inttoptr(addresses[place].value, ELEMENTS[kind].as_pointer()), kind)
    C, I, V, S, D = shape.C, padded(shape.inner), padded(shape.vocabulary), shape.S, shape.head_width  # noqa: E741
    wide, width = padded(3 * shape.width), shape.width
    B, position = arrays["counts"][0], arrays["counts"][1]
    newest = position % shape.size
    states, normed, mixed = arrays["states"], arrays["normed"], arrays["mixed"]
    content, placed, added, inner = arrays["content"], arrays["placed"], arrays["added"], arrays["inner"]
    attended, logits, shifted = arrays["attended"], arrays["logits"], arrays["shifted"]
    normalise, attend = (module.globals[name] for name in ("normalise", "attend"))
    across = C + PANEL  # a head wider than its share writes into the next one's place, which is written later
    ring, folded = S * D, S * padded(D)

    def norm(b: Number, vectors: Array) -> None:
        code.builder.call(normalise, [states.at(b * C).pointer, vectors.pointer, normed.at(b * C).pointer])

    with code.loop(B) as b:
        added_rows = 3 + shape.before
        rows = [arrays["tables"].at(arrays["ids"][b] * C)]
        rows += [arrays["tables"].at(arrays["places"][b * added_rows + k] * C) for k in range(added_rows)]
        with code.loop(C, step=LANES) as c:
            states.set_vector(b * C + c, functools.reduce(operator.add, (row.vector(c) for row in rows)))
    heavy, light = 0, 0  # offsets of the parts of a layer
    layer_weights = C * wide + C * C + C * I + I * C
    layer_vectors = 2 * C + wide + 2 * C + C + 2 * C + 2 * I + 2 * C
    with code.loop(shape.layers) as layer:
        heavy_start, vectors = arrays["weights"].at(layer * layer_weights), arrays["vectors"].at(layer * layer_vectors)
        with code.loop(B) as b:
            norm(b, vectors)
        light = 2 * C
        _product(code, heavy_start, normed, C, C, mixed, wide, wide, B)
        heavy = C * wide
        scale, bias, place_bias = vectors.at(light), vectors.at(light + wide), vectors.at(light + wide + C)
        light += wide + 2 * C
        factor = D**-0.5
        with code.loop(B) as b:
            row = mixed.at(b * wide)
            with code.loop(C, step=LANES) as c:
                query = row.vector(c) * scale.vector(c) * factor
                content.set_vector(b * across + c, query + bias.vector(c))
                placed.set_vector(b * across + c, query + place_bias.vector(c))
            with code.loop(shape.heads) as h:
                head = (layer * B + b) * shape.heads + h
                key = arrays["keys"].at(head * ring + newest // PANEL * (D * PANEL) + newest % PANEL)
                value = arrays["values"].at(head * folded + newest * PANEL)
                with code.loop(D) as d:
                    c = h * D + d
                    key[d * PANEL] = row[c + width] * scale[c + width]
                    value[d // PANEL * (S * PANEL) + d % PANEL] = row[c + 2 * width] * scale[c + 2 * width]
        with code.loop(shape.heads) as h:
            relative = arrays["relative"].at((layer * shape.heads + h) * ring)
            _product(code, relative, placed.at(h * D), across, D, shifted, S, S, B)
            with code.loop(B) as b:
                head = (layer * B + b) * shape.heads + h
                parts = [
                    arrays["keys"].at(head * ring),
                    arrays["values"].at(head * folded),
                    content.at(b * across + h * D),
                    shifted.at(b * S),
                ]
                parts += [arrays["rotated"], arrays["scores"], attended.at(b * across + h * D)]
                code.builder.call(attend, [part.pointer for part in parts] + [newest.value, arrays["ages"][b].value])
        _product(code, heavy_start.at(heavy), attended, across, C, added, C, C, B)
        heavy += C * C
        with code.loop(B) as b:
            with code.loop(C, step=LANES) as c:
                states.set_vector(b * C + c, states.vector(b * C + c) + added.vector(b * C + c) * vectors.at(light).vector(c))
            norm(b, vectors.at(light + C))
        light += 3 * C
        _product(code, heavy_start.at(heavy), normed, C, C, inner, I, I, B)
        heavy += C * I
        with code.loop(B) as b, code.loop(I, step=LANES) as c:
            x = inner.vector(b * I + c) * vectors.at(light).vector(c) + vectors.at(light + I).vector(c)
            inner.set_vector(b * I + c, _gelu(x))
        light += 2 * I
        _product(code, heavy_start.at(heavy), inner, I, I, added, C, C, B)
        with code.loop(B) as b, code.loop(C, step=LANES) as c:
            new = added.vector(b * C + c) * vectors.at(light).vector(c) + vectors.at(light + C).vector(c)
            states.set_vector(b * C + c, states.vector(b * C + c) + new)
    vectors = arrays["vectors"].at(shape.layers * layer_vectors)
    with code.loop(B) as b:
        norm(b, vectors)
    _product(code, arrays["weights"].at(shape.layers * layer_weights), normed, C, C, logits, V, V, B)
    with code.loop(B) as b, code.loop(V, step=LANES) as c:
        scale, bias = vectors.at(2 * C).vector(c), vectors.at(2 * C + V).vector(c)
        logits.set_vector(b * V + c, logits.vector(b * V + c) * scale + bias)
    code.builder.ret_void()
