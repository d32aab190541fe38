"""The maxima of spmm: the forward, and its gradient in two walks, shared among equal maxima."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.rows import WHOLE, add_partials, gather, kernel, portion, put, tiling, wide


def maximum(rowptr: Tensor, col: Tensor | None, x: Tensor, longest: int) -> Tensor:
    """Largest x[col] of each row, 0 for an empty row: (N, F). A `col` of None counts 0, 1, 2 up."""
    x = x.contiguous()
    num_rows = rowptr.numel() - 1
    out = x.new_empty(num_rows, x.size(1))
    tiles = tiling(num_rows, x.size(0), (x if col is None else col).size(0), longest, x)
    tiles.launch(_maximum, rowptr, col, x, out)
    return out


def maximum_backward(grad: Tensor, graph: Graph, longest: int, x: Tensor, out: Tensor) -> Tensor:
    """Each row's gradient in equal parts to the entries that attain its maximum: (M, F)."""
    rowptr, col, rowptr_t, col_t, _ = graph
    x = x.contiguous()
    part = parts(grad, rowptr, col, x, out, longest)
    grad_x = x.new_empty(x.shape)
    tiles = tiling(x.size(0), out.size(0), col_t.numel(), longest, x)
    tiles.launch(_collect, rowptr_t, col_t, x, out, part, grad_x)
    return grad_x


def parts(
    grad: Tensor, rowptr: Tensor, col: Tensor | None, x: Tensor, out: Tensor, longest: int
) -> Tensor:
    """The gradient divided by the number of entries that attain the maximum: (N, F), float32."""
    part = grad.new_empty(grad.shape, dtype=wide(grad.dtype))
    tiles = tiling(out.size(0), x.size(0), (x if col is None else col).size(0), longest, x)
    tiles.launch(_count, rowptr, col, x, out, grad.contiguous(), part)
    return part


@kernel
def _maximum(
    rowptr: tl.tensor,
    col: tl.tensor,
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
    top = tl.full([ROWS, COLUMNS], float("-inf"), partial.dtype.element_ty)
    for step in range(0, tl.max(length), UNROLL):
        for ahead in tl.static_range(UNROLL):
            here = step + ahead < length
            entry = begin + step + ahead
            if MERGE:
                value = gather(partial, entry, here, column, WIDTH, float("-inf"))
            else:
                source = entry
                if col is not None:
                    source = tl.load(col + entry, mask=here, other=0)
                value = gather(x, source, here, column, WIDTH, float("-inf")).to(top.dtype)
            top = tl.maximum(top, value, propagate_nan=tl.PropagateNan.ALL)
    final = tl.where((length > 0)[:, None], top, 0.0)
    put(top, final, row, target, column, out, partial, WIDTH, MERGE)


@kernel
def _count(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    grad: tl.tensor,
    part: tl.tensor,
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
        count = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        count = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        top = gather(out, row, length > 0, column, WIDTH, 0.0).to(count.dtype)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                source = begin + step + ahead
                if col is not None:
                    source = tl.load(col + source, mask=here, other=0)
                value = gather(x, source, here, column, WIDTH, 0.0).to(count.dtype)
                count += tl.where(here[:, None] & (value == top), 1.0, 0.0)
    own = gather(grad, row, target == WHOLE, column, WIDTH, 0.0).to(count.dtype)
    # An empty row counts 0 and so gets NaN, which no entry reads.
    put(count, own / count, row, target, column, part, partial, WIDTH, MERGE)


@kernel
def _collect(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    part: tl.tensor,
    grad_x: tl.tensor,
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
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        own = gather(x, row, length > 0, column, WIDTH, 0.0).to(total.dtype)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                receiver = tl.load(col_t + begin + step + ahead, mask=here, other=0)
                top = gather(out, receiver, here, column, WIDTH, 0.0).to(total.dtype)
                value = gather(part, receiver, here, column, WIDTH, 0.0)
                total += tl.where(top == own, value, 0.0)
    put(total, total, row, target, column, grad_x, partial, WIDTH, MERGE)
