"""CUDA: one walk over the elements in each direction."""

from __future__ import annotations

from typing import Any

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.draws import dropped, row_key
from gbench.kernels.cuda.numerics import expm1
from gbench.kernels.cuda.rows import kernel, launch
from gbench.kernels.dropout import KEY_SPAN

SIZE = 1024  # elements of a program, two loads of 128 bits for each thread


def act_dropout(
    x: Tensor, bias: Tensor | None, seed: Tensor | None, act: str, rate: float
) -> Tensor:
    """The forward of gbench/kernels/act_dropout.py."""
    x = x.contiguous()
    out = x.new_empty(x.shape)
    bias = None if bias is None else bias.contiguous()
    if x.numel():
        grid = (-(-x.numel() // SIZE),)
        options = {**_options(seed, act, rate), "WIDTH": x.size(-1)}
        launch(_forward, grid, x, bias, seed, out, x.numel(), **options)
    return out


def act_dropout_backward(
    grad: Tensor, out: Tensor, seed: Tensor | None, act: str, rate: float
) -> Tensor:
    """The gradient of gbench/kernels/act_dropout.py."""
    grad, out = grad.contiguous(), out.contiguous()
    grad_x = grad.new_empty(grad.shape)
    if grad.numel():
        grid = (-(-grad.numel() // SIZE),)
        options = _options(seed, act, rate)
        launch(_backward, grid, grad, out, seed, grad_x, grad.numel(), **options)
    return grad_x


def _options(seed: Tensor | None, act: str, rate: float) -> dict[str, Any]:
    rate = 0.0 if seed is None else rate
    limit = int(rate * 2**32)
    return {"ACT": act, "RATE": rate, "LIMIT": limit, "SPAN": KEY_SPAN, "SIZE": SIZE}


@kernel
def _forward(
    x: tl.tensor,
    bias: tl.tensor,
    seed: tl.tensor,
    out: tl.tensor,
    count: tl.tensor,
    ACT: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SIZE: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    start = tl.program_id(0).to(tl.int64) * SIZE
    inside = tl.arange(0, SIZE)
    here = start + inside < count
    value = tl.load(x + start + inside, mask=here, other=0.0)
    value = value.to(tl.float32) if value.dtype == tl.bfloat16 else value
    if bias is not None:
        column = (start % WIDTH).to(tl.int32) + inside
        value += tl.load(bias + column % WIDTH).to(value.dtype)
    if ACT == "relu":
        value = tl.where(value <= 0, 0.0, value)  # in this order a NaN stays one
    if ACT == "elu":
        value = tl.where(value <= 0, expm1(tl.where(value <= 0, value, 0.0)), value)
    if seed is not None:
        key = row_key(tl.load(seed), start // SPAN)
        value = dropped(value, key, (start % SPAN).to(tl.int32) + inside, RATE, LIMIT)
    tl.store(out + start + inside, value.to(out.dtype.element_ty), mask=here)


@kernel
def _backward(
    grad: tl.tensor,
    out: tl.tensor,
    seed: tl.tensor,
    grad_x: tl.tensor,
    count: tl.tensor,
    ACT: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SIZE: tl.constexpr,
) -> None:
    start = tl.program_id(0).to(tl.int64) * SIZE
    inside = tl.arange(0, SIZE)
    here = start + inside < count
    value = tl.load(grad + start + inside, mask=here, other=0.0)
    value = value.to(tl.float32) if value.dtype == tl.bfloat16 else value
    if seed is not None:
        key = row_key(tl.load(seed), start // SPAN)
        value = dropped(value, key, (start % SPAN).to(tl.int32) + inside, RATE, LIMIT)
    if ACT != "none":
        answer = tl.load(out + start + inside, mask=here, other=1.0).to(value.dtype)
        if ACT == "relu":
            value = tl.where(answer <= 0, 0.0, value)
        else:
            left = tl.full([], 1.0 - RATE, value.dtype)
            value = tl.where(answer <= 0, value * (answer * left + 1.0), value)
    tl.store(grad_x + start + inside, value.to(grad_x.dtype.element_ty), mask=here)
