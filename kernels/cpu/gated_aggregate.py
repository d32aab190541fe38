"""CPU, numba: one walk over the rows forward; one of the rows and one of the transpose backward."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run
from gbench.kernels.cpu.sigmoid import sigmoid
from gbench.kernels.csr import Graph
from gbench.kernels.gated_aggregate import EPS


def gated_aggregate(
    graph: Graph, longest: int, edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/gated_aggregate.py."""
    rowptr, col, *_ = graph
    out = torch.empty(receiver.shape, dtype=edge.dtype)
    state = torch.empty(edge.shape, dtype=edge.dtype)
    chunks = count_chunks(8 * edge.numel() + receiver.numel())  # a gate costs about 8 features
    given = (array(x) for x in (rowptr, col, edge, receiver, sender, value, out, state))
    run(_forward, chunks, *given)
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
    grad_edge = torch.empty(state.shape, dtype=state.dtype)
    grad_receiver, share = (torch.empty(out.shape, dtype=out.dtype) for _ in range(2))
    grad_sender, grad_value = (torch.empty(value.shape, dtype=out.dtype) for _ in range(2))
    chunks = count_chunks(8 * state.numel() + out.numel())
    given = (array(x) for x in (rowptr, col, value, out, state, grad))
    arrives = None if grad_state is None else array(grad_state)
    results = (array(x) for x in (grad_edge, grad_receiver, share))
    run(_entries, chunks, *given, arrives, *results)
    given = (array(x) for x in (rowptr_t, col_t, perm_t, state, share, grad_edge))
    run(_collect, chunks, *given, array(grad_sender), array(grad_value))
    return grad_edge, grad_receiver, grad_sender, grad_value


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    edge: Any,
    receiver: Any,
    sender: Any,
    value: Any,
    out: Any,
    state: Any,
) -> int:
    width, kind = edge.shape[1], edge.dtype.type
    total, gates, gate = numpy.empty((3, width), edge.dtype)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        total[:] = 0
        gates[:] = kind(EPS)
        for e in range(uint64(rowptr[i]), uint64(rowptr[i + 1])):
            j = uint64(col[e])
            for f in range(width):
                gate[f] = edge[e, f] + receiver[i, f] + sender[j, f]
                state[e, f] = gate[f]
            for f in range(width):
                gate[f] = sigmoid(gate[f])
            for f in range(width):
                total[f] += gate[f] * value[j, f]
                gates[f] += gate[f]
        for f in range(width):
            out[i, f] = total[f] / gates[f]
    return 0


@compiled
def _entries(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    value: Any,
    out: Any,
    state: Any,
    grad: Any,
    arrives: Any,
    grad_edge: Any,
    grad_receiver: Any,
    share: Any,
) -> int:
    """The gradient of each entry's state, and what a row's gates divide its gradient to."""
    width, kind = state.shape[1], state.dtype.type
    total, gates, gate = numpy.empty((3, width), state.dtype)
    one = kind(1)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        gates[:] = kind(EPS)
        total[:] = 0
        begin, end = uint64(rowptr[i]), uint64(rowptr[i + 1])
        for e in range(begin, end):
            for f in range(width):  # kept in the gradient's place until the sum is known
                gate[f] = sigmoid(state[e, f])
            for f in range(width):
                grad_edge[e, f] = gate[f]
                gates[f] += gate[f]
        for f in range(width):
            gates[f] = grad[i, f] / gates[f]
            share[i, f] = gates[f]
        for e in range(begin, end):
            j = uint64(col[e])
            for f in range(width):
                open_ = grad_edge[e, f]
                slope = open_ * (one - open_) * gates[f] * (value[j, f] - out[i, f])
                if arrives is not None:
                    slope += arrives[e, f]
                grad_edge[e, f] = slope
                total[f] += slope
        for f in range(width):
            grad_receiver[i, f] = total[f]
    return 0


@compiled
def _collect(
    first: int,
    last: int,
    num_chunks: int,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    state: Any,
    share: Any,
    grad_edge: Any,
    grad_sender: Any,
    grad_value: Any,
) -> int:
    width = state.shape[1]
    sent, valued, gate = numpy.empty((3, width), state.dtype)
    for j in range(
        chunk_start(rowptr_t, first, num_chunks), chunk_start(rowptr_t, last, num_chunks)
    ):
        sent[:] = 0
        valued[:] = 0
        for t in range(uint64(rowptr_t[j]), uint64(rowptr_t[j + 1])):
            i, e = uint64(col_t[t]), uint64(perm_t[t])
            for f in range(width):
                gate[f] = sigmoid(state[e, f])
            for f in range(width):
                sent[f] += grad_edge[e, f]
                valued[f] += gate[f] * share[i, f]
        for f in range(width):
            grad_sender[j, f] = sent[f]
            grad_value[j, f] = valued[f]
    return 0
