"""CUDA: a walk over the rows forward, one over the transpose backward (rows.py).

Every entry is walked once in either, so that backward writes the edges' gradient where it finds it.
"""

from __future__ import annotations

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
    tiling,
    wide,
)


def gine_dense(graph: Graph, longest: int, x: Tensor, edge: Tensor, eps: Tensor) -> Tensor:
    """The forward of gbench/kernels/gine_dense.py."""
    rowptr, col, *_ = graph
    x, edge = x.contiguous(), edge.contiguous()
    out = x.new_empty(x.shape)
    tiles = tiling(x.size(0), x.size(0), col.numel(), longest, x)
    tiles.launch(_forward, rowptr, col, x, edge, eps, out)
    return out


def gine_dense_backward(
    grad: Tensor, graph: Graph, longest: int, x: Tensor, edge: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gine_dense.py."""
    *_, rowptr_t, col_t, perm_t = graph
    grad, x, edge = grad.contiguous(), x.contiguous(), edge.contiguous()
    grad_x, grad_edge = x.new_empty(x.shape), edge.new_empty(edge.shape)
    tiles = tiling(x.size(0), x.size(0), col_t.numel(), longest, x)
    dots = x.new_empty(tiles.row_programs, tiles.blocks, dtype=wide(x.dtype))
    walk = (rowptr_t, col_t, perm_t, x, edge, eps, grad)
    tiles.launch(_backward, *walk, grad_x, grad_edge, dots)
    return grad_x, grad_edge, dots.sum().to(eps.dtype)


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    edge: tl.tensor,
    eps: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
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
                entry = begin + step + ahead
                source = tl.load(col + entry, mask=here, other=0)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                value += gather(edge, entry, here, column, WIDTH, 0.0).to(total.dtype)
                total += tl.where(value <= 0, 0.0, value)  # a NaN stays one
    own = gather(x, row, target == WHOLE, column, WIDTH, 0.0).to(total.dtype)
    final = total + (1 + tl.load(eps).to(total.dtype)) * own
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)


@kernel
def _backward(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    x: tl.tensor,
    edge: tl.tensor,
    eps: tl.tensor,
    grad: tl.tensor,
    grad_x: tl.tensor,
    grad_edge: tl.tensor,
    dots: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    row, begin, length, target = portion(
        rowptr_t, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (column < WIDTH)[None, :]
    own_grad = gather(grad, row, target >= WHOLE, column, WIDTH, 0.0)
    own_grad = own_grad.to(partial.dtype.element_ty)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        own = gather(x, row, target >= WHOLE, column, WIDTH, 0.0).to(total.dtype)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                receiver = tl.load(col_t + entry, mask=here, other=0)
                place = tl.load(perm_t + entry, mask=here, other=0)
                value = own + gather(edge, place, here, column, WIDTH, 0.0).to(total.dtype)
                arrives = gather(grad, receiver, here, column, WIDTH, 0.0).to(total.dtype)
                arrives = tl.where(value <= 0, 0.0, arrives)
                at = place.to(tl.int64)[:, None] * WIDTH + column[None, :]
                kept = arrives.to(grad_edge.dtype.element_ty)
                tl.store(grad_edge + at, kept, here[:, None] & inside)
                total += arrives
        if tl.program_id(0) < tl.cdiv(num_rows, ROWS):
            place = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
            tl.store(dots + place, tl.sum(own * own_grad))
    final = total + (1 + tl.load(eps).to(total.dtype)) * own_grad
    put(total, final, row, target, column, grad_x, partial, WIDTH, MERGE)
