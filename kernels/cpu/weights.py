"""Weights of a softmax over the entries of each row, by vectors of scores, and their gradient.

Of P lanes all are used where the number of heads H divides P: a row's n · H scores are then read P
at a time. Else the heads of one entry are, up to P at a time. Kernels work on a block of rows after
another: their weights are used while they are in cache.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from numba import types
from numba.extending import overload

from gbench.kernels.cpu.rows import compiled
from gbench.kernels.cpu.vector_math import exp, log
from gbench.kernels.cpu.vector_parts import (
    first,
    inverse,
    largest,
    largest_by,
    put,
    sum_by,
    tile,
)

BLOCK = 1 << 13  # scores of a block, unless a single row has more: 32 kB
LANES = 8


@cache
def lanes_of(heads: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The lanes of a vector of scores and those that it is brought to, a number for each head."""
    return (0,) * LANES, (0,) * (heads if LANES % heads == 0 else LANES)


def stretch_of(x: Any, begin: int, end: int) -> Any:
    """x[begin:end], or None of nothing."""


@overload(stretch_of)
def _stretch_of(x, begin, end):  # type: ignore[no-untyped-def]
    if x is None or isinstance(x, types.NoneType):
        return lambda x, begin, end: None
    return lambda x, begin, end: x[begin:end]


@compiled
def block_end(rowptr: Any, begin: int, end: int, heads: int) -> int:
    """The row behind the block that begins with row `begin`: it has one row at least."""
    last, i = rowptr[begin] + begin + BLOCK // heads, begin + 1
    while i < end and rowptr[i + 1] + i + 1 <= last:
        i += 1
    return i


@compiled
def block_room(rowptr: Any, begin: int, end: int, heads: int) -> int:
    """More than the rows and entries together of any block of these rows."""
    longest = 0
    for i in range(begin, end):
        longest = max(longest, rowptr[i + 1] - rowptr[i])
    return max(BLOCK // heads, longest + 1) + 1


@compiled
def _span(lanes: Any, by_head: Any, rowptr: Any, shift: int, i: int, h: int, heads: int) -> Any:
    """Where row i's scores of the heads from h on begin and end; and how many lanes count.

    The last two numbers: of a vector that has one for each head, and of a vector of scores.
    """
    own = min(len(by_head), heads - h)
    room = len(lanes) if len(by_head) == heads else own
    return (rowptr[i] - shift) * heads + h, (rowptr[i + 1] - shift) * heads, own, room


@compiled
def weights_of(
    lanes: Any,
    by_head: Any,
    begin: int,
    end: int,
    rowptr: Any,
    score: Any,
    factor: Any,
    weight: Any,
    scale: Any,
    log_sum: Any,
) -> None:
    """Weights of rows begin..end - 1, times their factors, before division by their sums.

    What divides them is in `scale`, and the sums' logarithm in `log_sum`. All arrays but rowptr and
    log_sum begin with row `begin`. Shapes: score, factor and weight (n, H), scale (rows, H).
    """
    heads, shift = score.shape[1], rowptr[begin]
    step = len(lanes) if len(by_head) == heads else heads
    for i in range(begin, end):
        for h in range(0, heads, len(by_head)):
            start, stop, own, room = _span(lanes, by_head, rowptr, shift, i, h, heads)
            top = tile(lanes, first(by_head, scale, 0, 0, -math.inf))
            at = start
            while at < stop:
                top = largest(top, first(lanes, score, at, min(room, stop - at), -math.inf))
                at += step
            top_of_head = largest_by(by_head, top)
            top = tile(lanes, top_of_head)
            total = tile(lanes, first(by_head, scale, 0, 0, 0.0))
            at = start
            while at < stop:
                count = min(room, stop - at)
                value = exp(first(lanes, score, at, count, -math.inf) - top)
                total += value
                if factor is not None:
                    value = value * first(lanes, factor, at, count, 0.0)
                put(value, weight, at, count)
                at += step
            total_of_head = sum_by(by_head, total)
            put(top_of_head + log(total_of_head), log_sum, i * heads + h, own)
            if start < stop:
                total_of_head = inverse(total_of_head)
            put(total_of_head, scale, (i - begin) * heads + h, own)


@compiled
def slopes(
    lanes: Any,
    by_head: Any,
    begin: int,
    end: int,
    rowptr: Any,
    score: Any,
    factor: Any,
    log_sum: Any,
    dot: Any,
    alpha: Any,
    weight: Any,
    grad_score: Any,
) -> None:
    """The scores' gradients of rows begin..end - 1, and the weights times their factors.

    Of `dot`, the products of ȳ with x, all arrays as in `weights_of`. `alpha` is room for weights
    without their factors: `weight` itself where there are no factors.
    """
    heads, shift = score.shape[1], rowptr[begin]
    step = len(lanes) if len(by_head) == heads else heads
    for i in range(begin, end):
        for h in range(0, heads, len(by_head)):
            start, stop, own, room = _span(lanes, by_head, rowptr, shift, i, h, heads)
            top = tile(lanes, first(by_head, log_sum, i * heads + h, own, 0.0))
            mean = tile(lanes, first(by_head, dot, 0, 0, 0.0))
            at = start
            while at < stop:
                count = min(room, stop - at)
                value = exp(first(lanes, score, at, count, -math.inf) - top)
                put(value, alpha, at, count)
                if factor is not None:
                    value = value * first(lanes, factor, at, count, 0.0)
                    put(value, weight, at, count)
                mean += value * first(lanes, dot, at, count, 0.0)
                at += step
            mean = tile(lanes, sum_by(by_head, mean))
            at = start
            while at < stop:
                count = min(room, stop - at)
                along = first(lanes, weight, at, count, 0.0) * first(lanes, dot, at, count, 0.0)
                along = along - first(lanes, alpha, at, count, 0.0) * mean
                put(along, grad_score, at, count)
                at += step
