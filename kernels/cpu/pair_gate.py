"""CPU, numba: one walk over the pairs in each direction, graph after graph backward."""

from __future__ import annotations

import math
from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.pair_conv import check_pairs
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset


def pair_gate(
    ptr: Tensor, start: Tensor, node_ptr: Tensor, q: Tensor, k: Tensor, e: Tensor
) -> Tensor:
    """The forward of gbench/kernels/pair_gate.py."""
    check_pairs(ptr, e.size(0))
    out = unset((e.size(0), q.size(1)), e.dtype)
    given = (array(ptr), array(start), array(q), array(k), array(e), array(out))
    run(_forward, count_chunks(2 * e.numel()), *given)
    return out


def pair_gate_backward(
    grad: Tensor, ptr: Tensor, start: Tensor, node_ptr: Tensor, q: Tensor, k: Tensor, e: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/pair_gate.py."""
    grad_q, grad_k = (torch.empty(q.shape, dtype=q.dtype) for _ in range(2))
    grad_e = unset(tuple(e.shape), e.dtype)
    given = (array(node_ptr), array(ptr), array(q), array(k), array(e), array(grad))
    found = (array(grad_q), array(grad_k), array(grad_e))
    run(_backward, count_chunks(2 * e.numel()), *given, *found)
    return grad_q, grad_k, grad_e


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    ptr: Any,
    start: Any,
    q: Any,
    k: Any,
    e: Any,
    out: Any,
) -> int:
    width, zero = q.shape[1], zero_of(q)
    for i in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        for other in range(ptr[i + 1] - ptr[i]):
            p, j = uint64(ptr[i] + other), uint64(start[i] + other)
            for f in range(width):
                t = (widen(q[i, f]) + widen(k[j, f])) * widen(e[p, f])
                y = math.copysign(math.sqrt(abs(t)), t) + widen(e[p, width + f])
                out[p, f] = narrow(zero if y <= zero else y, out)
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    node_ptr: Any,
    ptr: Any,
    q: Any,
    k: Any,
    e: Any,
    grad: Any,
    grad_q: Any,
    grad_k: Any,
    grad_e: Any,
) -> int:
    """A chunk is of whole graphs."""
    width, zero = q.shape[1], zero_of(q)
    half, own = type(zero)(0.5), scratch(q, q.shape[1])
    for b in range(
        chunk_start(node_ptr, first, num_chunks), chunk_start(node_ptr, last, num_chunks)
    ):
        begin, count = node_ptr[b], node_ptr[b + 1] - node_ptr[b]
        sums = scratch(q, (count, width))
        sums[:] = 0
        for i in range(begin, begin + count):
            own[:] = 0
            for other in range(count):
                p, j = uint64(ptr[i] + other), uint64(begin + other)
                for f in range(width):
                    both, gate = widen(q[i, f]) + widen(k[j, f]), widen(e[p, f])
                    t = both * gate
                    root = math.sqrt(abs(t))
                    y = math.copysign(root, t) + widen(e[p, width + f])
                    told = zero if y <= zero else widen(grad[p, f])
                    slope = zero if root == zero else told * half / root
                    grad_e[p, width + f] = narrow(told, grad_e)
                    grad_e[p, f] = narrow(slope * both, grad_e)
                    own[f] += slope * gate
                    sums[other, f] += slope * gate
            for f in range(width):
                grad_q[i, f] = narrow(own[f], grad_q)
        for other in range(count):
            for f in range(width):
                grad_k[begin + other, f] = narrow(sums[other, f], grad_k)
    return 0
