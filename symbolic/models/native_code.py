"""Writing a loop over arrays for LLVM in Python's own operators, and turning it into machine code of this very processor.

A `Number` is a 64-bit integer, a float32 or a vector of `LANES` float32, known only when the code runs; an `Array` is where numbers lie.
Nothing is written to disk: a generation step is machine code after some tenths of a second, where numba needs seconds.
llvmlite is what numba is built on, so it is there already.
"""

import contextlib
import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

LANES = 16
INTEGER, FLOAT = ir.IntType(64), ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
ELEMENTS = {"float32": FLOAT, "float16": ir.HalfType(), "int8": ir.IntType(8), "int64": INTEGER}
_BYTES = {"float32": 4, "float16": 2, "int8": 1, "int64": 8}
_FAST = ("fast",)


class Number:
    """A value of the running code, with arithmetic."""

    def __init__(self, code: "Code", value: Any) -> None:
        self.code, self.value = code, value

    def _pair(self, other: "Number | float") -> tuple[Any, Any]:
        return self.value, self.code.number(other, self.value.type).value

    def _operation(self, name: str, other: "Number | float", *, swapped: bool = False) -> "Number":
        a, b = self._pair(other)
        if swapped:
            a, b = b, a
        build = self.code.builder
        if a.type == INTEGER:
            return Number(self.code, getattr(build, {"div": "sdiv", "rem": "srem"}.get(name, name))(a, b))
        return Number(self.code, getattr(build, f"f{name}")(a, b, flags=_FAST))

    def __add__(self, other: "Number | float") -> "Number":
        return self._operation("add", other)

    def __sub__(self, other: "Number | float") -> "Number":
        return self._operation("sub", other)

    def __rsub__(self, other: float) -> "Number":
        return self._operation("sub", other, swapped=True)

    def __mul__(self, other: "Number | float") -> "Number":
        return self._operation("mul", other)

    def __truediv__(self, other: "Number | float") -> "Number":
        return self._operation("div", other)

    def __rtruediv__(self, other: float) -> "Number":
        return self._operation("div", other, swapped=True)

    def __floordiv__(self, other: "Number | int") -> "Number":
        return self._operation("div", other)

    def __mod__(self, other: "Number | int") -> "Number":
        return self._operation("rem", other)

    __radd__, __rmul__ = __add__, __mul__

    def highest(self, other: "Number | float") -> "Number":
        """The greater of two floats or vectors, lane by lane."""
        a, b = self._pair(other)
        return Number(self.code, self.code.builder.select(self.code.builder.fcmp_ordered(">", a, b, flags=_FAST), a, b))

    def lowest(self, other: "Number | float") -> "Number":
        """The smaller of two floats or vectors, lane by lane."""
        a, b = self._pair(other)
        return Number(self.code, self.code.builder.select(self.code.builder.fcmp_ordered("<", a, b, flags=_FAST), a, b))

    def spread(self) -> "Number":
        """A float in every lane of a vector."""
        build, whole = self.code.builder, ir.IntType(32)
        first = build.insert_element(ir.Constant(VECTOR, ir.Undefined), self.value, whole(0))
        return Number(self.code, build.shuffle_vector(first, first, ir.Constant(ir.VectorType(whole, LANES), [0] * LANES)))

    def total(self) -> "Number":
        """The sum of a vector's lanes."""
        function = self.code.outside(f"llvm.vector.reduce.fadd.v{LANES}f32", FLOAT, [FLOAT, VECTOR])
        return Number(self.code, self.code.builder.call(function, [FLOAT(0.0), self.value], fastmath=_FAST))

    def largest(self) -> "Number":
        """The greatest of a vector's lanes."""
        function = self.code.outside(f"llvm.vector.reduce.fmax.v{LANES}f32", FLOAT, [VECTOR])
        return Number(self.code, self.code.builder.call(function, [self.value], fastmath=_FAST))


class Variable:
    """A place for a number that changes in a loop; LLVM keeps it in a register."""

    def __init__(self, code: "Code", start: Number) -> None:
        self.code = code
        with code.builder.goto_entry_block():
            self.place = code.builder.alloca(start.value.type)
        self.set(start)

    def get(self) -> Number:
        """Its value now."""
        return Number(self.code, self.code.builder.load(self.place))

    def set(self, number: Number) -> None:
        """A new value."""
        self.code.builder.store(number.value, self.place)


class Array:
    """Numbers one after another in memory; half precision and 8-bit integers become float32 when they are read."""

    def __init__(self, code: "Code", pointer: Any, kind: str = "float32") -> None:
        self.code, self.pointer, self.kind = code, pointer, kind

    def at(self, offset: "Number | int") -> "Array":
        """The array that begins `offset` numbers later."""
        return Array(self.code, self.code.builder.gep(self.pointer, [self.code.number(offset, INTEGER).value]), self.kind)

    def __getitem__(self, index: "Number | int") -> Number:
        return Number(self.code, self.code.builder.load(self.at(index).pointer))

    def __setitem__(self, index: "Number | int", number: Number) -> None:
        self.code.builder.store(number.value, self.at(index).pointer)

    def vector(self, index: "Number | int") -> Number:
        """`LANES` numbers from `index` on, as float32."""
        build, kind = self.code.builder, ir.VectorType(ELEMENTS[self.kind], LANES)
        raw = build.load(build.bitcast(self.at(index).pointer, kind.as_pointer()), align=_BYTES[self.kind])
        if self.kind == "float16":
            raw = build.fpext(raw, VECTOR)
        elif self.kind == "int8":
            raw = build.sitofp(raw, VECTOR)
        return Number(self.code, raw)

    def set_vector(self, index: "Number | int", vector: Number) -> None:
        """Write `LANES` numbers from `index` on."""
        build = self.code.builder
        build.store(vector.value, build.bitcast(self.at(index).pointer, VECTOR.as_pointer()), align=4)


class Code:
    """One function being written, `builder` standing where the next instruction goes."""

    def __init__(self, module: ir.Module, name: str, arguments: Sequence[Any], *, inlined: bool = True) -> None:
        self.module = module
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
        if not inlined:
            self.function.attributes.add("noinline")
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.builder = ir.IRBuilder(self._after_entry())

    def _after_entry(self) -> Any:
        start = self.function.append_basic_block("start")
        self.builder.branch(start)
        return start

    def number(self, value: "Number | float", kind: Any = INTEGER) -> Number:
        """A constant as a number of a type; numbers stay what they are, but a float beside a vector is spread."""
        if isinstance(value, Number):
            return value.spread() if kind == VECTOR and value.value.type == FLOAT else value
        return Number(self, ir.Constant(VECTOR, [float(value)] * LANES) if kind == VECTOR else kind(value))

    def outside(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        """A function of LLVM's own, declared once."""
        return self.module.globals.get(name) or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    @contextlib.contextmanager
    def loop(self, stop: "Number | int", start: "Number | int" = 0, step: int = 1) -> Iterator[Number]:
        """`for index in range(start, stop, step)`."""
        build = self.builder
        begin, end = self.number(start).value, self.number(stop).value
        before, head = build.block, self.function.append_basic_block("head")
        body, after = self.function.append_basic_block("body"), self.function.append_basic_block("after")
        build.branch(head)
        build.position_at_end(head)
        index = build.phi(INTEGER)
        index.add_incoming(begin, before)
        build.cbranch(build.icmp_signed("<", index, end), body, after)
        build.position_at_end(body)
        yield Number(self, index)
        index.add_incoming(build.add(index, INTEGER(step)), build.block)
        build.branch(head)
        build.position_at_end(after)

    def copy(self, target: Array, source: Array, count: Number) -> None:
        """`count` float32 from one place to another that does not overlap it."""
        byte, build = ir.IntType(8).as_pointer(), self.builder
        function = self.outside("llvm.memcpy.p0.p0.i64", ir.VoidType(), [byte, byte, INTEGER, ir.IntType(1)])
        pointers = [build.bitcast(array.pointer, byte) for array in (target, source)]
        build.call(function, [*pointers, (count * 4).value, ir.IntType(1)(0)])

    def fused(self, a: Number, b: Number, c: Number) -> Number:
        """a · b + c of vectors, rounded once."""
        return Number(self, self.builder.call(self.outside(f"llvm.fma.v{LANES}f32", VECTOR, [VECTOR] * 3), [a.value, b.value, c.value]))

    def exponential(self, x: Number) -> Number:
        """exp of a vector within −87 … 87: 2^n times a polynomial (Cephes), to 1e-7."""
        build, whole = self.builder, ir.VectorType(ir.IntType(32), LANES)
        m = Number(self, build.call(self.outside(f"llvm.rint.v{LANES}f32", VECTOR, [VECTOR]), [(x * 1.44269504).value]))
        f = self.fused(m, self.number(2.12194440e-4, VECTOR), self.fused(m, self.number(-0.693359375, VECTOR), x))
        p = self.number(1.9875691500e-4, VECTOR)
        for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1.0, 1.0):
            p = self.fused(p, f, self.number(coefficient, VECTOR))
        power = build.shl(build.add(build.fptosi(m.value, whole), ir.Constant(whole, [127] * LANES)), ir.Constant(whole, [23] * LANES))
        return p * Number(self, build.bitcast(power, VECTOR))

    def logarithm(self, x: Number) -> Number:
        """Natural logarithm of a vector of normal positive numbers: that of a power of 2, and a polynomial (Cephes), to 1e-7."""
        build, whole = self.builder, ir.VectorType(ir.IntType(32), LANES)

        def every(value: int) -> Any:
            return ir.Constant(whole, [value] * LANES)

        bits = build.sub(build.bitcast(x.value, whole), every(0x3F3504F3))  # the root of a half: what is left is within its root and 2's
        power = Number(self, build.sitofp(build.ashr(bits, every(23)), VECTOR))
        rest = build.add(build.and_(bits, every(0x7FFFFF)), every(0x3F3504F3))
        y = Number(self, build.bitcast(rest, VECTOR)) - 1.0
        p = self.number(7.0376836292e-2, VECTOR)
        for coefficient in (-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
                            -2.4999993993e-1, 3.3333331174e-1, -0.5, 1.0):  # fmt: skip
            p = self.fused(p, y, self.number(coefficient, VECTOR))
        return self.fused(power, self.number(math.log(2), VECTOR), p * y)


def machine_code(module: ir.Module, name: str, processor: str = "") -> Callable[[int], None]:
    """The module's function `name`, which takes one address, made for this processor; it keeps its own code alive.

    `processor` is LLVM's name of an older one whose instructions are to do ("haswell": AVX2).
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    features = "" if processor else llvm.get_host_cpu_features().flatten()
    target, processor = llvm.Target.from_default_triple(), processor or llvm.get_host_cpu_name()
    machine, owned = (target.create_target_machine(cpu=processor, features=features, opt=2, jit=True) for _ in range(2))
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    engine: Any = llvm.create_mcjit_compiler(parsed, owned)
    engine.finalize_object()
    function: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address(name))
    function.engine = engine
    return function
