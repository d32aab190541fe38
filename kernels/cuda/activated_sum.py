"""CUDA: one walk over the rows forward; one of the rows and one of the transpose backward.

The table's gradient is made by private tables (tables.py), hubs are shared among programs
(rows.py). A code outside the table makes its node NaN: an error would wait for the device.
"""

from __future__ import annotations

from typing import Any

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
)
from gbench.kernels.cuda.several import put_block, tiles_of
from gbench.kernels.cuda.tables import add_rows, chunk_bounds, private_tables, put_table


def activated_sum(
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    scale: Tensor | None,
    act: str,
    slope: float,
) -> Tensor:
    """The forward of gbench/kernels/activated_sum.py."""
    rowptr, col, *_ = graph
    given, flags = _given(query, key, edge, edge_code, scale), _flags(act, slope)
    out = query.new_empty(query.shape)
    tiles_of(rowptr, col, key, longest, 1).launch(_forward, rowptr, col, *given, out, **flags)
    return out


def activated_sum_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    scale: Tensor | None,
    act: str,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/activated_sum.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    given = (*_given(query, key, edge, edge_code, scale), grad.contiguous())
    flags = _flags(act, slope)
    grad_query, grad_key = query.new_empty(query.shape), key.new_empty(key.shape)
    grad_edge, rows = query.new_empty(0), None
    if edge is not None and edge_code is None:
        grad_edge = rows = edge.new_empty(edge.shape)
    walk = (rowptr, col, *given, grad_query, rows)
    tiles_of(rowptr, col, key, longest, 1).launch(_rows, *walk, **flags)
    walk = (rowptr_t, col_t, perm_t, *given)
    tiles_of(rowptr_t, col_t, query, longest, 1).launch(_columns, *walk, grad_key, **flags)
    if edge is not None and edge_code is not None:
        tables = private_tables(col.numel(), edge.size(0), key)
        num_nodes = key.size(0)
        tables.launch(_backward_table, *walk, num_nodes, num_nodes.bit_length(), **flags)
        (grad_edge,) = tables.total(key.dtype)
    return grad_query, grad_key, grad_edge


def _given(
    query: Tensor, key: Tensor, edge: Tensor | None, code: Tensor | None, scale: Tensor | None
) -> tuple[Any, ...]:
    rows = 0 if edge is None else edge.size(0)
    optional = (None if x is None else x.contiguous() for x in (edge, code, scale))
    return (query.contiguous(), key.contiguous(), *optional, rows)


def _flags(act: str, slope: float) -> dict[str, Any]:
    return {"GELU": act == "gelu", "SLOPE": slope}


@triton.jit
def _inside(
    query: tl.tensor,
    key: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    num_codes: tl.tensor,
    receiver: tl.tensor,
    sender: tl.tensor,
    entry: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """What the activation is of, a tile; NaN where the table has no such row."""
    value = gather(query, receiver, here, column, WIDTH, 0.0)
    value += gather(key, sender, here, column, WIDTH, 0.0)
    if edge is not None:
        code, exists = entry, here
        if edge_code is not None:
            code = tl.load(edge_code + entry, mask=here, other=0).to(tl.int64)
            exists = here & (code >= 0) & (code < num_codes)
        value += gather(edge, code, exists, column, WIDTH, float("nan"))
    return value


@triton.jit
def _scaled(value: tl.tensor, scale: tl.tensor, sender: tl.tensor, here: tl.tensor) -> tl.tensor:
    """The tile times the senders' constants, 0 where there is no entry."""
    if scale is not None:
        value *= tl.load(scale + sender, mask=here, other=0.0)[:, None]
    return tl.where(here[:, None], value, 0.0)


@triton.jit
def _slope(z: tl.tensor, GELU: tl.constexpr, SLOPE: tl.constexpr) -> tl.tensor:
    """The activation's slope at z."""
    if GELU:
        below = 0.5 * (1 + tl.erf(z * 0.7071067811865476))
        rise = below + z * tl.exp(-0.5 * z * z) * 0.3989422804014327
    else:
        one = tl.full([], 1.0, z.dtype)
        rise = tl.where(z <= 0, tl.full([], SLOPE, z.dtype), one)
    return rise


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    query: tl.tensor,
    key: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    scale: tl.tensor,
    num_codes: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    GELU: tl.constexpr,
    SLOPE: tl.constexpr,
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
                here, entry = step + ahead < length, begin + step + ahead
                sender = tl.load(col + entry, mask=here, other=0)
                z = _inside(
                    query, key, edge, edge_code, num_codes, row, sender, entry, here, column, WIDTH
                )
                if GELU:
                    value = z * 0.5 * (1 + tl.erf(z * 0.7071067811865476))
                else:
                    value = tl.where(z <= 0, SLOPE * z, z)
                total += _scaled(value, scale, sender, here)
    put(total, total, row, target, column, out, partial, WIDTH, MERGE)


@kernel
def _rows(
    rowptr: tl.tensor,
    col: tl.tensor,
    query: tl.tensor,
    key: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    scale: tl.tensor,
    num_codes: tl.tensor,
    grad: tl.tensor,
    grad_query: tl.tensor,
    grad_rows: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    GELU: tl.constexpr,
    SLOPE: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """The gradients of the receivers and of a row for each entry."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        arrives = gather(grad, row, target >= WHOLE, column, WIDTH, 0.0)
        for step in range(tl.max(length)):
            here, entry = step < length, begin + step
            sender = tl.load(col + entry, mask=here, other=0)
            z = _inside(
                query, key, edge, edge_code, num_codes, row, sender, entry, here, column, WIDTH
            )
            part = _scaled(_slope(z, GELU, SLOPE) * arrives, scale, sender, here)
            if grad_rows is not None:
                put_block(part, entry, here, column, grad_rows, 0, 1, WIDTH)
            total += part
    put(total, total, row, target, column, grad_query, partial, WIDTH, MERGE)


@kernel
def _columns(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    query: tl.tensor,
    key: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    scale: tl.tensor,
    num_codes: tl.tensor,
    grad: tl.tensor,
    grad_key: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    GELU: tl.constexpr,
    SLOPE: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """The gradients of the senders."""
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
            to = tl.load(col_t + begin + step, mask=here, other=0)
            place = tl.load(perm_t + begin + step, mask=here, other=0)
            z = _inside(query, key, edge, edge_code, num_codes, to, row, place, here, column, WIDTH)
            arrives = gather(grad, to, here, column, WIDTH, 0.0)
            total += _scaled(_slope(z, GELU, SLOPE) * arrives, scale, row, here)
    put(total, total, row, target, column, grad_key, partial, WIDTH, MERGE)


@kernel
def _backward_table(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    query: tl.tensor,
    key: tl.tensor,
    edge: tl.tensor,
    edge_code: tl.tensor,
    scale: tl.tensor,
    num_codes: tl.tensor,
    grad: tl.tensor,
    num_nodes: tl.tensor,
    search_steps: tl.tensor,
    tables: tl.tensor,
    GELU: tl.constexpr,
    SLOPE: tl.constexpr,
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
        sender = row_of(rowptr_t, tl.where(here, entry, 0), num_nodes, search_steps)
        to = tl.load(col_t + entry, mask=here, other=0)
        place = tl.load(perm_t + entry, mask=here, other=0)
        code = tl.load(edge_code + place, mask=here, other=0).to(tl.int64)
        z = _inside(query, key, edge, edge_code, num_codes, to, sender, place, here, column, WIDTH)
        arrives = gather(grad, to, here, column, WIDTH, 0.0)
        part = _scaled(_slope(z, GELU, SLOPE) * arrives, scale, sender, here)
        total = add_rows(total, mine[:, None] == code[None, :], part)
    put_table(tables, total, mine, column, num_codes, WIDTH)
