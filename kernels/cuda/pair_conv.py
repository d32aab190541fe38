"""CUDA: a program walks the pairs of one receiver forward, those of one sender backward.

Backward it writes the gradient of each pair that it reads, so that ψ is read once. Nothing waits
for others and no sum is in two programs.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.draws import dropped, row_key
from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2

ELEMENTS = 1024  # of a tile of pairs: more would take more than 80 registers


def pair_conv(
    ptr: Tensor,
    start: Tensor,
    node_ptr: Tensor,
    psi: Tensor,
    x: Tensor,
    seed: Tensor | None,
    mean: bool,
    rate: float,
) -> Tensor:
    """The forward of gbench/kernels/pair_conv.py."""
    out = x.new_empty(x.shape)
    given = (ptr, start, psi.contiguous(), x.contiguous(), seed, out)
    _launch(_forward, given, psi.size(1), x, mean, rate)
    return out


def pair_conv_backward(
    grad: Tensor,
    ptr: Tensor,
    start: Tensor,
    node_ptr: Tensor,
    psi: Tensor,
    x: Tensor,
    seed: Tensor | None,
    mean: bool,
    rate: float,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/pair_conv.py."""
    grad_psi, grad_x = psi.new_empty(psi.shape), x.new_empty(x.shape)
    given = (ptr, start, psi.contiguous(), x.contiguous(), seed, grad.contiguous())
    _launch(_backward, (*given, grad_psi, grad_x), psi.size(1), x, mean, rate)
    return grad_psi, grad_x


def _launch(
    function: object, given: tuple[object, ...], heads: int, x: Tensor, mean: bool, rate: float
) -> None:
    """A program for each node and each head, or for each so many features that have their own ψ."""
    if not x.numel():
        return
    num_nodes, width = x.shape
    size = width // heads
    columns = min(128, power_of_2(width if size == 1 else size))
    blocks = cdiv(width, columns) if size == 1 else heads
    if size > 128:
        columns = power_of_2(size)
    launch(
        function,
        (num_nodes, blocks),
        *given,
        MEAN=mean,
        RATE=rate,
        LIMIT=int(rate * 2**32),
        HEADS=heads,
        WIDTH=width,
        ROWS=max(1, min(32, ELEMENTS // columns)),
        COLUMNS=columns,
        num_warps=4,
    )


@triton.jit
def _weight(
    psi: tl.tensor,
    pair: tl.tensor,
    here: tl.tensor,
    head: tl.tensor,
    inside: tl.tensor,
    seed: tl.tensor,
    like: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
) -> tl.tensor:
    """drop(ψ) of the pairs, 0 where there are none."""
    mask = here[:, None] & inside[None, :]
    value = tl.load(psi + pair[:, None] * HEADS + head[None, :], mask=mask, other=0.0).to(
        like.dtype
    )
    if RATE > 0:
        key = row_key(tl.load(seed), pair)
        value = dropped(value, key[:, None], head[None, :], RATE, LIMIT)
    return value


@kernel
def _forward(
    ptr: tl.tensor,
    start: tl.tensor,
    psi: tl.tensor,
    x: tl.tensor,
    seed: tl.tensor,
    out: tl.tensor,
    MEAN: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    receiver = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, COLUMNS)
    if WIDTH == HEADS:
        column = tl.program_id(1) * COLUMNS + lane
        inside = column < WIDTH
        head = column
        counts = inside
    else:
        SIZE: tl.constexpr = WIDTH // HEADS
        column = tl.program_id(1) * SIZE + lane
        inside = lane < SIZE
        head = tl.program_id(1) + tl.arange(0, 1)
        counts = head < HEADS
    begin = tl.load(ptr + receiver).to(tl.int64)
    length = (tl.load(ptr + receiver + 1) - begin).to(tl.int32)
    first = tl.load(start + receiver).to(tl.int64)
    total = tl.zeros([ROWS, COLUMNS], wide)
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        here = k < length
        weight = _weight(psi, begin + k, here, head, counts, seed, total, RATE, LIMIT, HEADS)
        place = (first + k)[:, None] * WIDTH + column[None, :]
        value = tl.load(x + place, mask=here[:, None] & inside[None, :], other=0.0).to(wide)
        total += weight * value
    sums = tl.sum(total, 0)
    if MEAN:
        sums /= length.to(wide)
    tl.store(out + receiver * WIDTH + column, sums.to(out.dtype.element_ty), mask=inside)


@kernel
def _backward(
    ptr: tl.tensor,
    start: tl.tensor,
    psi: tl.tensor,
    x: tl.tensor,
    seed: tl.tensor,
    grad: tl.tensor,
    grad_psi: tl.tensor,
    grad_x: tl.tensor,
    MEAN: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    sender = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, COLUMNS)
    if WIDTH == HEADS:
        column = tl.program_id(1) * COLUMNS + lane
        inside = column < WIDTH
        head = column
        counts = inside
    else:
        SIZE: tl.constexpr = WIDTH // HEADS
        column = tl.program_id(1) * SIZE + lane
        inside = lane < SIZE
        head = tl.program_id(1) + tl.arange(0, 1)
        counts = head < HEADS
    length = tl.load(ptr + sender + 1) - tl.load(ptr + sender)
    first = tl.load(start + sender).to(tl.int64)
    begin = tl.load(ptr + first).to(tl.int64) + sender - first
    own = tl.load(x + sender * WIDTH + column, mask=inside, other=0.0).to(wide)
    total = tl.zeros([ROWS, COLUMNS], wide)
    for step in range(0, length, ROWS):
        k = step + tl.arange(0, ROWS)
        here = k < length
        pair = begin + k.to(tl.int64) * length
        place = (first + k)[:, None] * WIDTH + column[None, :]
        told = tl.load(grad + place, mask=here[:, None] & inside[None, :], other=0.0).to(wide)
        if MEAN:
            told /= length.to(wide)
        total += _weight(psi, pair, here, head, counts, seed, total, RATE, LIMIT, HEADS) * told
        back = told * own[None, :]
        if WIDTH != HEADS:
            back = tl.sum(back, 1)[:, None]
        if RATE > 0:
            key = row_key(tl.load(seed), pair)
            back = dropped(back, key[:, None], head[None, :], RATE, LIMIT)
        target = grad_psi + pair[:, None] * HEADS + head[None, :]
        tl.store(target, back.to(grad_psi.dtype.element_ty), mask=here[:, None] & counts[None, :])
    sums = tl.sum(total, 0)
    tl.store(grad_x + sender * WIDTH + column, sums.to(grad_x.dtype.element_ty), mask=inside)
