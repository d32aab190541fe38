"""CUDA: one walk per hop, in which degrees are read from the row pointers and no weight exists."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import WHOLE, add_partials, gather, portion, put, size_of, tiling


def gcn_propagate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    x: Tensor,
    hops: int,
    transposed: bool,
) -> Tensor:
    """The forward, or with `transposed` the gradient, of gbench/kernels/gcn_propagate.py."""
    walk, source = (rowptr_t, col_t) if transposed else (rowptr, col)
    x = x.contiguous()
    tiles = tiling(x.size(0), x.size(0), col.numel(), x)
    # The first hop reads x, and each later one what the hop before has written.
    buffers = [x.new_empty(x.shape) for _ in range(min(hops, 2))]
    for hop in range(hops):
        out = buffers[hop % 2]
        tiles.launch(_hop, walk, source, rowptr, x, out)
        x = out
    return x


@triton.jit
def _hop(
    rowptr: tl.tensor,
    col: tl.tensor,
    degree: tl.tensor,
    x: tl.tensor,
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
                source = tl.load(col + begin + step + ahead, mask=here, other=0)
                scale = tl.rsqrt((size_of(degree, source, here) + 1).to(total.dtype))
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                total += scale[:, None] * value
    whole = target == WHOLE
    scale = tl.rsqrt((size_of(degree, row, whole) + 1).to(total.dtype))[:, None]
    own = gather(x, row, whole, column, WIDTH, 0.0).to(total.dtype)
    put(total, scale * (total + scale * own), row, target, column, out, partial, WIDTH, MERGE)
