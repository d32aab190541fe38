"""CPU: the sums by numba, tanh by torch, whose is of vectors."""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run


def pair_tanh(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, perm_t: Tensor, longest: int, z: Tensor
) -> Tensor:
    """The forward of gbench/kernels/pair_tanh.py."""
    out = torch.empty((col.numel(), z.size(1) // 2), dtype=z.dtype)
    run(pair_sums, count_chunks(out.numel()), array(rowptr), array(col), array(z), array(out))
    return out.tanh_()


def pair_tanh_backward(
    grad: Tensor, rowptr: Tensor, rowptr_t: Tensor, perm_t: Tensor, longest: int, out: Tensor
) -> Tensor:
    """The gradient of gbench/kernels/pair_tanh.py."""
    grad_z = torch.empty((rowptr.numel() - 1, 2 * grad.size(1)), dtype=grad.dtype)
    graph = (array(rowptr), array(rowptr_t), array(perm_t))
    run(_backward, count_chunks(2 * out.numel()), *graph, array(grad), array(out), array(grad_z))
    return grad_z


@compiled
def pair_sums(
    first: int, last: int, num_chunks: int, rowptr: Any, col: Any, z: Any, out: Any
) -> int:
    """z[v, 2 p] + z[u, 2 p + 1] for each entry (v, u): (E, P)."""
    width = out.shape[1]
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(uint64(rowptr[v]), uint64(rowptr[v + 1])):
            u = uint64(col[e])
            for p in range(width):
                out[e, p] = narrow(widen(z[v, 2 * p]) + widen(z[u, 2 * p + 1]), out)
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    rowptr_t: Any,
    perm_t: Any,
    grad: Any,
    out: Any,
    grad_z: Any,
) -> int:
    width = out.shape[1]
    own, other = scratch(out, width), scratch(out, width)
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        own[:] = 0
        other[:] = 0
        for e in range(uint64(rowptr[v]), uint64(rowptr[v + 1])):
            for p in range(width):
                own[p] += widen(grad[e, p]) * (1 - widen(out[e, p]) * widen(out[e, p]))
        for t in range(uint64(rowptr_t[v]), uint64(rowptr_t[v + 1])):
            e = uint64(perm_t[t])
            for p in range(width):
                other[p] += widen(grad[e, p]) * (1 - widen(out[e, p]) * widen(out[e, p]))
        for p in range(width):
            grad_z[v, 2 * p] = narrow(own[p], grad_z)
            grad_z[v, 2 * p + 1] = narrow(other[p], grad_z)
    return 0
