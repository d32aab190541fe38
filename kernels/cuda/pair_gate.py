"""CUDA: a program walks the pairs of one receiver; backward another those of one sender.

The second computes again what the first did, which reads e twice: no sum is in two programs.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2

ELEMENTS = 1024  # of a tile of pairs


def pair_gate(
    ptr: Tensor, start: Tensor, node_ptr: Tensor, q: Tensor, k: Tensor, e: Tensor
) -> Tensor:
    """The forward of gbench/kernels/pair_gate.py."""
    out = e.new_empty(e.size(0), q.size(1))
    _launch(_forward, (ptr, start, q.contiguous(), k.contiguous(), e.contiguous(), out), q)
    return out


def pair_gate_backward(
    grad: Tensor, ptr: Tensor, start: Tensor, node_ptr: Tensor, q: Tensor, k: Tensor, e: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/pair_gate.py."""
    grad_q, grad_k, grad_e = (value.new_empty(value.shape) for value in (q, k, e))
    given = (ptr, start, q.contiguous(), k.contiguous(), e.contiguous(), grad.contiguous())
    _launch(_of_receiver, (*given, grad_q, grad_e), q)
    _launch(_of_sender, (*given, grad_k), q)
    return grad_q, grad_k, grad_e


def _launch(function: object, given: tuple[Tensor, ...], q: Tensor) -> None:
    """A program for each node and so many features."""
    if not q.numel():
        return
    num_nodes, width = q.shape
    columns = min(64, power_of_2(width))
    grid = (num_nodes, cdiv(width, columns))
    rows = max(1, min(16, ELEMENTS // columns))
    launch(function, grid, *given, WIDTH=width, ROWS=rows, COLUMNS=columns, num_warps=4)


@triton.jit
def _root(t: tl.tensor) -> tl.tensor:
    return tl.sqrt(tl.abs(t))


@triton.jit
def _slope(
    both: tl.tensor, gate: tl.tensor, shift: tl.tensor, grad: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """What comes to b, and to t, of the gradient."""
    t = both * gate
    root = _root(t)
    told = tl.where(tl.where(t < 0, -root, root) + shift <= 0, 0.0, grad)
    return told, tl.where(root == 0, 0.0, told * 0.5 / tl.where(root == 0, 1.0, root))


@kernel
def _forward(
    ptr: tl.tensor,
    start: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    e: tl.tensor,
    out: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if e.dtype.element_ty == tl.float64 else tl.float32
    receiver = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < WIDTH
    begin = tl.load(ptr + receiver).to(tl.int64)
    length = (tl.load(ptr + receiver + 1) - begin).to(tl.int32)
    first = tl.load(start + receiver).to(tl.int64)
    own = tl.load(q + receiver * WIDTH + column, mask=inside, other=0.0).to(wide)
    for step in range(0, length, ROWS):
        row = step + tl.arange(0, ROWS)
        mask = (row < length)[:, None] & inside[None, :]
        place = (first + row)[:, None] * WIDTH + column[None, :]
        both = own[None, :] + tl.load(k + place, mask=mask, other=0.0).to(wide)
        place = (begin + row)[:, None] * (2 * WIDTH) + column[None, :]
        gate = tl.load(e + place, mask=mask, other=0.0).to(wide)
        shift = tl.load(e + place + WIDTH, mask=mask, other=0.0).to(wide)
        t = both * gate
        root = _root(t)
        y = tl.where(t < 0, -root, root) + shift
        y = tl.where(y <= 0, 0.0, y)  # in this order a NaN stays one
        place = (begin + row)[:, None] * WIDTH + column[None, :]
        tl.store(out + place, y.to(out.dtype.element_ty), mask=mask)


@kernel
def _of_receiver(
    ptr: tl.tensor,
    start: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    e: tl.tensor,
    grad: tl.tensor,
    grad_q: tl.tensor,
    grad_e: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if e.dtype.element_ty == tl.float64 else tl.float32
    receiver = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < WIDTH
    begin = tl.load(ptr + receiver).to(tl.int64)
    length = (tl.load(ptr + receiver + 1) - begin).to(tl.int32)
    first = tl.load(start + receiver).to(tl.int64)
    own = tl.load(q + receiver * WIDTH + column, mask=inside, other=0.0).to(wide)
    total = tl.zeros([ROWS, COLUMNS], wide)
    for step in range(0, length, ROWS):
        row = step + tl.arange(0, ROWS)
        mask = (row < length)[:, None] & inside[None, :]
        place = (first + row)[:, None] * WIDTH + column[None, :]
        both = own[None, :] + tl.load(k + place, mask=mask, other=0.0).to(wide)
        place = (begin + row)[:, None] * WIDTH + column[None, :]
        told = tl.load(grad + place, mask=mask, other=0.0).to(wide)
        place = (begin + row)[:, None] * (2 * WIDTH) + column[None, :]
        gate = tl.load(e + place, mask=mask, other=0.0).to(wide)
        shift = tl.load(e + place + WIDTH, mask=mask, other=0.0).to(wide)
        told, slope = _slope(both, gate, shift, told)
        tl.store(grad_e + place, (slope * both).to(grad_e.dtype.element_ty), mask=mask)
        tl.store(grad_e + place + WIDTH, told.to(grad_e.dtype.element_ty), mask=mask)
        total += slope * gate
    sums = tl.sum(total, 0)
    tl.store(grad_q + receiver * WIDTH + column, sums.to(grad_q.dtype.element_ty), mask=inside)


@kernel
def _of_sender(
    ptr: tl.tensor,
    start: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    e: tl.tensor,
    grad: tl.tensor,
    grad_k: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    wide: tl.constexpr = tl.float64 if e.dtype.element_ty == tl.float64 else tl.float32
    sender = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < WIDTH
    length = tl.load(ptr + sender + 1) - tl.load(ptr + sender)
    first = tl.load(start + sender).to(tl.int64)
    begin = tl.load(ptr + first).to(tl.int64) + sender - first
    own = tl.load(k + sender * WIDTH + column, mask=inside, other=0.0).to(wide)
    total = tl.zeros([ROWS, COLUMNS], wide)
    for step in range(0, length, ROWS):
        row = step + tl.arange(0, ROWS)
        mask = (row < length)[:, None] & inside[None, :]
        place = (first + row)[:, None] * WIDTH + column[None, :]
        both = own[None, :] + tl.load(q + place, mask=mask, other=0.0).to(wide)
        pair = (begin + row.to(tl.int64) * length)[:, None]
        told = tl.load(grad + pair * WIDTH + column[None, :], mask=mask, other=0.0).to(wide)
        place = pair * (2 * WIDTH) + column[None, :]
        gate = tl.load(e + place, mask=mask, other=0.0).to(wide)
        shift = tl.load(e + place + WIDTH, mask=mask, other=0.0).to(wide)
        _, slope = _slope(both, gate, shift, told)
        total += slope * gate
    sums = tl.sum(total, 0)
    tl.store(grad_k + sender * WIDTH + column, sums.to(grad_k.dtype.element_ty), mask=inside)
