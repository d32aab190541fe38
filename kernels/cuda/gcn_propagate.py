"""CUDA: one walk per hop, in which degrees are read from the row pointers and no weight exists."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.draws import dropped_in_order
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
from gbench.kernels.dropout import KEY_SPAN
from gbench.kernels.gcn_propagate import before_all


def gcn_propagate(
    graph: Graph,
    longest: int,
    x: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    hops: int,
    relu: bool,
    rate: float,
) -> Tensor:
    """The forward of gbench/kernels/gcn_propagate.py."""
    rowptr, col, *_ = graph
    return _propagate(rowptr, col, rowptr, longest, x, bias, seed, hops, relu, rate)


def gcn_propagate_backward(
    grad: Tensor,
    out: Tensor | None,
    seed: Tensor | None,
    graph: Graph,
    longest: int,
    hops: int,
    rate: float,
    has_bias: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_propagate.py: the transpose, with the same degrees."""
    rowptr, _, rowptr_t, col_t, *_ = graph
    before = before_all(grad, out, seed, rate)
    walk = (rowptr_t, col_t, rowptr, longest)
    grad_x = _propagate(*walk, before, None, None, hops, False, 0.0)
    return grad_x, before.sum(0) if has_bias else before.new_empty(0)


def _propagate(
    walk: Tensor,
    source: Tensor,
    rowptr: Tensor,
    longest: int,
    x: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    hops: int,
    relu: bool,
    rate: float,
) -> Tensor:
    x = x.contiguous()
    bias = None if bias is None else bias.contiguous()
    # The first hop reads x, and each later one what the hop before has written.
    buffers = [x.new_empty(x.shape) for _ in range(min(hops, 2))]
    tiles = tiling(x.size(0), x.size(0), source.numel(), longest, x)
    draws = {"RATE": rate, "LIMIT": int(rate * 2**32), "SPAN": KEY_SPAN}
    plain = {"RATE": 0.0, "LIMIT": 0, "SPAN": KEY_SPAN}
    for hop in range(hops - 1):
        out = buffers[hop % 2]
        tiles.launch(_hop, walk, source, rowptr, x, None, None, out, RELU=False, **plain)
        x = out
    out = buffers[(hops - 1) % 2]
    tiles.launch(_hop, walk, source, rowptr, x, bias, seed, out, RELU=relu, **draws)
    return out


@triton.jit
def scale_of(rowptr: tl.tensor, node: tl.tensor, mask: tl.tensor, like: tl.tensor) -> tl.tensor:
    """(in-degree + 1)^-1/2 of each node, in like's type."""
    return tl.rsqrt((size_of(rowptr, node, mask) + 1).to(like.dtype))


@kernel
def _hop(
    walk: tl.tensor,
    col: tl.tensor,
    rowptr: tl.tensor,
    x: tl.tensor,
    bias: tl.tensor,
    seed: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    RELU: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    row, begin, length, target = portion(walk, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = neighbour_sum(col, rowptr, x, begin, length, partial, column, WIDTH, UNROLL, MERGE)
    final = hop_of(total, x, rowptr, row, target == WHOLE, column, WIDTH)
    if bias is not None:
        final += tl.load(bias + column, mask=column < WIDTH, other=0.0).to(total.dtype)[None, :]
    if RELU:
        final = tl.maximum(final, 0.0, propagate_nan=tl.PropagateNan.ALL)
    if seed is not None:
        place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
        final = dropped_in_order(final, tl.load(seed), place, RATE, LIMIT, SPAN)
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)


@triton.jit
def neighbour_sum(
    col: tl.tensor,
    rowptr: tl.tensor,
    x: tl.tensor,
    begin: tl.tensor,
    length: tl.tensor,
    partial: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> tl.tensor:
    """Σ D_j^-1/2 x_j over each row's entries, or of the partial sums of a hub."""
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([begin.shape[0], column.shape[0]], partial.dtype.element_ty)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                source = tl.load(col + begin + step + ahead, mask=here, other=0)
                scale = scale_of(rowptr, source, here, total)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                total += scale[:, None] * value
    return total


@triton.jit
def hop_of(
    total: tl.tensor,
    x: tl.tensor,
    rowptr: tl.tensor,
    row: tl.tensor,
    whole: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """D_i^-1/2 (total + D_i^-1/2 x_i), the self-loop added."""
    scale = scale_of(rowptr, row, whole, total)[:, None]
    own = gather(x, row, whole, column, WIDTH, 0.0).to(total.dtype)
    return scale * (total + scale * own)
