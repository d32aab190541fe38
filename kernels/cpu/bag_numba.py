"""Sums of up to 64 columns: a row's sum stays in vector registers (vectors.py), entry by entry.

Products and sums are those of embedding_bag in its order, and so are the bits of float32.
"""

from __future__ import annotations

from typing import Any

from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import widen
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.cpu.vectors import load, store, zero


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
        array(rowptr),
        array(col),
        array(x),
        None if weight is None else array(weight),
        None if place is None else array(place),
        None if bias is None else array(bias).reshape(1, -1),
        array(out),
    )
    return out


@compiled
def _sums(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    rowptr: Any,
    col: Any,
    x: Any,
    weight: Any,
    place: Any,
    bias: Any,
    out: Any,
) -> int:
    begin, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    for i in range(uint64(begin), uint64(end)):
        total = zero(lanes, x)
        for e in range(uint64(rowptr[i]), uint64(rowptr[i + uint64(1)])):
            value = load(lanes, x, uint64(col[e]), 0)
            if weight is None:
                total += value
            elif place is None:
                total += value * widen(weight[e])
            else:
                total += value * widen(weight[uint64(place[e])])
        if bias is not None:
            total += load(lanes, bias, 0, 0)
        store(total, out, i, 0)
    return 0
