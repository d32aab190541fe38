"""CPU: gathers and sums by numba, the sigmoids by torch, whose are of vectors."""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, widen, zero_of
from gbench.kernels.cpu.pair_tanh import pair_sums
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run


def pair_weight(
    rowptr: Tensor, col: Tensor, reverse: Tensor, longest: int, z: Tensor
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/pair_weight.py, with σ(a_v + b_u)."""
    sums = torch.empty((col.numel(), 1), dtype=z.dtype)
    run(pair_sums, count_chunks(col.numel()), array(rowptr), array(col), array(z), array(sums))
    there = sums.sigmoid_()[:, 0]
    return there * there.index_select(0, reverse), there


def pair_weight_backward(
    grad: Tensor, rowptr: Tensor, reverse: Tensor, longest: int, out: Tensor, there: Tensor
) -> Tensor:
    """The gradient of gbench/kernels/pair_weight.py."""
    grad_z = torch.empty((rowptr.numel() - 1, 2), dtype=grad.dtype)
    values = (array(grad), array(out), array(there), array(grad_z))
    run(_backward, count_chunks(out.numel()), array(rowptr), array(reverse), *values)
    return grad_z


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    reverse: Any,
    grad: Any,
    out: Any,
    there: Any,
    grad_z: Any,
) -> int:
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        own, other = zero_of(out), zero_of(out)
        for e in range(uint64(rowptr[v]), uint64(rowptr[v + 1])):
            r = uint64(reverse[e])
            slope = (widen(grad[e]) + widen(grad[r])) * widen(out[e])
            own += slope * (1 - widen(there[e]))
            other += slope * (1 - widen(there[r]))
        grad_z[v, 0] = narrow(own, grad_z)
        grad_z[v, 1] = narrow(other, grad_z)
    return 0
