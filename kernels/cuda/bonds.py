"""The walks of gine_aggregate and gcn_bond_aggregate: messages relu(x_j + table[code_ji]).

    gine  y_i = (1 + ε) x_i + Σ relu(x_j + bond)                                  no root
    gcn   y_i = relu(x_i + root) / d_i + Σ (d_i d_j)^-1/2 relu(x_j + bond)          no ε

One walk over the graph forward; backward one over the transpose and one for the table. Where there
is no root the compiler leaves out what belongs to it. The walks share hubs among programs
(rows.py); the table's gradient is made by private tables (tables.py), and the root's is their last
row: each chunk of entries sums some of the nodes. ε's is a product per tile of nodes. A code
outside the table makes its node NaN: an error would wait for the device.
"""

from __future__ import annotations

import triton
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
    row_of,
    size_of,
    tiling,
    wide,
)
from gbench.kernels.cuda.tables import add_rows, chunk_bounds, private_tables, put_table


def aggregate(
    graph: Graph,
    longest: int,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor | None,
    root: Tensor | None,
) -> Tensor:
    """The forward: (N, D)."""
    rowptr, col, rowptr_t, *_ = graph
    x, table, edge_code = x.contiguous(), table.contiguous(), edge_code.contiguous()
    out = x.new_empty(x.shape)
    given = (rowptr, col, rowptr_t, edge_code, x, table, table.size(0), eps, root)
    tiling(x.size(0), x.size(0), col.numel(), longest, x).launch(_forward, *given, out)
    return out


def gradients(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor | None,
    root: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, of the table and of the last of the two that is there: ε or the root."""
    grad, x, table = grad.contiguous(), x.contiguous(), table.contiguous()
    *_, rowptr_t, col_t, perm_t = graph
    walk = (rowptr_t, col_t, perm_t, edge_code.contiguous())
    num_nodes, num_entries, num_codes = x.size(0), col_t.numel(), table.size(0)
    grad_x = x.new_empty(x.shape)
    tiles = tiling(num_nodes, num_nodes, num_entries, longest, x)
    dots = None
    if eps is not None:
        dots = x.new_empty(tiles.row_programs, tiles.blocks, dtype=wide(x.dtype))
    tiles.launch(_backward_x, *walk, x, table, num_codes, eps, root, grad, grad_x, dots)
    tables = private_tables(num_entries, num_codes + (root is not None), x)
    grad_eps = None if dots is None else dots.new_empty(())
    num_dots = 0 if dots is None else dots.numel()
    sums = (dots, grad_eps, num_dots, num_nodes, num_nodes.bit_length())
    tables.launch(_backward_table, *walk, x, table, num_codes, root, grad, *sums)
    (total,) = tables.total(x.dtype)
    if eps is None or dots is None or grad_eps is None:
        return grad_x, total[:-1].clone(), total[-1].clone()
    grad_eps = grad_eps if tables.copies.numel() else dots.sum()
    return grad_x, total, grad_eps.to(eps.dtype)


@triton.jit
def _bond(
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
def _factor(
    rowptr_t: tl.tensor, left: tl.tensor, right: tl.tensor, mask: tl.tensor, like: tl.tensor
) -> tl.tensor:
    """(d_left d_right)^-1/2 as a column; the product of two degrees may pass 2^31."""
    one = (size_of(rowptr_t, left, mask) + 1).to(like.dtype)
    return tl.rsqrt(one * (size_of(rowptr_t, right, mask) + 1).to(like.dtype))[:, None]


@triton.jit
def _rooted(
    x: tl.tensor,
    root: tl.tensor,
    row: tl.tensor,
    mask: tl.tensor,
    column: tl.tensor,
    like: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """x[row] + root, a tile."""
    value = gather(x, row, mask, column, WIDTH, 0.0).to(like.dtype)
    return value + tl.load(root + column, mask=column < WIDTH, other=0.0).to(like.dtype)[None, :]


@triton.jit
def _root_gradient(
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
    """The gradient through relu(x + root) / d, of x and of the root alike."""
    value = _rooted(x, root, row, mask, column, like, WIDTH)
    arrives = gather(grad, row, mask, column, WIDTH, 0.0).to(like.dtype)
    arrives /= (size_of(rowptr_t, row, mask) + 1).to(like.dtype)[:, None]
    return tl.where(value <= 0, 0.0, arrives)


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    rowptr_t: tl.tensor,
    edge_code: tl.tensor,
    x: tl.tensor,
    table: tl.tensor,
    num_codes: tl.tensor,
    eps: tl.tensor,
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
                value += _bond(table, code, here, num_codes, column, WIDTH).to(total.dtype)
                if root is not None:
                    value *= _factor(rowptr_t, row, source, here, total)
                total += tl.where(here[:, None] & ~(value <= 0), value, 0.0)  # a NaN stays one
    whole = target == WHOLE
    if root is None:
        own = gather(x, row, whole, column, WIDTH, 0.0).to(total.dtype)
        final = total + (1 + tl.load(eps).to(total.dtype)) * own
    else:
        own = _rooted(x, root, row, whole, column, total, WIDTH)
        degree = (size_of(rowptr_t, row, whole) + 1).to(own.dtype)[:, None]
        final = total + tl.where(own <= 0, 0.0, own) / degree
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)


@kernel
def _backward_x(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    edge_code: tl.tensor,
    x: tl.tensor,
    table: tl.tensor,
    num_codes: tl.tensor,
    eps: tl.tensor,
    root: tl.tensor,
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
    if root is None:
        float_type = partial.dtype.element_ty
        own_grad = gather(grad, row, target >= WHOLE, column, WIDTH, 0.0).to(float_type)
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
                value = own + _bond(table, code, here, num_codes, column, WIDTH).to(total.dtype)
                arrives = gather(grad, receiver, here, column, WIDTH, 0.0).to(total.dtype)
                if root is not None:
                    arrives *= _factor(rowptr_t, row, receiver, here, total)
                total += tl.where(value <= 0, 0.0, arrives)
        if root is None and tl.program_id(0) < tl.cdiv(num_rows, ROWS):
            place = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
            tl.store(dots + place, tl.sum(own * own_grad))
    if root is None:
        final = total + (1 + tl.load(eps).to(total.dtype)) * own_grad
    else:
        whole = target == WHOLE
        final = total + _root_gradient(rowptr_t, x, root, grad, row, whole, column, total, WIDTH)
    put(total, final, row, target, column, grad_x, partial, WIDTH, MERGE)


@kernel
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
    dots: tl.tensor,
    grad_eps: tl.tensor,
    num_dots: tl.tensor,
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
        value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
        value += _bond(table, code, here, num_codes, column, WIDTH).to(total.dtype)
        arrives = gather(grad, receiver, here, column, WIDTH, 0.0)
        if root is not None:
            arrives = arrives.to(total.dtype) * _factor(rowptr_t, source, receiver, here, total)
        arrives = tl.where(value <= 0, 0.0, arrives)
        total = add_rows(total, mine[:, None] == code[None, :], arrives)
    if root is None:
        put_table(tables, total, mine, column, num_codes, WIDTH)
        if tl.program_id(0) + tl.program_id(1) + tl.program_id(2) == 0:
            # What the walk before left of ε's gradient: its sum would be a launch.
            place = tl.arange(0, 1024)
            dot = tl.zeros([1024], dots.dtype.element_ty)
            for first in range(0, num_dots, 1024):
                dot += tl.load(dots + first + place, mask=first + place < num_dots, other=0.0)
            tl.store(grad_eps, tl.sum(dot))
    else:
        if (tl.program_id(2) + 1) * CODES > num_codes:  # the root's row is among these
            begin, end = chunk_bounds(num_nodes)
            own = tl.zeros([ENTRIES, COLUMNS], total.dtype)
            for first in range(begin, end, ENTRIES):
                row = first + tl.arange(0, ENTRIES)
                own += _root_gradient(rowptr_t, x, root, grad, row, row < end, column, total, WIDTH)
            total = tl.where((mine == num_codes)[:, None], tl.sum(own, 0)[None, :], total)
        put_table(tables, total, mine, column, num_codes + 1, WIDTH)
