"""Vectors (vectors.py) over numbers that lie one after another, and over heads side by side.

    s = first(lanes, score, start, count, -inf)  # count ≤ lanes numbers of the array's memory
    put(s, out, start, count)                    # likewise

Scores of a row of n entries with H heads are n · H numbers. In a vector of P lanes, H a divisor of
P, lane l belongs to head l mod H: `largest_by` and `sum_by` bring P lanes to H, `tile` back to P.
Features are the other way round, those of a head side by side: `spread` brings a number of each
head to its features, `sums_of` features to the sum of each head. All these counts are powers of 2,
given by a tuple as long as the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from gbench.kernels.cpu.vectors import (
    I32,
    Vector,
    every,
    first_lanes,
    in_every_lane,
    integers,
    narrowed,
    read,
    read_as,
    stored_as,
    widened,
    write,
)


@intrinsic
def first(typing: Any, lanes: Any, x: Any, start: Any, count: Any, fill: Any) -> Any:
    """x.ravel()[start:start + count], and `fill` in the lanes from `count` on."""
    vector = read_as(lanes, x)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = stored_as(x, vector.registers)
        array = context.make_array(x)(context, builder, args[1])
        start, count = integers(context, builder, signature, args, 2, 3)
        place = builder.gep(array.data, [start])
        value = widened(builder, read(builder, stored, place, count), vector.registers)
        others = context.cast(builder, args[4], signature.args[4], vector.dtype)
        is_there = first_lanes(builder, stored, count)
        return builder.select(is_there, value, in_every_lane(builder, others, vector.count))

    return vector(lanes, x, start, count, fill), generate


@intrinsic
def put(typing: Any, value: Any, out: Any, start: Any, count: Any) -> Any:
    """Write the first `count` lanes to out.ravel()[start:start + count]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = stored_as(out, value.registers)
        array = context.make_array(out)(context, builder, args[1])
        start, count = integers(context, builder, signature, args, 2, 3)
        rounded = narrowed(builder, args[0], stored)
        write(builder, rounded, stored, builder.gep(array.data, [start]), count)
        return context.get_dummy_value()

    return types.void(value, out, start, count), generate


@intrinsic
def inverse(typing: Any, a: Any) -> Any:
    """1 / x in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fdiv(every(args[0].type, 1.0), args[0])

    return a(a), generate


@intrinsic
def kept(typing: Any, a: Any, factor: Any) -> Any:
    """Where the factor is not 0 a · factor, elsewhere 0, even of a NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nothing = every(args[1].type, 0.0)
        is_kept = builder.fcmp_unordered("!=", args[1], nothing)
        return builder.select(is_kept, builder.fmul(*args), nothing)

    return a(a, factor), generate


@intrinsic
def elu_slope(typing: Any, y: Any, scale: Any) -> Any:
    """The derivative of an ELU that was divided by `scale`, from the result y."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, one = args[0], every(args[0].type, 1.0)
        factor = context.cast(builder, args[1], signature.args[1], y.dtype)
        lower = builder.fadd(builder.fmul(value, in_every_lane(builder, factor, y.count)), one)
        is_lower = builder.fcmp_ordered("<=", value, every(value.type, 0.0))
        return builder.select(is_lower, lower, one)

    return y(y, scale), generate


@intrinsic
def sloped(typing: Any, a: Any, b: Any, slope: Any) -> Any:
    """Where b is above 0 a, elsewhere slope · a: a leaky ReLU of a = b, or its gradient."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, given, _ = args
        factor = context.cast(builder, args[2], signature.args[2], a.dtype)
        lower = builder.fmul(value, in_every_lane(builder, factor, a.count))
        return builder.select(
            builder.fcmp_ordered(">", given, every(given.type, 0.0)), value, lower
        )

    return a(a, b, slope), generate


@intrinsic
def largest(typing: Any, a: Any, b: Any) -> Any:
    """The larger of two numbers in every lane; a NaN is larger than all."""
    return a(a, b), lambda context, builder, _, args: _larger(builder, *args)


@intrinsic
def largest_by(typing: Any, heads: Any, a: Any) -> Any:
    """The largest of the lanes l, l + H, l + 2 H, ... for each l < H."""
    return _folded(heads, a, _larger)


@intrinsic
def sum_by(typing: Any, heads: Any, a: Any) -> Any:
    """The sum of the lanes l, l + H, l + 2 H, ... for each l < H."""
    return _folded(heads, a, lambda builder, left, right: builder.fadd(left, right))


@intrinsic
def tile(typing: Any, lanes: Any, a: Any) -> Any:
    """The vector again and again."""
    return _moved(lanes, a, [lane % a.count for lane in range(len(lanes))])


@intrinsic
def spread(typing: Any, lanes: Any, a: Any) -> Any:
    """Each lane as often as fits, side by side."""
    return _moved(lanes, a, [lane * a.count // len(lanes) for lane in range(len(lanes))])


@intrinsic
def sums_of(typing: Any, parts: Any, a: Any) -> Any:
    """The sum of each of `parts` stretches of lanes that lie side by side."""
    vector = Vector(a.dtype, len(parts))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[1]
        while value.type.count > vector.count:
            value = builder.fadd(*(_picked(builder, value, start, 2) for start in (0, 1)))
        return value

    return vector(parts, a), generate


def _folded(heads: Any, a: Any, combine: Callable[..., Any]) -> Any:
    vector = Vector(a.dtype, len(heads))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = args[1]
        while value.type.count > vector.count:
            half = value.type.count // 2
            value = combine(builder, *(_picked(builder, value, at, 1) for at in (0, half)))
        return value

    return vector(heads, a), generate


def _moved(lanes: Any, a: Any, places: list[int]) -> Any:
    vector = Vector(a.dtype, len(lanes))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _shuffled(builder, args[1], places)

    return vector(lanes, a), generate


def _picked(builder: Any, value: Any, start: int, step: int) -> Any:
    """Half of the lanes, from `start` on."""
    half = value.type.count // 2
    return _shuffled(builder, value, [start + step * lane for lane in range(half)])


def _shuffled(builder: Any, value: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(I32, len(places)), places)
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    is_a = builder.or_(builder.fcmp_ordered(">", a, b), builder.fcmp_unordered("uno", a, a))
    return builder.select(is_a, a, b)
