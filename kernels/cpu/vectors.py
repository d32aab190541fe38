"""Vector registers as a type of numba: a stretch of one row's features, held out of memory.

LLVM makes vector instructions of a plain loop over features but keeps no array in registers, so
that `out[i, f] += x[j, f]` loads and stores every sum once per entry. Here 8, 16 or 32 features of
a sum are one value, and `lanes`, a tuple as long as the vector, says how many:

    total = zero(lanes, x)
    total += row(lanes, panel, j)           # all of row j of a panel, an (N, len(lanes)) array
    total += load(lanes, x, j, column)      # x[j, column:column + len(lanes)], 0 past its width
    store(total * factor, out, i, column)   # likewise: what lies past the width is not written

Propagating 7 to 64 features takes half to a third of the plain loop's time. Arrays of bfloat16
(uint16, see bfloat16.py) are read and written as vectors of float32.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

I32, I64 = ir.IntType(32), ir.IntType(64)
FUSE = ("contract",)  # a product and a sum may become one instruction


class Vector(types.Type):  # type: ignore[misc]
    """`count` numbers of type float32 or float64."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Vector({dtype}, {count})")

    @property
    def registers(self) -> ir.VectorType:
        number = ir.DoubleType() if self.dtype == types.float64 else ir.FloatType()
        return ir.VectorType(number, self.count)


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, kind.registers)


def read_as(lanes: Any, x: Any) -> Vector:
    """The vector that numbers of the array are read as."""
    return Vector(types.float32 if x.dtype == types.uint16 else x.dtype, len(lanes))


def stored_as(x: Any, registers: ir.VectorType) -> ir.VectorType:
    """What such a vector is in the memory of an array."""
    return ir.VectorType(ir.IntType(16), registers.count) if x.dtype == types.uint16 else registers


def every(kind: ir.VectorType, value: Any) -> ir.Constant:
    """A constant in every lane."""
    return ir.Constant(kind, [value] * kind.count)


def in_every_lane(builder: Any, value: Any, count: int) -> Any:
    """The value in every lane."""
    nothing = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, nothing, every(ir.VectorType(I32, count), 0))


def widened(builder: Any, value: Any, registers: ir.VectorType) -> Any:
    """What was read, as the vector that is computed with."""
    if value.type == registers:
        return value
    bits = ir.VectorType(I32, registers.count)
    return builder.bitcast(builder.shl(builder.zext(value, bits), every(bits, 16)), registers)


def narrowed(builder: Any, value: Any, stored: ir.VectorType) -> Any:
    """As narrow in bfloat16.py: to the nearest, of two to the even one, and a NaN stays one."""
    if value.type == stored:
        return value
    kind = ir.VectorType(I32, stored.count)
    bits = builder.bitcast(value, kind)
    odd = builder.and_(builder.lshr(bits, every(kind, 16)), every(kind, 1))
    rounded = builder.add(bits, builder.add(odd, every(kind, 0x7FFF)))
    quiet = builder.or_(bits, every(kind, 0x400000))
    kept = builder.select(builder.fcmp_ordered("ord", value, value), rounded, quiet)
    return builder.trunc(builder.lshr(kept, every(kind, 16)), stored)


def read(builder: Any, stored: ir.VectorType, start: Any, count: Any) -> Any:
    """The first `count` numbers from the address on, in the other lanes 0."""
    place = builder.bitcast(start, stored.as_pointer())
    given = [place, ir.Constant(I32, 1), first_lanes(builder, stored, count)]
    return masked(builder, "load", stored, stored, [*given, ir.Constant(stored, None)])


def write(builder: Any, value: Any, stored: ir.VectorType, start: Any, count: Any) -> None:
    """Write the first `count` lanes to the address.

    All of them are written as one: before AVX-512 a masked store takes as long as a dozen others.
    """
    place = builder.bitcast(start, stored.as_pointer())
    is_whole = builder.icmp_signed(">=", count, ir.Constant(count.type, stored.count))
    with builder.if_else(is_whole) as (whole, part):
        with whole:
            builder.store(value, place).align = alignment(stored)
        with part:
            given = [value, place, ir.Constant(I32, 1), first_lanes(builder, stored, count)]
            masked(builder, "store", stored, ir.VoidType(), given)


def alignment(stored: ir.VectorType) -> int:
    """Of numbers that may stand anywhere in an array."""
    return 2 if stored.element == ir.IntType(16) else 4


def first_lanes(builder: Any, stored: ir.VectorType, count: Any) -> Any:
    """Which lanes are among the first `count`."""
    lanes = ir.Constant(ir.VectorType(I32, stored.count), list(range(stored.count)))
    end = in_every_lane(builder, builder.trunc(count, I32), stored.count)
    return builder.icmp_signed("<", lanes, end)


def _start_and_count(builder: Any, array: Any, place: list[Any]) -> tuple[Any, Any]:
    """The address of a place in a matrix, and how many numbers of its row stand from there on."""
    row, column = place
    width = builder.extract_value(array.shape, 1)
    start = builder.gep(array.data, [builder.add(builder.mul(row, width), column)])
    return start, builder.sub(width, column)


def masked(builder: Any, name: str, stored: ir.VectorType, result: Any, args: list[Any]) -> Any:
    """One of LLVM's masked loads and stores."""
    element = {"float": "f32", "double": "f64"}.get(str(stored.element), str(stored.element))
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(result, [arg.type for arg in args]),
        f"llvm.masked.{name}.v{stored.count}{element}.p0",
    )
    return builder.call(function, args)


def integers(context: Any, builder: Any, signature: Any, args: Any, *at: int) -> list[Any]:
    """Some of the arguments as 64-bit integers."""
    return [context.cast(builder, args[k], signature.args[k], types.int64) for k in at]


@intrinsic
def zero(typing: Any, lanes: Any, x: Any) -> Any:
    """0 in every lane, of the type that sums of x are made in."""
    vector = read_as(lanes, x)
    return vector(lanes, x), lambda *_: every(vector.registers, 0.0)


@intrinsic
def row(typing: Any, lanes: Any, panel: Any, i: Any) -> Any:
    """Row i of an array that has as many columns as the vector has lanes."""
    vector = read_as(lanes, panel)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = stored_as(panel, vector.registers)
        array = context.make_array(panel)(context, builder, args[1])
        (at,) = integers(context, builder, signature, args, 2)
        start = builder.gep(array.data, [builder.mul(at, ir.Constant(I64, vector.count))])
        value = builder.load(builder.bitcast(start, stored.as_pointer()))
        value.align = alignment(stored)
        return widened(builder, value, vector.registers)

    return vector(lanes, panel, i), generate


@intrinsic
def load(typing: Any, lanes: Any, x: Any, i: Any, column: Any) -> Any:
    """x[i, column:column + len(lanes)], and 0 for columns that x does not have."""
    vector = read_as(lanes, x)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = stored_as(x, vector.registers)
        array = context.make_array(x)(context, builder, args[1])
        place = integers(context, builder, signature, args, 2, 3)
        value = read(builder, stored, *_start_and_count(builder, array, place))
        return widened(builder, value, vector.registers)

    return vector(lanes, x, i, column), generate


@intrinsic
def store(typing: Any, value: Any, out: Any, i: Any, column: Any) -> Any:
    """Write the vector to out[i, column:column + its lanes], as far as these columns exist."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = stored_as(out, value.registers)
        array = context.make_array(out)(context, builder, args[1])
        place = integers(context, builder, signature, args, 2, 3)
        rounded = narrowed(builder, args[0], stored)
        write(builder, rounded, stored, *_start_and_count(builder, array, place))
        return context.get_dummy_value()

    return types.void(value, out, i, column), generate


@intrinsic
def positive(typing: Any, a: Any) -> Any:
    """0 where a lane is negative; a NaN stays."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nothing = every(a.registers, 0.0)
        return builder.select(builder.fcmp_ordered("<", args[0], nothing), nothing, args[0])

    return a(a), generate


@intrinsic
def total_of(typing: Any, a: Any) -> Any:
    """The sum of all lanes: half of them are added to the other half until one is left."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[0]
        while value.type.count > 1:
            half = value.type.count // 2
            nothing = ir.Constant(value.type, ir.Undefined)
            parts = [
                builder.shuffle_vector(
                    value,
                    nothing,
                    ir.Constant(ir.VectorType(I32, half), list(range(first, first + half))),
                )
                for first in (0, half)
            ]
            value = builder.fadd(*parts)
        return builder.extract_element(value, ir.Constant(I32, 0))

    return a.dtype(a), generate


@intrinsic
def _add(typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda context, builder, _, args: builder.fadd(*args, flags=FUSE)


@intrinsic
def _subtract(typing: Any, a: Any, b: Any) -> Any:
    return a(a, b), lambda context, builder, _, args: builder.fsub(*args, flags=FUSE)


@intrinsic
def _multiply(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factor = args[1] if isinstance(b, Vector) else in_every_lane(builder, args[1], a.count)
        return builder.fmul(args[0], factor, flags=FUSE)

    return a(a, b if isinstance(b, Vector) else a.dtype), generate


@overload(operator.add)
@overload(operator.iadd)
def _plus(a, b):  # type: ignore[no-untyped-def]
    return (lambda a, b: _add(a, b)) if isinstance(a, Vector) else None


@overload(operator.sub)
def _minus(a, b):  # type: ignore[no-untyped-def]
    return (lambda a, b: _subtract(a, b)) if isinstance(a, Vector) else None


@overload(operator.mul)
def _times(a, b):  # type: ignore[no-untyped-def]
    return (lambda a, b: _multiply(a, b)) if isinstance(a, Vector) else None
