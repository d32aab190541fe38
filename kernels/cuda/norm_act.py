"""CUDA: two walks over tiles of rows forward and two backward; the statistics need a third launch.

Each chunk of rows leaves its mean and its sum of squares about that mean, which are brought
together as by Chan, Golub and LeVeque: exact for large means, and the same bits each time.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import gather, launch

ROWS = 16
MAX_CHUNKS = 128  # × 5 blocks of 64 columns for F = 300: 640 programs


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
    x, residual = x.contiguous(), None if residual is None else residual.contiguous()
    mean, var = mean.clone(), var.clone()
    out = x.new_empty(x.shape)
    if not x.numel():
        return out, mean, var
    chunks, blocks = _grid(x)
    if training:
        moments = mean.new_empty(2, chunks, x.size(1))
        launch(_moments, (chunks, blocks), x, moments, x.size(0), **_sizes(x))
        sizes = {**_sizes(x), "ROWS": triton.next_power_of_2(chunks)}
        given = (moments, mean, var, x.size(0), chunks)
        launch(_merge, (blocks,), *given, **sizes, num_warps=8)
    launch(
        _values,
        (triton.cdiv(x.size(0), ROWS), blocks),
        x,
        weight.contiguous(),
        bias.contiguous(),
        mean,
        var,
        residual,
        seed,
        out,
        x.size(0),
        **_options(x, eps, relu, dropout),
    )
    return out, mean, var


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
    grad, x = grad.contiguous(), x.contiguous()
    weight, bias = weight.contiguous(), bias.contiguous()
    grad_x = x.new_empty(x.shape)
    grad_weight, grad_bias = weight.new_zeros(weight.shape), bias.new_zeros(bias.shape)
    if not x.numel():
        return grad_x, grad_weight, grad_bias
    chunks, blocks = _grid(x)
    options = _options(x, eps, relu, dropout)
    given = (grad, x, weight, bias, mean, var, seed)
    sums = weight.new_empty(2, chunks, x.size(1))
    launch(_sums, (chunks, blocks), *given, sums, x.size(0), **options)
    results = (sums.sum(1), grad_x, grad_weight, grad_bias)
    grid = (triton.cdiv(x.size(0), ROWS), blocks)
    launch(_grad_x, grid, *given, *results, x.size(0), TRAINING=training, **options)
    return grad_x, grad_weight, grad_bias


def _sizes(x: Tensor) -> dict[str, int]:
    columns = min(64, triton.next_power_of_2(x.size(1)))
    return {"WIDTH": x.size(1), "ROWS": ROWS, "COLUMNS": columns}


def _options(x: Tensor, eps: float, relu: bool, dropout: float) -> dict[str, Any]:
    limit = int(dropout * 2**32)
    return {"EPS": eps, "RELU": relu, "DROPOUT": dropout, "LIMIT": limit, **_sizes(x)}


def _grid(x: Tensor) -> tuple[int, int]:
    chunks = min(MAX_CHUNKS, triton.cdiv(x.size(0), ROWS))
    return chunks, triton.cdiv(x.size(1), _sizes(x)["COLUMNS"])


@triton.jit
def _chunk_start(chunk: tl.tensor, num_chunks: tl.tensor, num_rows: tl.tensor) -> tl.tensor:
    return (num_rows.to(tl.int64) * chunk // num_chunks).to(tl.int32)


@triton.jit
def _moments(
    x: tl.tensor,
    moments: tl.tensor,
    num_rows: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Mean and sum of squares about it of one chunk's columns, tile after tile."""
    chunk, num_chunks = tl.program_id(0), tl.num_programs(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    begin = _chunk_start(chunk, num_chunks, num_rows)
    end = _chunk_start(chunk + 1, num_chunks, num_rows)
    mean = tl.zeros([COLUMNS], moments.dtype.element_ty)
    about = tl.zeros([COLUMNS], mean.dtype)
    for first in range(begin, end, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < end
        value = gather(x, row, here, column, WIDTH, 0.0).to(mean.dtype)
        size = tl.minimum(end - first, ROWS).to(mean.dtype)
        before = (first - begin).to(mean.dtype)
        tile_mean = tl.sum(value, 0) / size
        apart = tl.where(here[:, None], value - tile_mean[None, :], 0.0)
        step = tile_mean - mean
        about += tl.sum(apart * apart, 0) + step * step * (before * size / (before + size))
        mean += step * (size / (before + size))
    place = chunk * WIDTH + column
    tl.store(moments + place, mean, mask=column < WIDTH)
    tl.store(moments + num_chunks * WIDTH + place, about, mask=column < WIDTH)


@triton.jit
def _merge(
    moments: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    num_rows: tl.tensor,
    num_chunks: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Bring all chunks' moments together: ROWS is at least their number."""
    chunk = tl.arange(0, ROWS)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    here = chunk < num_chunks
    means = gather(moments, chunk, here, column, WIDTH, 0.0)
    abouts = gather(moments, chunk + num_chunks, here, column, WIDTH, 0.0)
    size = _chunk_start(chunk + 1, num_chunks, num_rows)
    size -= _chunk_start(chunk, num_chunks, num_rows)
    share = tl.where(here, size, 0).to(means.dtype)[:, None]
    # Relative to the first chunk's mean, so that a large mean loses no digits.
    origin = tl.load(moments + column, mask=column < WIDTH, other=0.0)
    centre = tl.sum(share * (means - origin[None, :]), 0) / num_rows.to(means.dtype)
    apart = means - origin[None, :] - centre[None, :]
    about = tl.sum(abouts + share * apart * apart, 0)
    tl.store(mean + column, origin + centre, mask=column < WIDTH)
    tl.store(var + column, about / num_rows.to(means.dtype), mask=column < WIDTH)


@triton.jit
def _mix(word: tl.tensor) -> tl.tensor:
    word = (word ^ (word >> 16)) * 0x7FEB352D
    word = (word ^ (word >> 15)) * 0x846CA68B
    return word ^ (word >> 16)


@triton.jit
def _drop(
    value: tl.tensor,
    seed: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
) -> tl.tensor:
    """Scaled by 1 / (1 - rate) where the hash is at least LIMIT, 2³² times the rate, else 0."""
    start = tl.load(seed)
    key = _mix(_mix((row + start).to(tl.uint32)) ^ (start >> 32).to(tl.uint32))
    draw = _mix(key[:, None] + (column.to(tl.uint32) * 0x9E3779B9)[None, :])
    kept = draw.to(tl.int64) >= LIMIT
    grow = tl.full([1, 1], 1.0 / (1.0 - DROPOUT), value.dtype)
    return tl.where(kept, value * grow, 0.0)


@triton.jit
def _normalised(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    row: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    EPS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The features minus mean, the value before ReLU, and weight / deviation and 1 / deviation."""
    inside = column < WIDTH
    inverse = 1.0 / tl.sqrt(tl.load(var + column, mask=inside, other=1.0) + EPS)
    scale = tl.load(weight + column, mask=inside, other=0.0) * inverse
    apart = gather(x, row, here, column, WIDTH, 0.0).to(inverse.dtype)
    apart -= tl.load(mean + column, mask=inside, other=0.0)[None, :]
    value = apart * scale[None, :] + tl.load(bias + column, mask=inside, other=0.0)[None, :]
    return apart, value, scale, inverse


@triton.jit
def _values(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    residual: tl.tensor,
    seed: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    EPS: tl.constexpr,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = row < num_rows
    _, value, _, _ = _normalised(x, weight, bias, mean, var, row, here, column, EPS, WIDTH)
    if RELU:
        value = tl.where(value <= 0, 0.0, value)  # in this order a NaN stays one
    if DROPOUT > 0:
        value = _drop(value, seed, row, column, DROPOUT, LIMIT)
    if residual is not None:
        value += gather(residual, row, here, column, WIDTH, 0.0).to(value.dtype)
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    mask = here[:, None] & (column < WIDTH)[None, :]
    tl.store(out + place, value.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _arriving(
    grad: tl.tensor,
    seed: tl.tensor,
    value: tl.tensor,
    row: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The gradient of the value before ReLU and dropout."""
    arrives = gather(grad, row, here, column, WIDTH, 0.0).to(value.dtype)
    if RELU:
        arrives = tl.where(value <= 0, 0.0, arrives)
    if DROPOUT > 0:
        arrives = _drop(arrives, seed, row, column, DROPOUT, LIMIT)
    return arrives


@triton.jit
def _sums(
    grad: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    seed: tl.tensor,
    sums: tl.tensor,
    num_rows: tl.tensor,
    EPS: tl.constexpr,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """One chunk's column sums of the arriving gradient, and of that times x - mean."""
    chunk, num_chunks = tl.program_id(0), tl.num_programs(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    plain = tl.zeros([ROWS, COLUMNS], sums.dtype.element_ty)
    times_x = tl.zeros([ROWS, COLUMNS], sums.dtype.element_ty)
    end = _chunk_start(chunk + 1, num_chunks, num_rows)
    for first in range(_chunk_start(chunk, num_chunks, num_rows), end, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < end
        apart, value, _, _ = _normalised(x, weight, bias, mean, var, row, here, column, EPS, WIDTH)
        arrives = _arriving(grad, seed, value, row, here, column, RELU, DROPOUT, LIMIT, WIDTH)
        plain += arrives
        times_x += arrives * apart
    place = chunk * WIDTH + column
    tl.store(sums + place, tl.sum(plain, 0), mask=column < WIDTH)
    tl.store(sums + num_chunks * WIDTH + place, tl.sum(times_x, 0), mask=column < WIDTH)


@triton.jit
def _grad_x(
    grad: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    seed: tl.tensor,
    total: tl.tensor,
    grad_x: tl.tensor,
    grad_weight: tl.tensor,
    grad_bias: tl.tensor,
    num_rows: tl.tensor,
    TRAINING: tl.constexpr,
    EPS: tl.constexpr,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here, inside = row < num_rows, column < WIDTH
    apart, value, scale, inverse = _normalised(
        x, weight, bias, mean, var, row, here, column, EPS, WIDTH
    )
    plain = tl.load(total + column, mask=inside, other=0.0)
    times_x = tl.load(total + WIDTH + column, mask=inside, other=0.0)
    if tl.program_id(0) == 0:
        tl.store(grad_weight + column, times_x * inverse, mask=inside)
        tl.store(grad_bias + column, plain, mask=inside)
    arrives = _arriving(grad, seed, value, row, here, column, RELU, DROPOUT, LIMIT, WIDTH)
    if TRAINING:
        over = num_rows.to(value.dtype)
        slope = times_x / over * inverse * inverse
        arrives -= (plain / over)[None, :] + slope[None, :] * apart
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    mask = here[:, None] & inside[None, :]
    tl.store(grad_x + place, (scale[None, :] * arrives).to(grad_x.dtype.element_ty), mask=mask)
