"""CUDA: one walk over the rows forward; one of the rows and one of the transpose backward.

The table's gradient is made by private tables (tables.py). Hubs are shared among programs
(rows.py): a slot has four sums, those of the moments and the extremes, one below the other in
`partial`. A code outside the table makes its node NaN: an error would wait for the device.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.rows import (
    NOTHING,
    WHOLE,
    add_partials,
    gather,
    kernel,
    portion,
    put,
    row_of,
    size_of,
)
from gbench.kernels.cuda.several import block, put_block, tiles_of
from gbench.kernels.cuda.tables import add_rows, chunk_bounds, private_tables, put_table
from gbench.kernels.pna_aggregate import EPS


def pna_aggregate(
    graph: Graph, longest: int, x: Tensor, edge: Tensor | None, edge_code: Tensor | None
) -> Tensor:
    """The forward of gbench/kernels/pna_aggregate.py."""
    rowptr, col, *_ = graph
    given = _contiguous(x, edge, edge_code)
    out = x.new_empty(rowptr.numel() - 1, 4, x.size(1))
    tiles_of(rowptr, col, x, longest, 4).launch(_forward, rowptr, col, *given, out, EPS=EPS)
    return out


def pna_aggregate_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    out: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/pna_aggregate.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    given = _contiguous(x, edge, edge_code)
    part, grad = out.new_empty(out.shape), grad.contiguous()
    tiles_of(rowptr, col, x, longest, 2).launch(_shares, rowptr, col, *given, out, grad, part)
    grad_x, grad_edge = x.new_empty(x.shape), x.new_empty(0)
    rows = None
    if edge is not None and edge_code is None:
        grad_edge = rows = edge.new_empty(edge.shape)
    walk = (rowptr_t, col_t, perm_t, *given, out, part)
    tiles_of(rowptr_t, col_t, x, longest, 1).launch(_collect, *walk, grad_x, rows)
    if edge is not None and edge_code is not None:
        tables = private_tables(col.numel(), edge.size(0), x)
        num_rows = grad_x.size(0)
        tables.launch(_backward_table, *walk, num_rows, num_rows.bit_length())
        (grad_edge,) = tables.total(x.dtype)
    return grad_x, grad_edge


def _contiguous(x: Tensor, edge: Tensor | None, edge_code: Tensor | None) -> tuple[Any, ...]:
    """x, the edges' part, the code of each entry and how many rows the edges' part has."""
    return (
        x.contiguous(),
        None if edge is None else edge.contiguous(),
        None if edge_code is None else edge_code.contiguous(),
        0 if edge is None else edge.size(0),
    )


@triton.jit
def _message(
    x: tl.tensor,
    source: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    num_codes: tl.tensor,
    entry: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """x[source] + the edge's part, a tile; NaN where the table has no such row."""
    value = gather(x, source, here, column, WIDTH, 0.0)
    if edge is not None:
        code, exists = entry, here
        if edge_code is not None:
            code = tl.load(edge_code + entry, mask=here, other=0).to(tl.int64)
            exists = here & (code >= 0) & (code < num_codes)
        value += gather(edge, code, exists, column, WIDTH, float("nan"))
    return value


@triton.jit
def _extremes(
    top: tl.tensor, low: tl.tensor, value: tl.tensor, here: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """Both with `value` where it is `here`; a NaN wins."""
    inside = here[:, None]
    above = tl.where(inside, value, float("-inf"))
    below = tl.where(inside, value, float("inf"))
    top = tl.maximum(top, above, propagate_nan=tl.PropagateNan.ALL)
    low = tl.minimum(low, below, propagate_nan=tl.PropagateNan.ALL)
    return top, low


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    num_codes: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    EPS: tl.constexpr,
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
    some = target != NOTHING
    count = size_of(rowptr, row, some)
    # The row's first message, the same for all slots of a hub.
    origin = tl.load(rowptr + row, mask=some & (count > 0), other=0)
    filled = some & (count > 0)
    source = tl.load(col + origin, mask=filled, other=0)
    first = _message(x, source, edge, edge_code, num_codes, origin, filled, column, WIDTH)
    first = tl.where(filled[:, None], first, 0.0)
    once = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    twice = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    top = tl.full([ROWS, COLUMNS], float("-inf"), partial.dtype.element_ty)
    low = tl.full([ROWS, COLUMNS], float("inf"), partial.dtype.element_ty)
    for step in range(0, tl.max(length), UNROLL):
        for ahead in tl.static_range(UNROLL):
            here = step + ahead < length
            entry = begin + step + ahead
            if MERGE:
                slot = entry * 4
                once += gather(partial, slot, here, column, WIDTH, 0.0)
                twice += gather(partial, slot + 1, here, column, WIDTH, 0.0)
                above = gather(partial, slot + 2, here, column, WIDTH, float("-inf"))
                below = gather(partial, slot + 3, here, column, WIDTH, float("inf"))
                top = tl.maximum(top, above, propagate_nan=tl.PropagateNan.ALL)
                low = tl.minimum(low, below, propagate_nan=tl.PropagateNan.ALL)
            else:
                source = tl.load(col + entry, mask=here, other=0)
                value = _message(x, source, edge, edge_code, num_codes, entry, here, column, WIDTH)
                over = tl.where(here[:, None], value - first, 0.0)
                once += over
                twice += over * over
                top, low = _extremes(top, low, value, here)
    whole = target == WHOLE
    size = tl.maximum(count, 1).to(once.dtype)[:, None]
    over = once / size
    variance = twice / size - over * over
    variance = tl.where(variance <= 0, 0.0, variance)  # a NaN stays one
    any_entry = (count > 0)[:, None]
    put_block(tl.where(any_entry, first + over, 0.0), row, whole, column, out, 0, 4, WIDTH)
    put_block(tl.where(any_entry, top, 0.0), row, whole, column, out, 1, 4, WIDTH)
    put_block(tl.where(any_entry, low, 0.0), row, whole, column, out, 2, 4, WIDTH)
    deviation = tl.sqrt(variance + EPS)
    put_block(tl.where(any_entry, deviation, 0.0), row, whole, column, out, 3, 4, WIDTH)
    if not MERGE:
        is_part = target >= 0
        slot = tl.where(is_part, target, 0)
        put_block(once, slot, is_part, column, partial, 0, 4, WIDTH)
        put_block(twice, slot, is_part, column, partial, 1, 4, WIDTH)
        put_block(top, slot, is_part, column, partial, 2, 4, WIDTH)
        put_block(low, slot, is_part, column, partial, 3, 4, WIDTH)


@kernel
def _shares(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    num_codes: tl.tensor,
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
    """What an entry of each row gets: see gbench/kernels/cpu/pna_aggregate.py."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    some = target != NOTHING
    most = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    least = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    top = gather(out, block(row, 1, 4), some, column, WIDTH, 0.0)
    low = gather(out, block(row, 2, 4), some, column, WIDTH, 0.0)
    for step in range(0, tl.max(length), UNROLL):
        for ahead in tl.static_range(UNROLL):
            here = step + ahead < length
            entry = begin + step + ahead
            if MERGE:
                most += gather(partial, entry * 2, here, column, WIDTH, 0.0)
                least += gather(partial, entry * 2 + 1, here, column, WIDTH, 0.0)
            else:
                source = tl.load(col + entry, mask=here, other=0)
                value = _message(x, source, edge, edge_code, num_codes, entry, here, column, WIDTH)
                most += tl.where(here[:, None] & (value == top), 1.0, 0.0)
                least += tl.where(here[:, None] & (value == low), 1.0, 0.0)
    whole = target == WHOLE
    size = size_of(rowptr, row, whole).to(most.dtype)[:, None]
    # An empty row divides by 0, and no entry reads what comes of it.
    mean = gather(grad, block(row, 0, 4), whole, column, WIDTH, 0.0) / size
    deviation = gather(out, block(row, 3, 4), whole, column, WIDTH, 1.0)
    wide = gather(grad, block(row, 3, 4), whole, column, WIDTH, 0.0) / (size * deviation)
    put_block(mean, row, whole, column, part, 0, 4, WIDTH)
    above = gather(grad, block(row, 1, 4), whole, column, WIDTH, 0.0) / most
    put_block(above, row, whole, column, part, 1, 4, WIDTH)
    below = gather(grad, block(row, 2, 4), whole, column, WIDTH, 0.0) / least
    put_block(below, row, whole, column, part, 2, 4, WIDTH)
    put_block(wide, row, whole, column, part, 3, 4, WIDTH)
    if not MERGE:
        is_part = target >= 0
        slot = tl.where(is_part, target, 0)
        put_block(most, slot, is_part, column, partial, 0, 2, WIDTH)
        put_block(least, slot, is_part, column, partial, 1, 2, WIDTH)


@triton.jit
def _gradient(
    value: tl.tensor,
    out: tl.tensor,
    part: tl.tensor,
    receiver: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """That of a message."""
    total = gather(part, block(receiver, 0, 4), here, column, WIDTH, 0.0)
    mean = gather(out, block(receiver, 0, 4), here, column, WIDTH, 0.0)
    total += gather(part, block(receiver, 3, 4), here, column, WIDTH, 0.0) * (value - mean)
    for which in tl.static_range(1, 3):
        end = gather(out, block(receiver, which, 4), here, column, WIDTH, 0.0)
        share = gather(part, block(receiver, which, 4), here, column, WIDTH, 0.0)
        total += tl.where(value == end, share, 0.0)
    return tl.where(here[:, None], total, 0.0)


@kernel
def _collect(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    x: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    num_codes: tl.tensor,
    out: tl.tensor,
    part: tl.tensor,
    grad_x: tl.tensor,
    grad_edge: tl.tensor,
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
        for step in range(tl.max(length)):
            here = step < length
            receiver = tl.load(col_t + begin + step, mask=here, other=0)
            place = tl.load(perm_t + begin + step, mask=here, other=0)
            value = _message(x, row, edge, edge_code, num_codes, place, here, column, WIDTH)
            one = _gradient(value, out, part, receiver, here, column, WIDTH)
            if grad_edge is not None:
                put_block(one, place, here, column, grad_edge, 0, 1, WIDTH)
            total += one
    put(total, total, row, target, column, grad_x, partial, WIDTH, MERGE)


@kernel
def _backward_table(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    x: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    num_codes: tl.tensor,
    out: tl.tensor,
    part: tl.tensor,
    num_nodes: tl.tensor,
    search_steps: tl.tensor,
    tables: tl.tensor,
    WIDTH: tl.constexpr,
    CODES: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mine = tl.program_id(2) * CODES + tl.arange(0, CODES)
    begin, end = chunk_bounds(tl.load(rowptr_t + num_nodes))  # entries beyond belong to no node
    total = tl.zeros([CODES, COLUMNS], tables.dtype.element_ty)
    for first in range(begin, end, ENTRIES):
        entry = first + tl.arange(0, ENTRIES)
        here = entry < end
        source = row_of(rowptr_t, tl.where(here, entry, 0), num_nodes, search_steps)
        receiver = tl.load(col_t + entry, mask=here, other=0)
        place = tl.load(perm_t + entry, mask=here, other=0)
        code = tl.load(edge_code + place, mask=here, other=0).to(tl.int64)
        value = _message(x, source, edge, edge_code, num_codes, place, here, column, WIDTH)
        one = _gradient(value, out, part, receiver, here, column, WIDTH)
        total = add_rows(total, mine[:, None] == code[None, :], one)
    put_table(tables, total, mine, column, num_codes, WIDTH)
