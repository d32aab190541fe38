"""CPU, numba: a walk for the statistics and one for the values; two walks backward likewise.

What is small is computed in the walks too: on a batch of 32 molecules every call of torch would
cost a hundredth of the operation.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.draws import draw, drop_rule, row_key
from gbench.kernels.cpu.rows import array, compiled, count_chunks, run
from gbench.kernels.norm_act import ONE_ROW, move

BLOCK = 32  # rows summed in float32: 32 × 300 of them stay in the second-level cache


def norm_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    residual: Tensor | None,
    seed: Tensor | None,
    rows: Tensor | None,
    before: Tensor | None,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/norm_act.py."""
    count = _count(x, rows)
    if training and count == 1:
        raise ValueError(ONE_ROW)
    features = array(x)[:count]
    chunks = count_chunks(features.size)
    means, variances = array(mean).copy(), array(var).copy()
    if before is not None:
        means -= array(before)  # in training they are overwritten
    if training:
        moments = numpy.empty((chunks, 2, x.size(1)))
        run(take_moments, chunks, features, moments)
        _merge(moments, count, means, variances)
    out = torch.empty(x.shape, dtype=x.dtype)
    if rows is not None:
        out[count:] = 0
    run(
        take_values,
        chunks,
        features,
        array(weight),
        array(bias),
        means,
        variances,
        eps,
        None if residual is None else array(residual),
        0 if seed is None else seed.item(),
        0.0 if relu else -numpy.inf,
        dropout,
        array(out),
    )
    return out, torch.from_numpy(means), torch.from_numpy(variances)


def norm_act_(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    steps: Tensor | None,
    residual: Tensor | None,
    seed: Tensor | None,
    rows: Tensor | None,
    before: Tensor | None,
    momentum: float,
    *options: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """The forward in training, which moves the running statistics too."""
    found = norm_act(x, weight, bias, mean, var, residual, seed, rows, before, True, *options)
    move(mean, var, steps, *found[1:], momentum, x, rows, before)
    return found


def norm_act_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    seed: Tensor | None,
    rows: Tensor | None,
    before: Tensor | None,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
    needs_residual: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/norm_act.py."""
    count = _count(x, rows)
    features = array(x)[:count]
    chunks = count_chunks(features.size)
    floor = 0.0 if relu else -numpy.inf
    shared = (
        *(array(grad), features, array(weight), array(bias), array(mean), array(var)),
        *(eps, 0 if seed is None else seed.item(), floor, dropout),
    )
    sums = numpy.empty((chunks, 2, x.size(1)))
    run(take_sums, chunks, *shared, sums)
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    if rows is not None:
        grad_x[count:] = 0
    grad_weight, grad_bias = numpy.empty_like(shared[2]), numpy.empty_like(shared[3])
    run(take_grad_x, chunks, *shared, sums, training, array(grad_x), grad_weight, grad_bias)
    grad_residual = x.new_empty(0)
    if needs_residual:
        grad_residual = grad.clone()
        grad_residual[count:] = 0
    grad_before = weight.new_zeros(0 if before is None else weight.size(0))
    of_weight, of_bias = torch.from_numpy(grad_weight), torch.from_numpy(grad_bias)
    if before is not None and not training:
        grad_before = of_bias * weight / (var + eps).sqrt()
    return grad_x, of_weight, of_bias, grad_residual, grad_before


def _count(x: Tensor, rows: Tensor | None) -> int:
    """How many of the rows count."""
    return x.size(0) if rows is None else int(rows)


@compiled
def take_moments(first: int, last: int, num_chunks: int, x: Any, moments: Any) -> int:
    """Mean of each chunk's columns and sum of squares about it.

    Sums of d = x - shift, with the mean of the chunk's first block as shift: one walk, and no more
    cancellation in Σd² - (Σd)²/n than that block is away from the chunk's mean.
    """
    num_rows, width = x.shape
    shift, plain, square = scratch(x, width), scratch(x, width), scratch(x, width)
    for chunk in range(first, last):
        mean, about = moments[chunk, 0], moments[chunk, 1]
        mean[:] = 0
        about[:] = 0
        shift[:] = 0
        begin, end = num_rows * chunk // num_chunks, num_rows * (chunk + 1) // num_chunks
        part = shift.dtype.type(1 / max(1, min(BLOCK, end - begin)))
        for i in range(begin, min(begin + BLOCK, end)):
            for f in range(width):
                shift[f] += widen(x[i, f]) * part
        for start in range(begin, end, BLOCK):
            plain[:] = 0
            square[:] = 0
            for i in range(start, min(start + BLOCK, end)):
                for f in range(width):
                    apart = widen(x[i, f]) - shift[f]
                    plain[f] += apart
                    square[f] += apart * apart
            for f in range(width):
                mean[f] += plain[f]
                about[f] += square[f]
        for f in range(width):
            about[f] -= mean[f] * mean[f] / (end - begin)
            mean[f] = shift[f] + mean[f] / (end - begin)
    return 0


@compiled
def _merge(moments: Any, num_rows: int, mean: Any, var: Any) -> None:
    """Bring all chunks' moments together (Chan, Golub and LeVeque)."""
    chunks = len(moments)
    for f in range(len(mean)):
        centre, about = moments[0, 0, f], moments[0, 1, f]
        for chunk in range(1, chunks):
            before = num_rows * chunk // chunks
            after = num_rows * (chunk + 1) // chunks
            apart = moments[chunk, 0, f] - centre
            centre += apart * ((after - before) / after)
            about += moments[chunk, 1, f] + apart**2 * (before * (after - before) / after)
        mean[f], var[f] = centre, about / num_rows


@compiled
def _scale(weight: Any, var: Any, eps: float) -> tuple[Any, Any]:
    """γ / √(σ² + ε), and its second factor alone."""
    inverse = numpy.empty_like(var)
    for f in range(len(var)):
        inverse[f] = 1 / numpy.sqrt(var[f] + eps)
    return weight * inverse, inverse


@compiled
def take_values(
    first: int,
    last: int,
    num_chunks: int,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    eps: float,
    residual: Any,
    seed: int,
    floor: float,
    dropout: float,
    out: Any,
) -> int:
    """dropout(relu(norm(x))), and the residual."""
    (num_rows, width), zero = x.shape, zero_of(x)
    scale, _ = _scale(weight, var, eps)
    low = type(zero)(floor)
    drops, limit, factor = drop_rule(dropout)
    grow = type(zero)(factor)
    for i in range(num_rows * first // num_chunks, num_rows * last // num_chunks):
        key = row_key(seed, i)
        for f in range(width):
            value = (widen(x[i, f]) - mean[f]) * scale[f] + bias[f]
            value = low if value <= low else value  # in this order a NaN stays one
            value = value * grow if not drops or draw(key, f) >= limit else zero
            if residual is not None:
                value += widen(residual[i, f])
            out[i, f] = narrow(value, out)
    return 0


@compiled
def take_sums(
    first: int,
    last: int,
    num_chunks: int,
    grad: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    eps: float,
    seed: int,
    floor: float,
    dropout: float,
    sums: Any,
) -> int:
    """Column sums of z̄, the gradient before ReLU and dropout, and of z̄ (x - μ)."""
    (num_rows, width), zero = x.shape, zero_of(x)
    scale, _ = _scale(weight, var, eps)
    low = type(zero)(floor)
    drops, limit, factor = drop_rule(dropout)
    grow = type(zero)(factor)
    plain, times_x = scratch(x, width), scratch(x, width)
    for chunk in range(first, last):
        sums[chunk] = 0
        begin, end = num_rows * chunk // num_chunks, num_rows * (chunk + 1) // num_chunks
        for start in range(begin, end, BLOCK):
            plain[:] = 0
            times_x[:] = 0
            for i in range(start, min(start + BLOCK, end)):
                key = row_key(seed, i)
                for f in range(width):
                    apart = widen(x[i, f]) - mean[f]
                    closed = apart * scale[f] + bias[f] <= low
                    kept = not drops or draw(key, f) >= limit
                    value = widen(grad[i, f]) * grow if kept and not closed else zero
                    plain[f] += value
                    times_x[f] += value * apart
            for f in range(width):
                sums[chunk, 0, f] += plain[f]
                sums[chunk, 1, f] += times_x[f]
    return 0


@compiled
def take_grad_x(
    first: int,
    last: int,
    num_chunks: int,
    grad: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    eps: float,
    seed: int,
    floor: float,
    dropout: float,
    sums: Any,
    training: bool,
    grad_x: Any,
    grad_weight: Any,
    grad_bias: Any,
) -> int:
    """The gradient of x by the columns' sums of all chunks, and those of weight and bias."""
    (num_rows, width), zero = x.shape, zero_of(x)
    scale, inverse = _scale(weight, var, eps)
    low = type(zero)(floor)
    drops, limit, factor = drop_rule(dropout)
    grow = type(zero)(factor)
    centre, slope = scratch(x, width), scratch(x, width)
    for f in range(width):
        plain, times_x = 0.0, 0.0
        for chunk in range(num_chunks):
            plain += sums[chunk, 0, f]
            times_x += sums[chunk, 1, f]
        centre[f] = plain / num_rows if training else 0
        slope[f] = times_x / num_rows * inverse[f] * inverse[f] if training else 0
        if first == 0:
            grad_weight[f], grad_bias[f] = times_x * inverse[f], plain
    for i in range(num_rows * first // num_chunks, num_rows * last // num_chunks):
        key = row_key(seed, i)
        for f in range(width):
            apart = widen(x[i, f]) - mean[f]
            closed = apart * scale[f] + bias[f] <= low
            kept = not drops or draw(key, f) >= limit
            value = widen(grad[i, f]) * grow if kept and not closed else zero
            grad_x[i, f] = narrow(scale[f] * (value - centre[f] - slope[f] * apart), grad_x)
    return 0
