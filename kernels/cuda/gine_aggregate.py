"""CUDA: a walk over the graph forward; backward one over the transpose and one for the table.

The walks share hubs among programs (rows.py); the table's gradient is made by private tables
(tables.py). A code outside the table makes its node NaN: an error would wait for the device.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import WHOLE, add_partials, gather, portion, put, row_of, tiling, wide
from gbench.kernels.cuda.tables import add_rows, chunk_bounds, private_tables, put_table


def gine_aggregate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> Tensor:
    """The forward of gbench/kernels/gine_aggregate.py."""
    x, table, edge_code = x.contiguous(), table.contiguous(), edge_code.contiguous()
    out = x.new_empty(x.shape)
    tiles = tiling(x.size(0), x.size(0), col.numel(), x)
    tiles.launch(_forward, rowptr, col, edge_code, x, table, table.size(0), eps, out)
    return out


def gine_aggregate_backward(
    grad: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gine_aggregate.py."""
    grad, x, table = grad.contiguous(), x.contiguous(), table.contiguous()
    graph = (rowptr_t, col_t, perm_t, edge_code.contiguous())
    num_nodes, num_entries, num_codes = x.size(0), col_t.numel(), table.size(0)
    grad_x = x.new_empty(x.shape)
    tiles = tiling(num_nodes, num_nodes, num_entries, x)
    dots = x.new_empty(tiles.row_programs, tiles.blocks, dtype=wide(x.dtype))
    tiles.launch(_backward_x, *graph, x, table, num_codes, eps, grad, grad_x, dots)
    tables = private_tables(num_entries, num_codes, x)
    sizes = (num_nodes, num_entries, num_nodes.bit_length())
    tables.launch(_backward_table, *graph, x, table, num_codes, grad, *sizes)
    return grad_x, tables.copies.sum(0).to(x.dtype), dots.sum().to(eps.dtype)


@triton.jit
def bond(
    table: tl.tensor,
    code: tl.tensor,
    here: tl.tensor,
    num_codes: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """table[code, column], a tile; NaN where the table has no such row."""
    exists = here & (code >= 0) & (code < num_codes)
    return gather(table, code, exists, column, WIDTH, float("nan"))


@triton.jit
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    edge_code: tl.tensor,
    x: tl.tensor,
    table: tl.tensor,
    num_codes: tl.tensor,
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
                code = tl.load(edge_code + entry, mask=here, other=0).to(tl.int64)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                value += bond(table, code, here, num_codes, column, WIDTH).to(total.dtype)
                total += tl.where(here[:, None] & ~(value <= 0), value, 0.0)  # a NaN stays one
    own = gather(x, row, target == WHOLE, column, WIDTH, 0.0).to(total.dtype)
    final = total + (1 + tl.load(eps).to(total.dtype)) * own
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)


@triton.jit
def _backward_x(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    edge_code: tl.tensor,
    x: tl.tensor,
    table: tl.tensor,
    num_codes: tl.tensor,
    eps: tl.tensor,
    grad: tl.tensor,
    grad_x: tl.tensor,
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
    own_grad = gather(grad, row, target >= WHOLE, column, WIDTH, 0.0).to(partial.dtype.element_ty)
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
                code = tl.load(edge_code + place, mask=here, other=0).to(tl.int64)
                value = own + bond(table, code, here, num_codes, column, WIDTH).to(total.dtype)
                arrives = gather(grad, receiver, here, column, WIDTH, 0.0).to(total.dtype)
                total += tl.where(value <= 0, 0.0, arrives)
        row_programs = tl.cdiv(num_rows, ROWS)
        if tl.program_id(0) < row_programs:
            place = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
            tl.store(dots + place, tl.sum(own * own_grad))
    final = total + (1 + tl.load(eps).to(total.dtype)) * own_grad
    put(total, final, row, target, column, grad_x, partial, WIDTH, MERGE)


@triton.jit
def _backward_table(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    edge_code: tl.tensor,
    x: tl.tensor,
    table: tl.tensor,
    num_codes: tl.tensor,
    grad: tl.tensor,
    num_nodes: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    tables: tl.tensor,
    WIDTH: tl.constexpr,
    CODES: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mine = tl.program_id(2) * CODES + tl.arange(0, CODES)
    begin, end = chunk_bounds(num_entries)
    total = tl.zeros([CODES, COLUMNS], tables.dtype.element_ty)
    for first in range(begin, end, ENTRIES):
        entry = first + tl.arange(0, ENTRIES)
        here = entry < end
        source = row_of(rowptr_t, tl.where(here, entry, 0), num_nodes, search_steps)
        receiver = tl.load(col_t + entry, mask=here, other=0)
        place = tl.load(perm_t + entry, mask=here, other=0)
        code = tl.load(edge_code + place, mask=here, other=0).to(tl.int64)
        value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
        value += bond(table, code, here, num_codes, column, WIDTH).to(total.dtype)
        arrives = gather(grad, receiver, here, column, WIDTH, 0.0)
        arrives = tl.where(value <= 0, 0.0, arrives)
        total = add_rows(total, mine[:, None] == code[None, :], arrives)
    put_table(tables, total, mine, column, num_codes, WIDTH)
