"""CUDA: a product for each entry and head forward; a walk over the rows and the transpose backward.

The walks hold all heads side by side, so that an index is loaded once for them. Hubs are shared
among programs (rows.py).
"""

from __future__ import annotations

import triton
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
)
from gbench.kernels.cuda.several import put_block, tiles_of
from gbench.kernels.gatv2_score import SLOPE, gradients

ENTRIES = 16


def gatv2_score(
    graph: Graph, longest: int, query: Tensor, key: Tensor, weight: Tensor, edge: Tensor | None
) -> Tensor:
    """The forward of gbench/kernels/gatv2_score.py."""
    rowptr, col, *_ = graph
    num_rows, num_entries, (heads, width) = rowptr.numel() - 1, col.numel(), weight.shape
    out = query.new_empty(num_entries, heads)
    if out.numel():
        edge = None if edge is None else edge.contiguous()
        given = (query.contiguous(), key.contiguous(), weight.contiguous(), edge, out)
        launch(
            _scores,
            (cdiv(num_entries, ENTRIES), heads),
            rowptr,
            col,
            *given,
            num_rows,
            num_entries,
            num_rows.bit_length(),
            HEADS=heads,
            SLOPE=SLOPE,
            WIDTH=width,
            ENTRIES=ENTRIES,
            COLUMNS=min(128, power_of_2(width)),
        )
    return out


def gatv2_score_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    weight: Tensor,
    edge: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gatv2_score.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    grad, query, key = grad.contiguous(), query.contiguous(), key.contiguous()
    edge = None if edge is None else edge.contiguous()
    of_rows, of_columns = query.new_empty(query.shape), key.new_empty(key.shape)
    of_entries = query.new_empty(0 if edge is None else edge.shape)
    flags = {"HEADS": weight.size(0), "SIZE": weight.size(1), "SLOPE": SLOPE}
    rows, columns = query.flatten(1), key.flatten(1)
    given = (rows, columns, edge, grad, of_rows, None if edge is None else of_entries)
    tiles_of(rowptr, col, columns, longest, 1).launch(_sums, rowptr, col, None, *given, **flags)
    given = (columns, rows, edge, grad, of_columns, None)
    tiles = tiles_of(rowptr_t, col_t, rows, longest, 1)
    tiles.launch(_sums, rowptr_t, col_t, perm_t, *given, **flags)
    return gradients(query, key, weight, edge, (of_rows, of_columns, of_entries))


@kernel
def _scores(
    rowptr: tl.tensor,
    col: tl.tensor,
    query: tl.tensor,
    key: tl.tensor,
    weight: tl.tensor,
    edge: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    HEADS: tl.constexpr,
    SLOPE: tl.constexpr,
    WIDTH: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """The scores of some entries, for one head."""
    entry = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    head = tl.program_id(1)
    here = entry < num_entries
    row = row_of(rowptr, tl.where(here, entry, 0), num_rows, search_steps)
    receiver = row.to(tl.int64) * HEADS + head
    sender = tl.load(col + entry, mask=here, other=0).to(tl.int64) * HEADS + head
    place = entry.to(tl.int64) * HEADS + head
    total = tl.zeros([ENTRIES], out.dtype.element_ty)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        z = gather(query, receiver, here, column, WIDTH, 0.0)
        z += gather(key, sender, here, column, WIDTH, 0.0)
        if edge is not None:
            z += gather(edge, place, here, column, WIDTH, 0.0)
        factor = tl.load(weight + head * WIDTH + column, mask=column < WIDTH, other=0.0)
        total += tl.sum(factor[None, :] * tl.where(z <= 0, z * _slope(z, SLOPE), z), 1)
    tl.store(out + place, total, mask=here)


@triton.jit
def _slope(z: tl.tensor, SLOPE: tl.constexpr) -> tl.tensor:
    """The slope below zero, in the type of z."""
    return tl.full([], SLOPE, z.dtype)


@kernel
def _sums(
    rowptr: tl.tensor,
    col: tl.tensor,
    perm: tl.tensor,
    mine: tl.tensor,
    others: tl.tensor,
    edge: tl.tensor,
    grad: tl.tensor,
    out: tl.tensor,
    of_entries: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    SLOPE: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """Σ t over each row's entries; t of each entry goes to `of_entries` where there is such."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        own = gather(mine, row, target >= WHOLE, column, WIDTH, 0.0)
        head = column // SIZE
        for step in range(tl.max(length)):
            here, place = step < length, begin + step
            other = tl.load(col + place, mask=here, other=0)
            if perm is not None:
                place = tl.load(perm + place, mask=here, other=0)
            z = own + gather(others, other, here, column, WIDTH, 0.0)
            if edge is not None:
                z += gather(edge, place, here, column, WIDTH, 0.0)
            at = place.to(tl.int64)[:, None] * HEADS + head[None, :]
            arrives = tl.load(grad + at, mask=here[:, None] & (column < WIDTH)[None, :], other=0.0)
            part = tl.where(z <= 0, arrives * _slope(z, SLOPE), arrives)
            if of_entries is not None:
                put_block(part, place, here, column, of_entries, 0, 1, WIDTH)
            total += part
    put(total, total, row, target, column, out, partial, WIDTH, MERGE)
