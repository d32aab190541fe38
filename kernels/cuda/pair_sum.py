"""CUDA: a program walks the pairs of one receiver, of one head."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import kernel, launch, power_of_2

ELEMENTS = 1024  # of a tile of pairs


def pair_sum(ptr: Tensor, weight: Tensor, e: Tensor) -> Tensor:
    """The forward of gbench/kernels/pair_sum.py."""
    out = e.new_empty(ptr.numel() - 1, e.size(1))
    _launch(_forward, (ptr, weight.contiguous(), e.contiguous(), out), weight, out)
    return out


def pair_sum_backward(
    grad: Tensor, ptr: Tensor, weight: Tensor, e: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/pair_sum.py."""
    grad_weight, grad_e = weight.new_empty(weight.shape), e.new_empty(e.shape)
    given = (ptr, weight.contiguous(), e.contiguous(), grad.contiguous(), grad_weight, grad_e)
    _launch(_backward, given, weight, grad)
    return grad_weight, grad_e


def _launch(function: object, given: tuple[Tensor, ...], weight: Tensor, out: Tensor) -> None:
    """A program for each node and head."""
    if not out.numel():
        return
    heads = weight.size(1)
    size = out.size(1) // heads
    columns = power_of_2(size)
    launch(
        function,
        (out.size(0), heads),
        *given,
        HEADS=heads,
        SIZE=size,
        ROWS=max(1, min(64, ELEMENTS // columns)),
        COLUMNS=columns,
        num_warps=4,
    )


@kernel
def _forward(
    ptr: tl.tensor,
    weight: tl.tensor,
    e: tl.tensor,
    out: tl.tensor,
    HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if e.dtype.element_ty == tl.float64 else tl.float32
    receiver, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane = tl.arange(0, COLUMNS)
    inside, column = lane < SIZE, head * SIZE + lane
    begin = tl.load(ptr + receiver).to(tl.int64)
    length = (tl.load(ptr + receiver + 1) - begin).to(tl.int32)
    total = tl.zeros([ROWS, COLUMNS], wide)
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        here, pair = k < length, begin + k
        own = tl.load(weight + pair * HEADS + head, mask=here, other=0.0).to(wide)
        place = pair[:, None] * (HEADS * SIZE) + column[None, :]
        mask = here[:, None] & inside[None, :]
        total += own[:, None] * tl.load(e + place, mask=mask, other=0.0).to(wide)
    sums = tl.sum(total, 0).to(out.dtype.element_ty)
    tl.store(out + receiver * (HEADS * SIZE) + column, sums, mask=inside)


@kernel
def _backward(
    ptr: tl.tensor,
    weight: tl.tensor,
    e: tl.tensor,
    grad: tl.tensor,
    grad_weight: tl.tensor,
    grad_e: tl.tensor,
    HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if e.dtype.element_ty == tl.float64 else tl.float32
    receiver, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane = tl.arange(0, COLUMNS)
    inside, column = lane < SIZE, head * SIZE + lane
    begin = tl.load(ptr + receiver).to(tl.int64)
    length = (tl.load(ptr + receiver + 1) - begin).to(tl.int32)
    target = receiver * (HEADS * SIZE) + column
    told = tl.load(grad + target, mask=inside, other=0.0).to(wide)
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        here, pair = k < length, begin + k
        own = tl.load(weight + pair * HEADS + head, mask=here, other=0.0).to(wide)
        place = pair[:, None] * (HEADS * SIZE) + column[None, :]
        mask = here[:, None] & inside[None, :]
        value = tl.load(e + place, mask=mask, other=0.0).to(wide)
        back = (own[:, None] * told[None, :]).to(grad_e.dtype.element_ty)
        tl.store(grad_e + place, back, mask=mask)
        total = tl.sum(value * told[None, :], 1).to(grad_weight.dtype.element_ty)
        tl.store(grad_weight + pair * HEADS + head, total, mask=here)
