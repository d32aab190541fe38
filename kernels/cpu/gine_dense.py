"""CPU, numba: a walk over the rows forward, one over the transpose backward.

Rows are outside and features inside, so that every inner loop is a vector loop. A row of up to two
entries keeps its sums in registers.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.csr import Graph


def gine_dense(graph: Graph, longest: int, x: Tensor, edge: Tensor, eps: Tensor) -> Tensor:
    """The forward of gbench/kernels/gine_dense.py."""
    rowptr, col, *_ = graph
    out = unset(x.shape, x.dtype)
    walk = (array(rowptr), array(col), array(x), array(edge), 1 + eps.item())
    run(_forward, _chunks(col, x), *walk, array(out))
    return out


def gine_dense_backward(
    grad: Tensor, graph: Graph, longest: int, x: Tensor, edge: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gine_dense.py."""
    *_, rowptr_t, col_t, perm_t = graph
    grad_x, grad_edge = unset(x.shape, x.dtype), unset(edge.shape, edge.dtype)
    chunks = _chunks(col_t, x)
    sums = torch.zeros(chunks, x.size(1), dtype=torch.promote_types(x.dtype, torch.float32))
    walk = (array(rowptr_t), array(col_t), array(perm_t), array(x), array(edge), 1 + eps.item())
    run(_backward, chunks, *walk, array(grad), array(grad_x), array(grad_edge), array(sums))
    return grad_x, grad_edge, sums.sum(dtype=torch.float64).to(eps.dtype)


def _chunks(col: Tensor, x: Tensor) -> int:
    return count_chunks((col.numel() + x.size(0)) * x.size(1))


@compiled
def _message(x: Any, edge: Any, zero: Any) -> Any:
    value = widen(x) + widen(edge)
    return zero if value <= zero else value  # in this order a NaN stays one


@compiled
def _returned(x: Any, edge: Any, grad: Any, zero: Any) -> Any:
    """What the relu lets through of a message's gradient."""
    return zero if widen(x) + widen(edge) <= zero else widen(grad)


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    x: Any,
    edge: Any,
    factor: float,
    out: Any,
) -> int:
    width, zero, row = x.shape[1], zero_of(x), scratch(x, x.shape[1])
    own = type(zero)(factor)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        e, count = uint64(rowptr[i]), rowptr[i + 1] - rowptr[i]
        if count == 1:
            j = uint64(col[e])
            for f in range(width):
                total = own * widen(x[i, f]) + _message(x[j, f], edge[e, f], zero)
                out[i, f] = narrow(total, out)
        elif count == 2:
            j, k, d = uint64(col[e]), uint64(col[e + uint64(1)]), e + uint64(1)
            for f in range(width):
                total = own * widen(x[i, f]) + _message(x[j, f], edge[e, f], zero)
                out[i, f] = narrow(total + _message(x[k, f], edge[d, f], zero), out)
        else:
            for f in range(width):
                row[f] = own * widen(x[i, f])
            for t in range(e, e + uint64(count)):
                j = uint64(col[t])
                for f in range(width):
                    row[f] += _message(x[j, f], edge[t, f], zero)
            for f in range(width):
                out[i, f] = narrow(row[f], out)
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    x: Any,
    edge: Any,
    factor: float,
    grad: Any,
    grad_x: Any,
    grad_edge: Any,
    sums: Any,
) -> int:
    """Each row of `sums` is the gradient of ε by feature, of one chunk."""
    width, zero, row = x.shape[1], zero_of(x), scratch(x, x.shape[1])
    own = type(zero)(factor)
    for chunk in range(first, last):
        for j in range(
            chunk_start(rowptr_t, chunk, num_chunks), chunk_start(rowptr_t, chunk + 1, num_chunks)
        ):
            t, count = uint64(rowptr_t[j]), rowptr_t[j + 1] - rowptr_t[j]
            if count == 1:
                i, e = uint64(col_t[t]), uint64(perm_t[t])
                for f in range(width):
                    one = _returned(x[j, f], edge[e, f], grad[i, f], zero)
                    grad_edge[e, f] = narrow(one, grad_edge)
                    sums[chunk, f] += widen(grad[j, f]) * widen(x[j, f])
                    grad_x[j, f] = narrow(own * widen(grad[j, f]) + one, grad_x)
            elif count == 2:
                i, e = uint64(col_t[t]), uint64(perm_t[t])
                k, d = uint64(col_t[t + uint64(1)]), uint64(perm_t[t + uint64(1)])
                for f in range(width):
                    one = _returned(x[j, f], edge[e, f], grad[i, f], zero)
                    two = _returned(x[j, f], edge[d, f], grad[k, f], zero)
                    grad_edge[e, f] = narrow(one, grad_edge)
                    grad_edge[d, f] = narrow(two, grad_edge)
                    sums[chunk, f] += widen(grad[j, f]) * widen(x[j, f])
                    grad_x[j, f] = narrow(own * widen(grad[j, f]) + one + two, grad_x)
            else:
                for f in range(width):
                    row[f] = own * widen(grad[j, f])
                    sums[chunk, f] += widen(grad[j, f]) * widen(x[j, f])
                for s in range(t, t + uint64(count)):
                    i, e = uint64(col_t[s]), uint64(perm_t[s])
                    for f in range(width):
                        one = _returned(x[j, f], edge[e, f], grad[i, f], zero)
                        grad_edge[e, f] = narrow(one, grad_edge)
                        row[f] += one
                for f in range(width):
                    grad_x[j, f] = narrow(row[f], grad_x)
    return 0
