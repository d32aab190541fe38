"""Sums of up to 64 columns: a row's sum stays in vector registers (vectors.py), entry by entry.

Products and sums are those of embedding_bag in its order, and so are the bits of float32, but for
rows of LONG entries and more.
"""

from __future__ import annotations

from typing import Any

from numba import types, uint64
from numba.extending import overload
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import widen
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.cpu.vectors import load, row, store, zero

LONG = 16  # entries of a row, from which on its terms are added up four by four


def vector_sum(
    rowptr: Tensor,
    col: Tensor,
    x: Tensor,
    weight: Tensor | None,
    place: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """As bag_sum in bag.py, of at most 64 columns."""
    out = unset((rowptr.numel() - 1, x.size(1)), x.dtype)
    lanes = next(count for count in (8, 16, 32, 64) if x.size(1) <= count)
    run(
        _sums,
        count_chunks((col.numel() + out.size(0)) * lanes),
        (0,) * lanes,
        True if x.size(1) == lanes else None,
        array(rowptr),
        array(col),
        array(x),
        None if weight is None else array(weight),
        None if place is None else array(place),
        None if bias is None else array(bias).reshape(1, -1),
        array(out),
    )
    return out


def _gathered(lanes: Any, whole: Any, x: Any, j: Any) -> Any:
    """Row j of x, which is `whole` if it fills the vector: that needs no mask."""


@overload(_gathered, inline="always")
def _overload_gathered(lanes, whole, x, j):  # type: ignore[no-untyped-def]
    if isinstance(whole, types.NoneType):
        return lambda lanes, whole, x, j: load(lanes, x, j, 0)
    return lambda lanes, whole, x, j: row(lanes, x, j)


def _term(lanes: Any, whole: Any, x: Any, col: Any, weight: Any, place: Any, e: Any) -> Any:
    """The row that entry e gathers, times its weight."""


@overload(_term, inline="always")
def _overload_term(lanes, whole, x, col, weight, place, e):  # type: ignore[no-untyped-def]
    if isinstance(weight, types.NoneType):
        return lambda lanes, whole, x, col, weight, place, e: _gathered(
            lanes, whole, x, uint64(col[e])
        )
    if isinstance(place, types.NoneType):
        return lambda lanes, whole, x, col, weight, place, e: (
            _gathered(lanes, whole, x, uint64(col[e])) * widen(weight[e])
        )
    return lambda lanes, whole, x, col, weight, place, e: (
        _gathered(lanes, whole, x, uint64(col[e])) * widen(weight[uint64(place[e])])
    )


@compiled
def _sums(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    whole: Any,
    rowptr: Any,
    col: Any,
    x: Any,
    weight: Any,
    place: Any,
    bias: Any,
    out: Any,
) -> int:
    begin, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    one, two, three, four = uint64(1), uint64(2), uint64(3), uint64(4)
    for i in range(uint64(begin), uint64(end)):
        total = zero(lanes, x)
        e, last = uint64(rowptr[i]), uint64(rowptr[i + one])
        if last - e >= LONG and len(lanes) <= 16:  # four sums: adding takes 4 cycles
            second, third, fourth = zero(lanes, x), zero(lanes, x), zero(lanes, x)
            while e + three < last:
                total += _term(lanes, whole, x, col, weight, place, e)
                second += _term(lanes, whole, x, col, weight, place, e + one)
                third += _term(lanes, whole, x, col, weight, place, e + two)
                fourth += _term(lanes, whole, x, col, weight, place, e + three)
                e += four
            total = (total + second) + (third + fourth)
        if last - e >= LONG and len(lanes) == 32:  # two of twice as many: there are 16 registers
            second = zero(lanes, x)
            while e + one < last:
                total += _term(lanes, whole, x, col, weight, place, e)
                second += _term(lanes, whole, x, col, weight, place, e + one)
                e += two
            total += second
        while e < last:
            total += _term(lanes, whole, x, col, weight, place, e)
            e += one
        if bias is not None:
            total += load(lanes, bias, 0, 0)
        store(total, out, i, 0)
    return 0
