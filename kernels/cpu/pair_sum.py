"""CPU, numba: one walk over the pairs in each direction, in the order in which they lie."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.pair_conv import check_pairs
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset


def pair_sum(ptr: Tensor, weight: Tensor, e: Tensor) -> Tensor:
    """The forward of gbench/kernels/pair_sum.py."""
    check_pairs(ptr, e.size(0))
    out = torch.empty((ptr.numel() - 1, e.size(1)), dtype=e.dtype)
    run(_forward, count_chunks(e.numel()), array(ptr), array(weight), array(e), array(out))
    return out


def pair_sum_backward(
    grad: Tensor, ptr: Tensor, weight: Tensor, e: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/pair_sum.py."""
    grad_weight, grad_e = unset(tuple(weight.shape), e.dtype), unset(tuple(e.shape), e.dtype)
    given = (array(ptr), array(weight), array(e), array(grad), array(grad_weight), array(grad_e))
    run(_backward, count_chunks(2 * e.numel()), *given)
    return grad_weight, grad_e


@compiled
def _forward(
    first: int, last: int, num_chunks: int, ptr: Any, weight: Any, e: Any, out: Any
) -> int:
    heads, width, row = weight.shape[1], e.shape[1], scratch(e, e.shape[1])
    size = width // heads
    for i in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        row[:] = 0
        for p in range(ptr[i], ptr[i + 1]):
            for h in range(heads):
                own = widen(weight[p, h])
                for f in range(h * size, (h + 1) * size):
                    row[f] += own * widen(e[p, f])
        for f in range(width):
            out[i, f] = narrow(row[f], out)
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    ptr: Any,
    weight: Any,
    e: Any,
    grad: Any,
    grad_weight: Any,
    grad_e: Any,
) -> int:
    heads, width, zero = weight.shape[1], e.shape[1], zero_of(e)
    size = width // heads
    for i in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        for p in range(ptr[i], ptr[i + 1]):
            for h in range(heads):
                own, total = widen(weight[p, h]), zero
                for f in range(h * size, (h + 1) * size):
                    told = widen(grad[i, f])
                    grad_e[p, f] = narrow(own * told, grad_e)
                    total += told * widen(e[p, f])
                grad_weight[p, h] = narrow(total, grad_weight)
    return 0
