"""CUDA: tiles of entries forward; walks over rows and columns backward."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.numerics import tanh
from gbench.kernels.cuda.rows import (
    WHOLE,
    add_partials,
    cdiv,
    gather,
    kernel,
    launch,
    portion,
    power_of_2,
    row_of,
    tiling,
)

ELEMENTS = 128  # of one tile


def pair_tanh(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, perm_t: Tensor, longest: int, z: Tensor
) -> Tensor:
    """The forward of gbench/kernels/pair_tanh.py."""
    num_entries, width, num_rows = col.numel(), z.size(1) // 2, z.size(0)
    out = z.new_empty(num_entries, width)
    if out.numel():
        columns = min(ELEMENTS, power_of_2(width))
        launch(
            _forward,
            (cdiv(num_entries, ELEMENTS // columns), cdiv(width, columns)),
            rowptr,
            col,
            z.contiguous(),
            out,
            num_rows,
            num_entries,
            num_rows.bit_length(),
            WIDTH=width,
            ENTRIES=ELEMENTS // columns,
            COLUMNS=columns,
            num_warps=1,
        )
    return out


def pair_tanh_backward(
    grad: Tensor, rowptr: Tensor, rowptr_t: Tensor, perm_t: Tensor, longest: int, out: Tensor
) -> Tensor:
    """The gradient of gbench/kernels/pair_tanh.py."""
    num_rows = rowptr.numel() - 1
    grad_z = grad.new_empty(num_rows, 2 * grad.size(1))
    tiles = tiling(num_rows, num_rows, grad.size(0), longest, grad, heads=2)
    tiles.launch(_backward, rowptr, rowptr_t, perm_t, grad.contiguous(), out.contiguous(), grad_z)
    return grad_z


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    z: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    WIDTH: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    entry = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = entry < num_entries
    row = row_of(rowptr, tl.where(here, entry, 0), num_rows, search_steps).to(tl.int64)
    source = tl.load(col + entry, mask=here, other=0).to(tl.int64)
    mask = here[:, None] & (column < WIDTH)[None, :]
    own = tl.load(z + row[:, None] * (2 * WIDTH) + 2 * column[None, :], mask=mask, other=0.0)
    place = source[:, None] * (2 * WIDTH) + 2 * column[None, :] + 1
    other = tl.load(z + place, mask=mask, other=0.0)
    if z.dtype.element_ty == tl.float64:
        value = own + other
    else:
        value = own.to(tl.float32) + other.to(tl.float32)
    place = entry.to(tl.int64)[:, None] * WIDTH + column[None, :]
    tl.store(out + place, tanh(value).to(out.dtype.element_ty), mask=mask)


@kernel
def _backward(
    rowptr: tl.tensor,
    rowptr_t: tl.tensor,
    perm_t: tl.tensor,
    grad: tl.tensor,
    out: tl.tensor,
    grad_z: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """Side 0 is what nodes said as rows, side 1 what they said as columns."""
    side = tl.program_id(1) % 2
    column = tl.program_id(1) // 2 * COLUMNS + tl.arange(0, COLUMNS)
    if side == 0:
        row, begin, length, target = portion(
            rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
        )
    else:
        row, begin, length, target = portion(
            rowptr_t, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
        )
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL, side, 2)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                turned = tl.load(perm_t + entry, mask=here & (side == 1), other=0)
                entry = tl.where(side == 1, turned, entry)
                y = gather(out, entry, here, column, WIDTH, 0.0).to(total.dtype)
                total += gather(grad, entry, here, column, WIDTH, 0.0).to(total.dtype) * (1 - y * y)
        place = (target.to(tl.int64) * 2 + side)[:, None] * WIDTH + column[None, :]
        tl.store(partial + place, total, (target >= 0)[:, None] & (column < WIDTH)[None, :])
    place = row.to(tl.int64)[:, None] * (2 * WIDTH) + 2 * column[None, :] + side
    mask = (target == WHOLE)[:, None] & (column < WIDTH)[None, :]
    tl.store(grad_z + place, total.to(grad_z.dtype.element_ty), mask=mask)
