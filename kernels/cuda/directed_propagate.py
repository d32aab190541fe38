"""CUDA: one walk, in which both degrees are read from the row pointers of the two orders."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.rows import (
    WHOLE,
    add_partials,
    gather,
    kernel,
    portion,
    put,
    size_of,
    tiling,
)


def directed_propagate(graph: Graph, longest: int, x: Tensor, a: float, b: float) -> Tensor:
    """The forward of gbench/kernels/directed_propagate.py."""
    rowptr, col, rowptr_t, *_ = graph
    return _propagate(rowptr, col, rowptr_t, longest, x, a, b)


def directed_propagate_backward(
    grad: Tensor, graph: Graph, longest: int, a: float, b: float
) -> Tensor:
    """The gradient of gbench/kernels/directed_propagate.py: the transpose, the powers exchanged."""
    rowptr, _, rowptr_t, col_t, _ = graph
    return _propagate(rowptr_t, col_t, rowptr, longest, grad, b, a)


def _propagate(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, longest: int, x: Tensor, a: float, b: float
) -> Tensor:
    x = x.contiguous()
    num_rows = rowptr.numel() - 1
    out = x.new_empty(num_rows, x.size(1))
    tiles = tiling(num_rows, x.size(0), col.numel(), longest, x)
    tiles.launch(_sum, rowptr, col, rowptr_t, x, out, OUTER=a, INNER=b)
    return out


@triton.jit
def _power(
    rowptr: tl.tensor, node: tl.tensor, mask: tl.tensor, like: tl.tensor, EXPONENT: tl.constexpr
) -> tl.tensor:
    """The node's number of entries to that power as a column; of 0 entries whatever 1 has."""
    size = tl.maximum(size_of(rowptr, node, mask), 1).to(like.dtype)
    if EXPONENT == -1:
        power = 1.0 / size
    elif EXPONENT == -0.5:
        power = tl.rsqrt(size)
    else:
        power = tl.exp2(EXPONENT * tl.log2(size)).to(like.dtype)
    return power[:, None]


@kernel
def _sum(
    rowptr: tl.tensor,
    col: tl.tensor,
    rowptr_t: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    OUTER: tl.constexpr,
    INNER: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                source = tl.load(col + begin + step + ahead, mask=here, other=0)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                if INNER != 0:
                    value *= _power(rowptr_t, source, here, total, INNER)
                total += value
    final = total
    if OUTER != 0:
        final = total * _power(rowptr, row, target == WHOLE, total, OUTER)
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)
