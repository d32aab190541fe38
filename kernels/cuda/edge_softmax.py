"""CUDA: spmm's maximum over the scores, a walk for their sums, and a walk that weighs features.

The walk that weighs serves forward over the graph and backward over its transpose; the gradient of
the scores is one dot product per entry and head. Hubs are shared among programs (rows.py).
"""

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
    tiling,
    wide,
)
from gbench.kernels.cuda.spmm_max import maximum

ENTRIES = 16


def edge_softmax(
    graph: Graph,
    longest: int,
    score: Tensor,
    x: Tensor,
    factor: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/edge_softmax.py."""
    rowptr, col, *_ = graph
    score, x = score.contiguous(), x.contiguous()
    factor = None if factor is None else factor.contiguous()
    num_rows, num_entries = rowptr.numel() - 1, col.numel()
    top = maximum(rowptr, None, score, longest)
    total = top.new_empty(top.shape, dtype=wide(score.dtype))
    tiles = tiling(num_rows, num_entries, num_entries, longest, score)
    tiles.launch(_exp_sum, rowptr, score, top, total)
    out = x.new_empty(num_rows, *x.shape[1:])
    tiles = tiling(num_rows, x.size(0), num_entries, longest, x, heads=x.size(1))
    given = (rowptr, col, None, score, factor, top, total, x)
    tiles.launch(_weigh, *given, out, HEADS=x.size(1))
    return out, top + total.log()


def edge_softmax_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    score: Tensor,
    x: Tensor,
    factor: Tensor | None,
    out: Tensor,
    log_sum: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/edge_softmax.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    grad, score, x = grad.contiguous(), score.contiguous(), x.contiguous()
    factor = None if factor is None else factor.contiguous()
    num_rows, (num_entries, heads) = rowptr.numel() - 1, score.shape
    grad_x = x.new_empty(x.shape)
    tiles = tiling(x.size(0), num_rows, num_entries, longest, x, heads)
    given = (rowptr_t, col_t, perm_t, score, factor, log_sum, None, grad)
    tiles.launch(_weigh, *given, grad_x, HEADS=heads)
    grad_score = score.new_empty(score.shape)
    if score.numel():
        launch(
            _grad_score,
            (cdiv(num_entries, ENTRIES), heads),
            rowptr,
            col,
            score,
            factor,
            log_sum,
            x,
            out.contiguous(),
            grad,
            grad_score,
            num_rows,
            num_entries,
            num_rows.bit_length(),
            HEADS=heads,
            WIDTH=x.size(2),
            ENTRIES=ENTRIES,
            COLUMNS=min(128, power_of_2(x.size(2))),
        )
    return grad_score, grad_x


@kernel
def _exp_sum(
    rowptr: tl.tensor,
    score: tl.tensor,
    top: tl.tensor,
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
    """Sum of exp(score - top) over each row's entries; the columns are heads."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    highest = gather(top, row, target >= WHOLE, column, WIDTH, 0.0).to(partial.dtype.element_ty)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                value = gather(score, begin + step + ahead, here, column, WIDTH, 0.0)
                weight = tl.exp(value.to(total.dtype) - highest)
                total += tl.where(here[:, None], weight, 0.0)
    put(total, total, row, target, column, out, partial, WIDTH, MERGE)


@kernel
def _weigh(
    rowptr: tl.tensor,
    col: tl.tensor,
    perm: tl.tensor,
    score: tl.tensor,
    factor: tl.tensor,
    norm: tl.tensor,
    divisor: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """For one head, Σ factor · exp(score - norm) · x over each row's entries, over `divisor`.

    With `perm` the rows are the transpose's and the norm is that of the entry's other end.
    """
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    head = tl.program_id(1) % HEADS
    column = tl.program_id(1) // HEADS * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL, head, HEADS)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                source = tl.load(col + entry, mask=here, other=0)
                place, receiver = entry, row
                if perm is not None:
                    place, receiver = tl.load(perm + entry, mask=here, other=0), source
                place = place.to(tl.int64) * HEADS + head
                power = tl.load(score + place, mask=here, other=0.0)
                most = tl.load(norm + receiver.to(tl.int64) * HEADS + head, mask=here, other=0.0)
                alpha = tl.exp(power.to(total.dtype) - most.to(total.dtype))
                if factor is not None:
                    alpha *= tl.load(factor + place, mask=here, other=0.0).to(total.dtype)
                value = gather(x, source.to(tl.int64) * HEADS + head, here, column, WIDTH, 0.0)
                total += alpha[:, None] * value.to(total.dtype)
    row = row.to(tl.int64) * HEADS + head
    target = tl.where(target >= 0, target * HEADS + head, target)
    final = total
    if divisor is not None:
        under = tl.load(divisor + row, mask=target == WHOLE, other=1.0)
        final = total / tl.where(under == 0, 1.0, under)[:, None]  # 0 of an empty row
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)


@kernel
def _grad_score(
    rowptr: tl.tensor,
    col: tl.tensor,
    score: tl.tensor,
    factor: tl.tensor,
    log_sum: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    grad: tl.tensor,
    grad_score: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """α ⟨ȳ, factor · x - y⟩ of each entry, for one head."""
    entry = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    head = tl.program_id(1)
    here = entry < num_entries
    row = row_of(rowptr, tl.where(here, entry, 0), num_rows, search_steps)
    source = tl.load(col + entry, mask=here, other=0).to(tl.int64) * HEADS + head
    row = row.to(tl.int64) * HEADS + head
    place = entry.to(tl.int64) * HEADS + head
    dot = tl.zeros([ENTRIES], log_sum.dtype.element_ty)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        apart = gather(x, source, here, column, WIDTH, 0.0).to(dot.dtype)
        if factor is not None:
            apart *= tl.load(factor + place, mask=here, other=0.0).to(dot.dtype)[:, None]
        apart -= gather(out, row, here, column, WIDTH, 0.0).to(dot.dtype)
        dot += tl.sum(apart * gather(grad, row, here, column, WIDTH, 0.0).to(dot.dtype), 1)
    power = tl.load(score + place, mask=here, other=0.0).to(dot.dtype)
    alpha = tl.exp(power - tl.load(log_sum + row, mask=here, other=0.0))
    tl.store(grad_score + place, (alpha * dot).to(grad_score.dtype.element_ty), mask=here)
