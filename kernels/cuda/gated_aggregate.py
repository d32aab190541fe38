"""CUDA: one walk over the rows forward; backward two of the rows and one of the transpose.

Hubs are shared among programs (rows.py), their slots with two sums (several.py).
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.rows import WHOLE, add_partials, gather, kernel, portion, put
from gbench.kernels.cuda.several import put_block, tiles_of
from gbench.kernels.gated_aggregate import EPS


def gated_aggregate(
    graph: Graph, longest: int, edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/gated_aggregate.py."""
    rowptr, col, *_ = graph
    edge, receiver, sender, value = (x.contiguous() for x in (edge, receiver, sender, value))
    out, state = receiver.new_empty(receiver.shape), edge.new_empty(edge.shape)
    given = (rowptr, col, edge, receiver, sender, value, out, state)
    tiles_of(rowptr, col, value, longest, 2).launch(_forward, *given, EPS=EPS)
    return out, state


def gated_aggregate_backward(
    grad: Tensor,
    grad_state: Tensor | None,
    graph: Graph,
    longest: int,
    value: Tensor,
    out: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gated_aggregate.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    value, grad = value.contiguous(), grad.contiguous()
    arrives = None if grad_state is None else grad_state.contiguous()
    share, grad_receiver = out.new_empty(out.shape), out.new_empty(out.shape)
    grad_edge = state.new_empty(state.shape)
    grad_sender, grad_value = value.new_empty(value.shape), value.new_empty(value.shape)
    tiles = tiles_of(rowptr, col, value, longest, 1)
    tiles.launch(_divide, rowptr, state, grad, share, EPS=EPS)
    given = (rowptr, col, value, out, state, share, arrives, grad_edge, grad_receiver)
    tiles.launch(_entries, *given)
    walk = (rowptr_t, col_t, perm_t, state, share, grad_edge, grad_sender, grad_value)
    tiles_of(rowptr_t, col_t, value, longest, 2).launch(_collect, *walk)
    return grad_edge, grad_receiver, grad_sender, grad_value


@triton.jit
def _gate(state: tl.tensor) -> tl.tensor:
    return 1 / (1 + tl.exp(-state))


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    edge: tl.tensor,
    receiver: tl.tensor,
    sender: tl.tensor,
    value: tl.tensor,
    out: tl.tensor,
    state: tl.tensor,
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
    total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    gates = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    if MERGE:
        for step in range(tl.max(length)):
            here, slot = step < length, (begin + step) * 2
            total += gather(partial, slot, here, column, WIDTH, 0.0)
            gates += gather(partial, slot + 1, here, column, WIDTH, 0.0)
    else:
        own = gather(receiver, row, target >= WHOLE, column, WIDTH, 0.0)
        for step in range(tl.max(length)):
            here, entry = step < length, begin + step
            source = tl.load(col + entry, mask=here, other=0)
            new = gather(edge, entry, here, column, WIDTH, 0.0) + own
            new += gather(sender, source, here, column, WIDTH, 0.0)
            put_block(new, entry, here, column, state, 0, 1, WIDTH)
            gate = tl.where(here[:, None], _gate(new), 0.0)
            total += gate * gather(value, source, here, column, WIDTH, 0.0)
            gates += gate
    put_block(total / (gates + EPS), row, target == WHOLE, column, out, 0, 1, WIDTH)
    if not MERGE:
        is_part = target >= 0
        slot = tl.where(is_part, target, 0)
        put_block(total, slot, is_part, column, partial, 0, 2, WIDTH)
        put_block(gates, slot, is_part, column, partial, 1, 2, WIDTH)


@kernel
def _divide(
    rowptr: tl.tensor,
    state: tl.tensor,
    grad: tl.tensor,
    share: tl.tensor,
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
    """Each row's gradient by the sum of its gates."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        gates = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        gates = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                was = gather(state, begin + step + ahead, here, column, WIDTH, 0.0)
                gates += tl.where(here[:, None], _gate(was), 0.0)
    arrives = gather(grad, row, target == WHOLE, column, WIDTH, 0.0)
    put(gates, arrives / (gates + EPS), row, target, column, share, partial, WIDTH, MERGE)


@kernel
def _entries(
    rowptr: tl.tensor,
    col: tl.tensor,
    value: tl.tensor,
    out: tl.tensor,
    state: tl.tensor,
    share: tl.tensor,
    arrives: tl.tensor,
    grad_edge: tl.tensor,
    grad_receiver: tl.tensor,
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
    """The gradient of each entry's state, and their sum of each row."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        some = target >= WHOLE
        mine = gather(share, row, some, column, WIDTH, 0.0)
        mean = gather(out, row, some, column, WIDTH, 0.0)
        for step in range(tl.max(length)):
            here, entry = step < length, begin + step
            source = tl.load(col + entry, mask=here, other=0)
            gate = _gate(gather(state, entry, here, column, WIDTH, 0.0))
            apart = gather(value, source, here, column, WIDTH, 0.0) - mean
            slope = gate * (1 - gate) * mine * apart
            if arrives is not None:
                slope += gather(arrives, entry, here, column, WIDTH, 0.0)
            put_block(slope, entry, here, column, grad_edge, 0, 1, WIDTH)
            total += tl.where(here[:, None], slope, 0.0)
    put(total, total, row, target, column, grad_receiver, partial, WIDTH, MERGE)


@kernel
def _collect(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    state: tl.tensor,
    share: tl.tensor,
    grad_edge: tl.tensor,
    grad_sender: tl.tensor,
    grad_value: tl.tensor,
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
    sent = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    valued = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
    for step in range(tl.max(length)):
        here = step < length
        if MERGE:
            slot = (begin + step) * 2
            sent += gather(partial, slot, here, column, WIDTH, 0.0)
            valued += gather(partial, slot + 1, here, column, WIDTH, 0.0)
        else:
            to = tl.load(col_t + begin + step, mask=here, other=0)
            place = tl.load(perm_t + begin + step, mask=here, other=0)
            sent += gather(grad_edge, place, here, column, WIDTH, 0.0)
            gate = _gate(gather(state, place, here, column, WIDTH, 0.0))
            valued += gate * gather(share, to, here, column, WIDTH, 0.0)
    whole = target == WHOLE
    put_block(sent, row, whole, column, grad_sender, 0, 1, WIDTH)
    put_block(valued, row, whole, column, grad_value, 0, 1, WIDTH)
    if not MERGE:
        is_part = target >= 0
        slot = tl.where(is_part, target, 0)
        put_block(sent, slot, is_part, column, partial, 0, 2, WIDTH)
        put_block(valued, slot, is_part, column, partial, 1, 2, WIDTH)
