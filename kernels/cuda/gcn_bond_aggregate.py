"""CUDA: the walks of gine_aggregate, with a factor per entry and a relu on the node itself.

The root's gradient is a sum over all nodes: each chunk of the table's gradient sums some of them.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.gine_aggregate import bond
from gbench.kernels.cuda.rows import (
    WHOLE,
    add_partials,
    gather,
    portion,
    put,
    row_of,
    size_of,
    tiling,
)
from gbench.kernels.cuda.tables import add_rows, chunk_bounds, private_tables, put_table


def gcn_bond_aggregate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    root: Tensor,
) -> Tensor:
    """The forward of gbench/kernels/gcn_bond_aggregate.py."""
    x, table, root = x.contiguous(), table.contiguous(), root.contiguous()
    out = x.new_empty(x.shape)
    tiles = tiling(x.size(0), x.size(0), col.numel(), x)
    given = (edge_code.contiguous(), x, table, table.size(0), root)
    tiles.launch(_forward, rowptr, col, rowptr_t, *given, out)
    return out


def gcn_bond_aggregate_backward(
    grad: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    root: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_bond_aggregate.py."""
    grad, x, table, root = (value.contiguous() for value in (grad, x, table, root))
    num_nodes, num_entries, num_codes = x.size(0), col_t.numel(), table.size(0)
    given = (rowptr_t, col_t, perm_t, edge_code.contiguous(), x, table, num_codes, root, grad)
    grad_x = x.new_empty(x.shape)
    tiling(num_nodes, num_nodes, num_entries, x).launch(_backward_x, *given, grad_x)
    tables = private_tables(num_entries, num_codes + 1, x)  # the last row is the root's
    sizes = (num_nodes, num_entries, num_nodes.bit_length())
    tables.launch(_backward_table, *given, *sizes)
    total = tables.copies.sum(0).to(x.dtype)
    return grad_x, total[:-1].clone(), total[-1].clone()


@triton.jit
def _factor(
    rowptr_t: tl.tensor, left: tl.tensor, right: tl.tensor, mask: tl.tensor, like: tl.tensor
) -> tl.tensor:
    """(d_left d_right)^-1/2 as a column; the product of two degrees may pass 2^31."""
    one = (size_of(rowptr_t, left, mask) + 1).to(like.dtype)
    return tl.rsqrt(one * (size_of(rowptr_t, right, mask) + 1).to(like.dtype))[:, None]


@triton.jit
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    rowptr_t: tl.tensor,
    edge_code: tl.tensor,
    x: tl.tensor,
    table: tl.tensor,
    num_codes: tl.tensor,
    root: tl.tensor,
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
                value *= _factor(rowptr_t, row, source, here, total)
                total += tl.where(here[:, None] & ~(value <= 0), value, 0.0)  # a NaN stays one
    whole = target == WHOLE
    own = gather(x, row, whole, column, WIDTH, 0.0).to(total.dtype)
    own += tl.load(root + column, mask=column < WIDTH, other=0.0).to(total.dtype)[None, :]
    own = tl.where(own <= 0, 0.0, own) / (size_of(rowptr_t, row, whole) + 1).to(own.dtype)[:, None]
    put(total, total + own, row, target, column, out, partial, WIDTH, MERGE)


@triton.jit
def _own_gradient(
    rowptr_t: tl.tensor,
    x: tl.tensor,
    root: tl.tensor,
    grad: tl.tensor,
    row: tl.tensor,
    mask: tl.tensor,
    column: tl.tensor,
    like: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The gradient through relu(x + root) / degree, of x and of the root alike."""
    value = gather(x, row, mask, column, WIDTH, 0.0).to(like.dtype)
    value += tl.load(root + column, mask=column < WIDTH, other=0.0).to(like.dtype)[None, :]
    arrives = gather(grad, row, mask, column, WIDTH, 0.0).to(like.dtype)
    arrives /= (size_of(rowptr_t, row, mask) + 1).to(like.dtype)[:, None]
    return tl.where(value <= 0, 0.0, arrives)


@triton.jit
def _backward_x(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    edge_code: tl.tensor,
    x: tl.tensor,
    table: tl.tensor,
    num_codes: tl.tensor,
    root: tl.tensor,
    grad: tl.tensor,
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
                arrives *= _factor(rowptr_t, row, receiver, here, total)
                total += tl.where(value <= 0, 0.0, arrives)
    whole = target == WHOLE
    final = total + _own_gradient(rowptr_t, x, root, grad, row, whole, column, total, WIDTH)
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
    root: tl.tensor,
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
        arrives = gather(grad, receiver, here, column, WIDTH, 0.0).to(total.dtype)
        arrives *= _factor(rowptr_t, source, receiver, here, total)
        arrives = tl.where(value <= 0, 0.0, arrives)
        total = add_rows(total, mine[:, None] == code[None, :], arrives)
    if (tl.program_id(2) + 1) * CODES > num_codes:  # the root's row is among these
        begin, end = chunk_bounds(num_nodes)
        own = tl.zeros([ENTRIES, COLUMNS], total.dtype)
        for first in range(begin, end, ENTRIES):
            row = first + tl.arange(0, ENTRIES)
            own += _own_gradient(rowptr_t, x, root, grad, row, row < end, column, total, WIDTH)
        total = tl.where((mine == num_codes)[:, None], tl.sum(own, 0)[None, :], total)
    put_table(tables, total, mine, column, num_codes + 1, WIDTH)
