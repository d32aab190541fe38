"""CPU: W_1, a handful of numbers, by numba; W_2 by torch's products of matrices."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.rows import array, compiled, count_chunks, run


def sheaf_mix(x: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_mix.py, with (I ⊗ W_1) x."""
    mixed = torch.empty(x.shape, dtype=x.dtype)
    run(_left, count_chunks(x.numel() * x.size(1)), array(x), array(left), array(mixed))
    rows = mixed.view(-1, x.size(2))
    return torch.mm(rows, right.detach().t()).view(x.shape), mixed


def sheaf_mix_backward(
    grad: Tensor, x: Tensor, left: Tensor, right: Tensor, mixed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/sheaf_mix.py."""
    width = x.size(2)
    rows = grad.reshape(-1, width)
    inner = torch.mm(rows, right).view(x.shape)
    grad_right = torch.mm(rows.t(), mixed.view(-1, width))
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    chunks = count_chunks(2 * x.numel() * x.size(1))
    sums = numpy.zeros((chunks, *left.shape))
    run(_left_backward, chunks, array(inner), array(x), array(left), array(grad_x), sums)
    return grad_x, torch.from_numpy(sums.sum(0)).to(left.dtype), grad_right


@compiled
def _left(first: int, last: int, num_chunks: int, x: Any, left: Any, out: Any) -> int:
    rows, channels, width = x.shape
    for v in range(rows * first // num_chunks, rows * last // num_chunks):
        for c in range(channels):
            for f in range(width):
                out[v, c, f] = left[c, 0] * x[v, 0, f]
            for d in range(1, channels):
                factor = left[c, d]
                for f in range(width):
                    out[v, c, f] += factor * x[v, d, f]
    return 0


@compiled
def _left_backward(
    first: int, last: int, num_chunks: int, grad: Any, x: Any, left: Any, grad_x: Any, sums: Any
) -> int:
    rows, channels, width = x.shape
    for chunk in range(first, last):
        for v in range(rows * chunk // num_chunks, rows * (chunk + 1) // num_chunks):
            grad_x[v] = 0
            for c in range(channels):
                for d in range(channels):
                    factor, total = left[c, d], x.dtype.type(0)
                    for f in range(width):
                        grad_x[v, d, f] += factor * grad[v, c, f]
                        total += grad[v, c, f] * x[v, d, f]
                    sums[chunk, c, d] += total
    return 0
