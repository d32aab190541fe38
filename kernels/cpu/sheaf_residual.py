"""CPU: elu by torch, whose exponential is of vectors, and a walk over the nodes each way."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from gbench.kernels.cpu.rows import array, compiled, count_chunks, run


def sheaf_residual(x: Tensor, step: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_residual.py, with elu(step)."""
    elu = functional.elu(step.detach()).contiguous()
    out = torch.empty(x.shape, dtype=x.dtype)
    values = (array(x), array(elu), array(_kept(epsilon)), array(out))
    run(_forward, count_chunks(x.numel()), *values)
    return out, elu


def sheaf_residual_backward(
    grad: Tensor, x: Tensor, epsilon: Tensor, elu: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/sheaf_residual.py."""
    grad_x, grad_step = torch.empty(x.shape, dtype=x.dtype), torch.empty(x.shape, dtype=x.dtype)
    chunks, kept = count_chunks(2 * x.numel()), _kept(epsilon)
    sums = numpy.zeros((chunks, x.size(1)))
    values = (array(grad), array(x), array(kept), array(elu))
    run(_backward, chunks, *values, array(grad_x), array(grad_step), sums)
    total = torch.from_numpy(sums.sum(0)).to(epsilon.dtype).view_as(epsilon)
    return grad_x, grad_step, total * (kept * (2 - kept))  # 1 - tanh² = (1 + tanh) (1 - tanh)


def _kept(epsilon: Tensor) -> Tensor:
    """1 + tanh ε. Shapes: (C, 1) → (C, 1)."""
    return epsilon.detach().tanh() + 1


@compiled
def _forward(first: int, last: int, num_chunks: int, x: Any, elu: Any, kept: Any, out: Any) -> int:
    rows, channels, width = x.shape
    for v in range(rows * first // num_chunks, rows * last // num_chunks):
        for c in range(channels):
            factor = kept[c, 0]
            for f in range(width):
                out[v, c, f] = factor * x[v, c, f] - elu[v, c, f]
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    grad: Any,
    x: Any,
    kept: Any,
    elu: Any,
    grad_x: Any,
    grad_step: Any,
    sums: Any,
) -> int:
    rows, channels, width = x.shape
    one = x.dtype.type(1)
    for chunk in range(first, last):
        for v in range(rows * chunk // num_chunks, rows * (chunk + 1) // num_chunks):
            for c in range(channels):
                factor, total = kept[c, 0], x.dtype.type(0)
                for f in range(width):
                    value = grad[v, c, f]
                    grad_x[v, c, f] = factor * value
                    slope = one if elu[v, c, f] > 0 else elu[v, c, f] + one
                    grad_step[v, c, f] = -value * slope
                    total += value * x[v, c, f]
                sums[chunk, c] += total
    return 0
