"""CPU, numba: a walk for the statistics and one for the values; two walks backward likewise."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint32
from torch import Tensor

from gbench.kernels.cpu.rows import array, compiled, count_chunks, run

BLOCK = 32  # rows summed in x's own precision: 32 × 300 float32 stay in the second-level cache


def norm_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    residual: Tensor | None,
    seed: Tensor,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/norm_act.py."""
    features = array(x.to(weight.dtype))
    chunks = count_chunks(x.numel())
    if training:
        moments = numpy.empty((chunks, 2, x.size(1)))
        run(_moments, chunks, features, moments)
        _merge(moments, x.size(0))
        mean = torch.from_numpy(moments[0, 0]).to(mean.dtype)
        var = torch.from_numpy(moments[0, 1] / x.size(0)).to(var.dtype)
    else:
        mean, var = mean.clone(), var.clone()
    out = torch.empty(x.shape, dtype=weight.dtype)
    scale = weight.detach() * (var + eps).rsqrt()
    run(
        _values,
        chunks,
        features,
        array(mean),
        array(scale),
        array(bias),
        features if residual is None else array(residual.to(weight.dtype)),
        residual is not None,
        int(seed),
        -numpy.inf if not relu else 0.0,
        dropout,
        array(out),
    )
    return out.to(x.dtype), mean, var


def norm_act_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    seed: Tensor,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/norm_act.py."""
    chunks = count_chunks(x.numel())
    grad_x = torch.empty(x.shape, dtype=weight.dtype)
    inverse = (var + eps).rsqrt()
    scale = weight.detach() * inverse
    shared = (
        array(grad.to(weight.dtype)),
        array(x.to(weight.dtype)),
        array(mean),
        array(scale),
        array(bias),
        int(seed),
        -numpy.inf if not relu else 0.0,
        dropout,
    )
    sums = numpy.empty((chunks, 2, x.size(1)))
    run(_sums, chunks, *shared, sums)
    total = torch.from_numpy(sums.sum(0))  # of z̄ and of z̄ (x - μ)
    over = x.size(0) if training else torch.inf
    centre = (total[0] / over).to(weight.dtype)
    slope = (total[1] / over).to(weight.dtype) * inverse * inverse
    run(_grad_x, chunks, *shared, array(centre), array(slope), array(grad_x))
    grad_weight = total[1].to(weight.dtype) * inverse
    return grad_x.to(x.dtype), grad_weight, total[0].to(weight.dtype)


@compiled
def _mix(word: Any) -> Any:
    word = uint32((word ^ (word >> uint32(16))) * uint32(0x7FEB352D))
    word = uint32((word ^ (word >> uint32(15))) * uint32(0x846CA68B))
    return uint32(word ^ (word >> uint32(16)))


@compiled
def _row_key(seed: int, row: int) -> Any:
    return _mix(uint32(_mix(uint32(row + seed)) ^ uint32(seed >> 32)))


@compiled
def _draw(key: Any, feature: int) -> Any:
    return _mix(uint32(key + uint32(feature) * uint32(0x9E3779B9)))


@compiled
def _dropout(dropout: float) -> tuple[bool, Any, float]:
    """Whether to drop at all, the smallest draw that is kept, and the factor of what is kept."""
    return dropout > 0, uint32(dropout * 4294967296.0), 1 / (1 - dropout)


@compiled
def _moments(first: int, last: int, num_chunks: int, x: Any, moments: Any) -> int:
    """Mean of each chunk's columns and sum of squares about it.

    Sums of d = x - shift, with the mean of the chunk's first block as shift: one walk, and no more
    cancellation in Σd² - (Σd)²/n than that block is away from the chunk's mean.
    """
    num_rows, width = x.shape
    shift = numpy.empty(width, x.dtype)
    plain = numpy.empty(width, x.dtype)
    square = numpy.empty(width, x.dtype)
    for chunk in range(first, last):
        mean, about = moments[chunk, 0], moments[chunk, 1]
        mean[:] = 0
        about[:] = 0
        shift[:] = 0
        begin, end = num_rows * chunk // num_chunks, num_rows * (chunk + 1) // num_chunks
        part = x.dtype.type(1 / max(1, min(BLOCK, end - begin)))
        for i in range(begin, min(begin + BLOCK, end)):
            for f in range(width):
                shift[f] += x[i, f] * part
        for start in range(begin, end, BLOCK):
            plain[:] = 0
            square[:] = 0
            for i in range(start, min(start + BLOCK, end)):
                for f in range(width):
                    apart = x[i, f] - shift[f]
                    plain[f] += apart
                    square[f] += apart * apart
            for f in range(width):
                mean[f] += plain[f]
                about[f] += square[f]
        for f in range(width):
            about[f] -= mean[f] * mean[f] / (end - begin)
            mean[f] = shift[f] + mean[f] / (end - begin)
    return 0


def _merge(moments: Any, num_rows: int) -> None:
    """Bring all chunks' moments together in the first chunk's place."""
    chunks = len(moments)
    for chunk in range(1, chunks):
        before = num_rows * chunk // chunks
        after = num_rows * (chunk + 1) // chunks
        apart = moments[chunk, 0] - moments[0, 0]
        moments[0, 0] += apart * ((after - before) / after)
        moments[0, 1] += moments[chunk, 1] + apart**2 * (before * (after - before) / after)


@compiled
def _values(
    first: int,
    last: int,
    num_chunks: int,
    x: Any,
    mean: Any,
    scale: Any,
    bias: Any,
    residual: Any,
    adds: bool,
    seed: int,
    floor: float,
    dropout: float,
    out: Any,
) -> int:
    num_rows, width = x.shape
    low, zero = x.dtype.type(floor), x.dtype.type(0)
    drops, limit, factor = _dropout(dropout)
    grow = x.dtype.type(factor)
    for i in range(num_rows * first // num_chunks, num_rows * last // num_chunks):
        key = _row_key(seed, i)
        for f in range(width):
            value = (x[i, f] - mean[f]) * scale[f] + bias[f]
            value = low if value <= low else value  # in this order a NaN stays one
            out[i, f] = value * grow if not drops or _draw(key, f) >= limit else zero
        if adds:
            for f in range(width):
                out[i, f] += residual[i, f]
    return 0


@compiled
def _sums(
    first: int,
    last: int,
    num_chunks: int,
    grad: Any,
    x: Any,
    mean: Any,
    scale: Any,
    bias: Any,
    seed: int,
    floor: float,
    dropout: float,
    sums: Any,
) -> int:
    """Column sums of z̄, the gradient before ReLU and dropout, and of z̄ (x - μ)."""
    num_rows, width = x.shape
    low, zero = x.dtype.type(floor), x.dtype.type(0)
    drops, limit, factor = _dropout(dropout)
    grow = x.dtype.type(factor)
    plain = numpy.empty(width, x.dtype)
    times_x = numpy.empty(width, x.dtype)
    for chunk in range(first, last):
        sums[chunk] = 0
        begin, end = num_rows * chunk // num_chunks, num_rows * (chunk + 1) // num_chunks
        for start in range(begin, end, BLOCK):
            plain[:] = 0
            times_x[:] = 0
            for i in range(start, min(start + BLOCK, end)):
                key = _row_key(seed, i)
                for f in range(width):
                    apart = x[i, f] - mean[f]
                    closed = apart * scale[f] + bias[f] <= low
                    kept = not drops or _draw(key, f) >= limit
                    value = grad[i, f] * grow if kept and not closed else zero
                    plain[f] += value
                    times_x[f] += value * apart
            for f in range(width):
                sums[chunk, 0, f] += plain[f]
                sums[chunk, 1, f] += times_x[f]
    return 0


@compiled
def _grad_x(
    first: int,
    last: int,
    num_chunks: int,
    grad: Any,
    x: Any,
    mean: Any,
    scale: Any,
    bias: Any,
    seed: int,
    floor: float,
    dropout: float,
    centre: Any,
    slope: Any,
    grad_x: Any,
) -> int:
    num_rows, width = x.shape
    low, zero = x.dtype.type(floor), x.dtype.type(0)
    drops, limit, factor = _dropout(dropout)
    grow = x.dtype.type(factor)
    for i in range(num_rows * first // num_chunks, num_rows * last // num_chunks):
        key = _row_key(seed, i)
        for f in range(width):
            apart = x[i, f] - mean[f]
            closed = apart * scale[f] + bias[f] <= low
            kept = not drops or _draw(key, f) >= limit
            value = grad[i, f] * grow if kept and not closed else zero
            grad_x[i, f] = scale[f] * (value - centre[f] - slope[f] * apart)
    return 0
