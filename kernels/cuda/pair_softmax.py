"""CUDA: a program walks the pairs of one receiver twice, the second time from cache."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2

ELEMENTS = 1024  # of a tile of pairs


def pair_softmax(ptr: Tensor, score: Tensor) -> Tensor:
    """The forward of gbench/kernels/pair_softmax.py."""
    out = score.new_empty(score.shape)
    _launch(_forward, ptr, score.contiguous(), out)
    return out


def pair_softmax_backward(grad: Tensor, ptr: Tensor, out: Tensor) -> Tensor:
    """The gradient of gbench/kernels/pair_softmax.py."""
    grad_score = grad.new_empty(grad.shape)
    _launch(_backward, ptr, grad.contiguous(), out, grad_score)
    return grad_score


def _launch(function: object, ptr: Tensor, *given: Tensor) -> None:
    """A program for each node and so many columns."""
    width = given[0].size(1)
    if not given[0].numel():
        return
    columns = min(64, power_of_2(width))
    grid = (ptr.numel() - 1, cdiv(width, columns))
    rows = max(1, min(32, ELEMENTS // columns))
    launch(function, grid, ptr, *given, WIDTH=width, ROWS=rows, COLUMNS=columns, num_warps=4)


@kernel
def _forward(
    ptr: tl.tensor,
    score: tl.tensor,
    out: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """The largest of a column and the sum below it are found in one walk."""
    wide: tl.constexpr = tl.float64 if score.dtype.element_ty == tl.float64 else tl.float32
    receiver = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (column < WIDTH)[None, :]
    begin = tl.load(ptr + receiver).to(tl.int64)
    length = (tl.load(ptr + receiver + 1) - begin).to(tl.int32)
    top = tl.full([COLUMNS], float("-inf"), wide)
    total = tl.zeros([COLUMNS], wide)
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        mask = (k < length)[:, None] & inside
        place = (begin + k)[:, None] * WIDTH + column[None, :]
        value = tl.load(score + place, mask=mask, other=float("-inf")).to(wide)
        higher = tl.maximum(top, tl.max(value, 0))
        base = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp(top - base) + tl.sum(tl.exp(value - base[None, :]), 0)
        top = higher
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        mask = (k < length)[:, None] & inside
        place = (begin + k)[:, None] * WIDTH + column[None, :]
        value = tl.load(score + place, mask=mask, other=0.0).to(wide)
        share = tl.exp(value - top[None, :]) / total[None, :]
        tl.store(out + place, share.to(out.dtype.element_ty), mask=mask)


@kernel
def _backward(
    ptr: tl.tensor,
    grad: tl.tensor,
    out: tl.tensor,
    grad_score: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if out.dtype.element_ty == tl.float64 else tl.float32
    receiver = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (column < WIDTH)[None, :]
    begin = tl.load(ptr + receiver).to(tl.int64)
    length = (tl.load(ptr + receiver + 1) - begin).to(tl.int32)
    total = tl.zeros([COLUMNS], wide)
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        mask = (k < length)[:, None] & inside
        place = (begin + k)[:, None] * WIDTH + column[None, :]
        told = tl.load(grad + place, mask=mask, other=0.0).to(wide)
        total += tl.sum(told * tl.load(out + place, mask=mask, other=0.0).to(wide), 0)
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        mask = (k < length)[:, None] & inside
        place = (begin + k)[:, None] * WIDTH + column[None, :]
        told = tl.load(grad + place, mask=mask, other=0.0).to(wide)
        own = tl.load(out + place, mask=mask, other=0.0).to(wide) * (told - total[None, :])
        tl.store(grad_score + place, own.to(grad_score.dtype.element_ty), mask=mask)
