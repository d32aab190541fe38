"""CUDA: two walks over tiles of rows forward and two backward; the statistics are in moments.py."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.moments import ROWS, chunk_grid, chunk_start, column_moments, tile_sizes
from gbench.kernels.cuda.rows import cdiv, gather, kernel, launch


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
    if training:
        column_moments(x, mean, var)
    blocks = chunk_grid(x)[1]
    launch(
        _values,
        (cdiv(x.size(0), ROWS), blocks),
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
    chunks, blocks = chunk_grid(x)
    options = _options(x, eps, relu, dropout)
    given = (grad, x, weight, bias, mean, var, seed)
    sums = weight.new_empty(2, chunks, x.size(1))
    launch(_sums, (chunks, blocks), *given, sums, x.size(0), **options)
    results = (sums.sum(1), grad_x, grad_weight, grad_bias)
    grid = (cdiv(x.size(0), ROWS), blocks)
    launch(_grad_x, grid, *given, *results, x.size(0), TRAINING=training, **options)
    return grad_x, grad_weight, grad_bias


def _options(x: Tensor, eps: float, relu: bool, dropout: float) -> dict[str, Any]:
    limit = int(dropout * 2**32)
    return {"EPS": eps, "RELU": relu, "DROPOUT": dropout, "LIMIT": limit, **tile_sizes(x)}


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


@kernel
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


@kernel
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
    end = chunk_start(chunk + 1, num_chunks, num_rows)
    for first in range(chunk_start(chunk, num_chunks, num_rows), end, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < end
        apart, value, _, _ = _normalised(x, weight, bias, mean, var, row, here, column, EPS, WIDTH)
        arrives = _arriving(grad, seed, value, row, here, column, RELU, DROPOUT, LIMIT, WIDTH)
        plain += arrives
        times_x += arrives * apart
    place = chunk * WIDTH + column
    tl.store(sums + place, tl.sum(plain, 0), mask=column < WIDTH)
    tl.store(sums + num_chunks * WIDTH + place, tl.sum(times_x, 0), mask=column < WIDTH)


@kernel
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
