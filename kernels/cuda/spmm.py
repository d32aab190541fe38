"""CUDA: a tile of rows walks its entries side by side; hubs are shared among programs (rows.py)."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.rows import (
    WHOLE,
    add_partials,
    cdiv,
    gather,
    kernel,
    launch,
    portion,
    power_of_2,
    put,
    row_of,
    size_of,
    tiling,
    wide,
)
from gbench.kernels.cuda.spmm_max import maximum, maximum_backward


def spmm(
    graph: Graph,
    longest: int,
    x: Tensor,
    weight: Tensor | None,
    reduce: str,
) -> Tensor:
    """The forward of gbench/kernels/spmm.py."""
    rowptr, col, *_ = graph
    if reduce == "max":
        return maximum(rowptr, col, x, longest)
    return row_sum(rowptr, col, x, longest, weight, mean=reduce == "mean")


def spmm_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor | None,
    weight: Tensor | None,
    out: Tensor | None,
    reduce: str,
    needs_x: bool,
    needs_weight: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/spmm.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    grad_x, grad_weight = grad.new_empty(0, grad.size(1)), grad.new_empty(0)
    degree = rowptr if reduce == "mean" else None
    if reduce == "max":
        assert x is not None  # kept by the forward of gbench/kernels/spmm.py, like the next
        assert out is not None
        return maximum_backward(grad, graph, longest, x, out), grad_weight
    if needs_x:
        grad_x = row_sum(rowptr_t, col_t, grad, longest, weight, perm_t, degree)
    if needs_weight:
        assert x is not None
        grad_weight = _entry_dots(rowptr, col, grad, x, degree)
    return grad_x, grad_weight


def row_sum(
    rowptr: Tensor,
    col: Tensor | None,
    x: Tensor,
    longest: int,
    weight: Tensor | None = None,
    perm: Tensor | None = None,
    degree: Tensor | None = None,
    mean: bool = False,
) -> Tensor:
    """Σ of weight[perm[e]] · x[col[e]] / deg(col[e]) over the entries e of each row: (N, F).

    A `col` of None is 0, 1, 2, …; deg(j) = degree[j + 1] - degree[j]; `mean` divides by the row's
    own number of entries.
    """
    x = x.contiguous()
    weight = weight if weight is None else weight.contiguous()
    num_rows = rowptr.numel() - 1
    out = x.new_empty(num_rows, x.size(1))
    tiles = tiling(num_rows, x.size(0), (x if col is None else col).size(0), longest, x)
    tiles.launch(_sum, rowptr, col, x, weight, perm, degree, out, MEAN=mean)
    return out


@kernel
def _sum(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    perm: tl.tensor,
    degree: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    MEAN: tl.constexpr,
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
                source = entry
                if col is not None:
                    source = tl.load(col + entry, mask=here, other=0)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                if weight is not None:
                    place = entry
                    if perm is not None:
                        place = tl.load(perm + entry, mask=here, other=0)
                    value *= tl.load(weight + place, mask=here, other=0).to(total.dtype)[:, None]
                if degree is not None:
                    size = tl.maximum(size_of(degree, source, here), 1)
                    value *= (1.0 / size.to(total.dtype))[:, None]
                total += value
    final = total
    if MEAN:
        size = tl.maximum(size_of(rowptr, row, target == WHOLE), 1)
        final = total / size.to(total.dtype)[:, None]
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)


def _entry_dots(
    rowptr: Tensor, col: Tensor, grad: Tensor, x: Tensor, degree: Tensor | None
) -> Tensor:
    """⟨grad[row of e], x[col[e]]⟩ for each entry e, divided by the row's degree if given: (E,)."""
    out = grad.new_empty(col.numel(), dtype=wide(grad.dtype))
    num_rows = rowptr.numel() - 1
    if col.numel():
        launch(
            _dots,
            (cdiv(col.numel(), 16),),
            rowptr,
            col,
            grad.contiguous(),
            x.contiguous(),
            degree,
            out,
            num_rows,
            col.numel(),
            num_rows.bit_length(),
            WIDTH=x.size(1),
            ENTRIES=16,
            COLUMNS=min(128, power_of_2(x.size(1))),
        )
    return out.to(grad.dtype)


@kernel
def _dots(
    rowptr: tl.tensor,
    col: tl.tensor,
    grad: tl.tensor,
    x: tl.tensor,
    degree: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    WIDTH: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    entry = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    here = entry < num_entries
    row = row_of(rowptr, tl.where(here, entry, 0), num_rows, search_steps)
    source = tl.load(col + entry, mask=here, other=0)
    dot = tl.zeros([ENTRIES], out.dtype.element_ty)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        left = gather(grad, row, here, column, WIDTH, 0.0).to(dot.dtype)
        dot += tl.sum(left * gather(x, source, here, column, WIDTH, 0.0).to(dot.dtype), 1)
    if degree is not None:
        dot /= tl.maximum(size_of(degree, row, here), 1).to(dot.dtype)
    tl.store(out + entry, dot, mask=here)
