"""Panels: a few columns of all nodes, copied side by side, so that gathers stay in cache.

Of a row of 1433 features, 5.7 kB, every hop would fetch each byte from a far level of cache as
often as the row has neighbours. A panel (N, P) of P = 8, 16 or 32 columns takes N · P · 4 bytes
(2.3 MB for 18,333 nodes), so that all K hops of a panel run in cache, and memory sees x and the
result once. Rows are padded to P with zeros: the sum of a row's neighbours is then a sum of vectors
(vectors.py) with no ragged end. Rows in panels are D^-1/2 times the features, so that a hop from
panel to panel scales once, by D^-1.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint64

from gbench.kernels.cpu.bfloat16 import zero_of
from gbench.kernels.cpu.rows import compiled, count_chunks
from gbench.kernels.cpu.vectors import load, positive, row, store, zero


def steps_of(count: int, work: int) -> list[tuple[int, int]]:
    """The calls that make `count` steps, after each of which all threads meet: one for one thread.

    A call of a compiled function with ten arrays costs 5 µs, half a hop of Cora.
    """
    if min(torch.get_num_threads(), count_chunks(work)) == 1:
        return [(0, count)]
    return [(step, step + 1) for step in range(count)]


@compiled
def inverse_root(rowptr: Any, x: Any) -> Any:
    """(in-degree + 1)^-1/2 of each node, at least in float32: bfloat16 has no 257."""
    scale = numpy.empty(len(rowptr) - 1, type(zero_of(x)))
    one = zero_of(x) + 1
    for i in range(len(scale)):
        scale[i] = one / numpy.sqrt(one + (rowptr[i + 1] - rowptr[i]))
    return scale


@compiled
def pack(lanes: Any, begin: int, end: int, x: Any, column: int, scale: Any, panel: Any) -> None:
    """Copy columns column..column + P - 1 of x to the panel, row i times scale[i]."""
    for i in range(uint64(begin), uint64(end)):
        store(load(lanes, x, i, column) * scale[i], panel, i, 0)


@compiled
def hop(
    lanes: Any,
    begin: int,
    end: int,
    rowptr: Any,
    col: Any,
    factor: Any,
    panel: Any,
    bias: Any,
    is_relu: bool,
    out: Any,
    column: int,
) -> None:
    """Add to each row of the panel the rows that the graph names; times factor, plus bias, to out.

    One function, because arrays that pass from one to another are counted: that takes as long as a
    row of four neighbours. Its indices are unsigned, because -1 would name the last element: to ask
    each one for its sign takes a third of the time.
    """
    one, two = uint64(1), uint64(2)
    e = uint64(rowptr[begin])
    for i in range(uint64(begin), uint64(end)):
        even, odd = row(lanes, panel, i), zero(lanes, panel)  # two sums: adding takes 4 cycles
        last = uint64(rowptr[i + one])
        while e + one < last:
            even += row(lanes, panel, col[e])
            odd += row(lanes, panel, col[e + one])
            e += two
        if e < last:
            even += row(lanes, panel, col[e])
            e += one
        total = (even + odd) * factor[i]
        if bias is not None:
            total += load(lanes, bias, 0, column)
        store(positive(total) if is_relu else total, out, i, column)
