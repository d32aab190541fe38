"""CUDA: two walks over chunks of rows in each direction, or one for few rows; no launch besides.

The first walk leaves each chunk's sums, forward by moments.py; in the second every program brings
these together for its own columns, and the first chunk's programs write what is one for each
column: the statistics, running ones included, and the gradients of weight and bias.

Up to FEW rows a program holds 8 whole columns in registers (32 numbers for each of 512 threads, 32
bytes of a row, which is what memory gives at once), up to twice as many 4: it needs no other's
sums, reads x once, and a batch of 32 molecules, or of their patches, is one launch in each
direction.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.draws import dropped, row_key
from gbench.kernels.cuda.moments import (
    added,
    chunk_grid,
    chunk_start,
    merged,
    moments_of,
    tile_sizes,
    valid_rows,
)
from gbench.kernels.cuda.rows import cdiv, gather, kernel, launch

FEW = 2048  # rows, of 8 columns


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
    given = None if training else (mean, var)
    options = (residual, seed, rows, before, eps, relu, dropout)
    return _forward(x, weight, bias, given, None, 0.0, *options)


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
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The forward in training, which moves the running statistics too."""
    running = (mean, var, steps)
    options = (residual, seed, rows, before, eps, relu, dropout)
    return _forward(x, weight, bias, None, running, momentum, *options)


def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    given: tuple[Tensor, Tensor] | None,
    running: tuple[Tensor, Tensor, Tensor | None] | None,
    momentum: float,
    residual: Tensor | None,
    seed: Tensor | None,
    rows: Tensor | None,
    before: Tensor | None,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised by the `given` mean and variance, or by the batch's; these move `running`."""
    x, residual = x.contiguous(), None if residual is None else residual.contiguous()
    out = x.new_empty(x.shape)
    mean, var = weight.new_empty(weight.shape), weight.new_empty(weight.shape)
    if not x.numel():
        return (out, mean, var) if given is None else (out, given[0].clone(), given[1].clone())
    if given is None and _is_few(x):
        sizes = _few(x, _options(x, eps, relu, dropout))
        launch(
            _few_values,
            (cdiv(x.size(1), sizes["COLUMNS"]),),
            x,
            weight.contiguous(),
            bias.contiguous(),
            *(running or (None, None, None)),
            residual,
            seed,
            rows,
            before,
            out,
            mean,
            var,
            x.size(0),
            MOMENTUM=momentum,
            **sizes,
        )
        return out, mean, var
    launch(
        _values,
        chunk_grid(x),
        x,
        weight.contiguous(),
        bias.contiguous(),
        moments_of(x, rows) if given is None else None,
        *(given or (None, None)),
        *(running or (None, None, None)),
        residual,
        seed,
        rows,
        before,
        out,
        mean,
        var,
        x.size(0),
        MOMENTUM=momentum,
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
    grad, x = grad.contiguous(), x.contiguous()
    weight, bias = weight.contiguous(), bias.contiguous()
    grad_x = x.new_empty(x.shape)
    grad_residual = x.new_empty(x.shape if needs_residual else 0)
    if not x.numel():
        of_before = weight.new_zeros(0 if before is None else before.shape)
        nothing = (weight.new_zeros(weight.shape), bias.new_zeros(bias.shape))
        return grad_x, *nothing, grad_residual, of_before
    grad_before = weight.new_empty(0 if before is None else weight.size(0))
    grad_weight, grad_bias = weight.new_empty(weight.shape), bias.new_empty(bias.shape)
    options = _options(x, eps, relu, dropout)
    given = (grad, x, weight, bias, mean, var, seed, rows)
    results = (
        *(grad_x, grad_residual if needs_residual else None, grad_weight, grad_bias),
        None if before is None else grad_before,
    )
    if _is_few(x):
        sizes = {"TRAINING": training, **_few(x, options)}
        grid = (cdiv(x.size(1), sizes["COLUMNS"]),)
        launch(_few_gradients, grid, *given, *results, x.size(0), **sizes)
        return grad_x, grad_weight, grad_bias, grad_residual, grad_before
    chunks, blocks = chunk_grid(x)
    sums = weight.new_empty(2, chunks, x.size(1))
    launch(_sums, (chunks, blocks), *given, sums, x.size(0), **options)
    sizes = {"TRAINING": training, **options}
    launch(_gradients, (chunks, blocks), *given, sums, *results, x.size(0), **sizes)
    return grad_x, grad_weight, grad_bias, grad_residual, grad_before


def _options(x: Tensor, eps: float, relu: bool, dropout: float) -> dict[str, Any]:
    limit = int(dropout * 2**32)
    return {"EPS": eps, "RELU": relu, "DROPOUT": dropout, "LIMIT": limit, **tile_sizes(x)}


def _is_few(x: Tensor) -> bool:
    """Whether whole columns fit in registers; of 64 bits they would not.

    4 columns of 16 bits would be a quarter of what memory gives at once.
    """
    if x.dtype is torch.float64:
        return False
    return x.size(0) <= (2 * FEW if x.dtype is torch.float32 else FEW)


def _few(x: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    columns = 8 if x.size(0) <= FEW else 4
    return {**options, "ROWS": FEW * 8 // columns, "COLUMNS": columns, "num_warps": 16}


@triton.jit
def _normalised(
    x: tl.tensor,
    mean: tl.tensor,
    scale: tl.tensor,
    bias: tl.tensor,
    row: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The features minus the mean, and the value before ReLU."""
    apart = gather(x, row, here, column, WIDTH, 0.0).to(mean.dtype) - mean[None, :]
    return apart, apart * scale[None, :] + bias[None, :]


@triton.jit
def _acted(
    value: tl.tensor,
    residual: tl.tensor,
    seed: tl.tensor,
    row: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """What follows the norm; 0 in rows that do not count."""
    if RELU:
        value = tl.where(value <= 0, 0.0, value)  # in this order a NaN stays one
    if DROPOUT > 0:
        key = row_key(tl.load(seed), row)[:, None]
        value = dropped(value, key, column[None, :], DROPOUT, LIMIT)
    if residual is not None:
        value += gather(residual, row, here, column, WIDTH, 0.0).to(value.dtype)
    return tl.where(here[:, None], value, 0.0)


@triton.jit
def _move(
    running_mean: tl.tensor,
    running_var: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    before: tl.tensor,
    valid: tl.tensor,
    column: tl.tensor,
    inside: tl.tensor,
    MOMENTUM: tl.constexpr,
) -> None:
    """Move the running statistics towards the batch's, of variances that of the population."""
    over = valid.to(var.dtype)
    if before is not None:
        mean += tl.load(before + column, mask=inside, other=0.0)
    old = tl.load(running_mean + column, mask=inside, other=0.0)
    tl.store(running_mean + column, old + MOMENTUM * (mean - old), mask=inside)
    old = tl.load(running_var + column, mask=inside, other=0.0)
    moved = old + MOMENTUM * (var * (over / tl.maximum(over - 1, 1)) - old)
    tl.store(running_var + column, moved, mask=inside)


@kernel
def _few_values(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    running_mean: tl.tensor,
    running_var: tl.tensor,
    steps: tl.tensor,
    residual: tl.tensor,
    seed: tl.tensor,
    rows: tl.tensor,
    before: tl.tensor,
    out: tl.tensor,
    mean_out: tl.tensor,
    var_out: tl.tensor,
    num_rows: tl.tensor,
    MOMENTUM: tl.constexpr,
    EPS: tl.constexpr,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row, inside = tl.arange(0, ROWS), column < WIDTH
    valid = valid_rows(rows, num_rows)
    here = row < valid
    factor = tl.load(weight + column, mask=inside, other=0.0)
    over = valid.to(factor.dtype)
    apart = gather(x, row, here, column, WIDTH, 0.0).to(factor.dtype)
    mean = tl.sum(apart, 0) / over
    apart = tl.where(here[:, None], apart - mean[None, :], 0.0)
    rest = tl.sum(apart, 0) / over  # what rounding left of the mean
    var = tl.sum(apart * apart, 0) / over - rest * rest
    var = tl.where(var < 0, 0.0, var)
    tl.store(mean_out + column, mean + rest, mask=inside)
    tl.store(var_out + column, var, mask=inside)
    if running_mean is not None:
        mean += rest
        _move(running_mean, running_var, mean, var, before, valid, column, inside, MOMENTUM)
        if steps is not None and tl.program_id(0) == 0:
            tl.store(steps, tl.load(steps) + 1)
    scale = factor / tl.sqrt(var + EPS)
    shift = tl.load(bias + column, mask=inside, other=0.0) - rest * scale
    value = apart * scale[None, :] + shift[None, :]
    value = _acted(value, residual, seed, row, here, column, RELU, DROPOUT, LIMIT, WIDTH)
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    mask = (row < num_rows)[:, None] & inside[None, :]
    tl.store(out + place, value.to(out.dtype.element_ty), mask=mask)


@kernel
def _values(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    moments: tl.tensor,
    given_mean: tl.tensor,
    given_var: tl.tensor,
    running_mean: tl.tensor,
    running_var: tl.tensor,
    steps: tl.tensor,
    residual: tl.tensor,
    seed: tl.tensor,
    rows: tl.tensor,
    before: tl.tensor,
    out: tl.tensor,
    mean_out: tl.tensor,
    var_out: tl.tensor,
    num_rows: tl.tensor,
    MOMENTUM: tl.constexpr,
    EPS: tl.constexpr,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    chunk, num_chunks = tl.program_id(0), tl.num_programs(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < WIDTH
    valid = valid_rows(rows, num_rows)
    if moments is None:
        mean = tl.load(given_mean + column, mask=inside, other=0.0)
        var = tl.load(given_var + column, mask=inside, other=1.0)
        if before is not None:
            mean -= tl.load(before + column, mask=inside, other=0.0)
    else:
        mean, var = merged(moments, num_chunks, num_rows, valid, column, WIDTH, ROWS)
    if chunk == 0:
        tl.store(mean_out + column, mean, mask=inside)
        tl.store(var_out + column, var, mask=inside)
        if running_mean is not None:
            _move(running_mean, running_var, mean, var, before, valid, column, inside, MOMENTUM)
            if steps is not None and tl.program_id(1) == 0:
                tl.store(steps, tl.load(steps) + 1)
    scale = tl.load(weight + column, mask=inside, other=0.0) / tl.sqrt(var + EPS)
    shift = tl.load(bias + column, mask=inside, other=0.0)
    end = chunk_start(chunk + 1, num_chunks, num_rows)
    for first in range(chunk_start(chunk, num_chunks, num_rows), end, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < tl.minimum(end, valid)
        _, value = _normalised(x, mean, scale, shift, row, here, column, WIDTH)
        value = _acted(value, residual, seed, row, here, column, RELU, DROPOUT, LIMIT, WIDTH)
        place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
        mask = (row < end)[:, None] & inside[None, :]
        tl.store(out + place, value.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _arriving(
    grad: tl.tensor,
    seed: tl.tensor,
    value: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    RELU: tl.constexpr,
    DROPOUT: tl.constexpr,
    LIMIT: tl.constexpr,
) -> tl.tensor:
    """The gradient of the value before ReLU and dropout, from that of the output."""
    arrives = grad.to(value.dtype)
    if RELU:
        arrives = tl.where(value <= 0, 0.0, arrives)
    if DROPOUT > 0:
        key = row_key(tl.load(seed), row)[:, None]
        arrives = dropped(arrives, key, column[None, :], DROPOUT, LIMIT)
    return arrives


@triton.jit
def _put_before(
    grad_before: tl.tensor,
    slope: tl.tensor,
    column: tl.tensor,
    inside: tl.tensor,
    TRAINING: tl.constexpr,
) -> None:
    """The gradient of what is added before the norm: the batch's mean takes it away again."""
    if TRAINING:
        slope = tl.zeros_like(slope)
    tl.store(grad_before + column, slope, mask=inside)


@kernel
def _sums(
    grad: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    seed: tl.tensor,
    rows: tl.tensor,
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
    inside = column < WIDTH
    centre = tl.load(mean + column, mask=inside, other=0.0)
    inverse = 1.0 / tl.sqrt(tl.load(var + column, mask=inside, other=1.0) + EPS)
    scale = tl.load(weight + column, mask=inside, other=0.0) * inverse
    shift = tl.load(bias + column, mask=inside, other=0.0)
    plain = tl.zeros([ROWS, COLUMNS], sums.dtype.element_ty)
    times_x = tl.zeros([ROWS, COLUMNS], sums.dtype.element_ty)
    end = chunk_start(chunk + 1, num_chunks, num_rows)
    end = tl.minimum(end, valid_rows(rows, num_rows))
    for first in range(chunk_start(chunk, num_chunks, num_rows), end, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < end
        apart, value = _normalised(x, centre, scale, shift, row, here, column, WIDTH)
        given = gather(grad, row, here, column, WIDTH, 0.0)
        arrives = _arriving(given, seed, value, row, column, RELU, DROPOUT, LIMIT)
        plain += arrives
        times_x += arrives * apart
    place = chunk * WIDTH + column
    tl.store(sums + place, tl.sum(plain, 0), mask=inside)
    tl.store(sums + num_chunks * WIDTH + place, tl.sum(times_x, 0), mask=inside)


@kernel
def _gradients(
    grad: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    seed: tl.tensor,
    rows: tl.tensor,
    sums: tl.tensor,
    grad_x: tl.tensor,
    grad_residual: tl.tensor,
    grad_weight: tl.tensor,
    grad_bias: tl.tensor,
    grad_before: tl.tensor,
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
    chunk, num_chunks = tl.program_id(0), tl.num_programs(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < WIDTH
    centre = tl.load(mean + column, mask=inside, other=0.0)
    inverse = 1.0 / tl.sqrt(tl.load(var + column, mask=inside, other=1.0) + EPS)
    scale = tl.load(weight + column, mask=inside, other=0.0) * inverse
    shift = tl.load(bias + column, mask=inside, other=0.0)
    plain = tl.zeros([COLUMNS], scale.dtype)
    times_x = tl.zeros([COLUMNS], scale.dtype)
    if TRAINING or chunk == 0:
        plain = added(sums, 0, num_chunks, column, WIDTH, ROWS)
        times_x = added(sums, num_chunks, num_chunks, column, WIDTH, ROWS)
    if chunk == 0:
        tl.store(grad_weight + column, times_x * inverse, mask=inside)
        tl.store(grad_bias + column, plain, mask=inside)
        if grad_before is not None:
            _put_before(grad_before, scale * plain, column, inside, TRAINING)
    valid = valid_rows(rows, num_rows)
    over = valid.to(scale.dtype)
    slope = times_x / over * inverse * inverse
    end = chunk_start(chunk + 1, num_chunks, num_rows)
    for first in range(chunk_start(chunk, num_chunks, num_rows), end, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < tl.minimum(end, valid)
        place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
        mask = (row < end)[:, None] & inside[None, :]
        apart, value = _normalised(x, centre, scale, shift, row, here, column, WIDTH)
        given = gather(grad, row, here, column, WIDTH, 0.0)
        if grad_residual is not None:
            tl.store(grad_residual + place, given, mask=mask)
        arrives = _arriving(given, seed, value, row, column, RELU, DROPOUT, LIMIT)
        if TRAINING:
            arrives -= (plain / over)[None, :] + slope[None, :] * apart
        arrives = tl.where(here[:, None], scale[None, :] * arrives, 0.0)
        tl.store(grad_x + place, arrives.to(grad_x.dtype.element_ty), mask=mask)


@kernel
def _few_gradients(
    grad: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    seed: tl.tensor,
    rows: tl.tensor,
    grad_x: tl.tensor,
    grad_residual: tl.tensor,
    grad_weight: tl.tensor,
    grad_bias: tl.tensor,
    grad_before: tl.tensor,
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
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row, inside = tl.arange(0, ROWS), column < WIDTH
    valid = valid_rows(rows, num_rows)
    here = row < valid
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    mask = (row < num_rows)[:, None] & inside[None, :]
    centre = tl.load(mean + column, mask=inside, other=0.0)
    inverse = 1.0 / tl.sqrt(tl.load(var + column, mask=inside, other=1.0) + EPS)
    scale = tl.load(weight + column, mask=inside, other=0.0) * inverse
    shift = tl.load(bias + column, mask=inside, other=0.0)
    apart, value = _normalised(x, centre, scale, shift, row, here, column, WIDTH)
    given = gather(grad, row, here, column, WIDTH, 0.0)
    if grad_residual is not None:
        tl.store(grad_residual + place, given, mask=mask)
    arrives = _arriving(given, seed, value, row, column, RELU, DROPOUT, LIMIT)
    plain = tl.sum(arrives, 0)
    times_x = tl.sum(tl.where(here[:, None], arrives * apart, 0.0), 0)
    tl.store(grad_weight + column, times_x * inverse, mask=inside)
    tl.store(grad_bias + column, plain, mask=inside)
    if grad_before is not None:
        _put_before(grad_before, scale * plain, column, inside, TRAINING)
    if TRAINING:
        over = valid.to(scale.dtype)
        slope = times_x / over * inverse * inverse
        arrives -= (plain / over)[None, :] + slope[None, :] * apart
    arrives = tl.where(here[:, None], scale[None, :] * arrives, 0.0)
    tl.store(grad_x + place, arrives.to(grad_x.dtype.element_ty), mask=mask)
