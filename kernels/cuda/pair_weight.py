"""CUDA: tiles of entries forward, a walk over rows backward."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import (
    add_partials,
    cdiv,
    kernel,
    launch,
    portion,
    put,
    row_of,
    tiling,
)

ENTRIES = 128


def pair_weight(
    rowptr: Tensor, col: Tensor, reverse: Tensor, longest: int, z: Tensor
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/pair_weight.py, with σ(a_v + b_u)."""
    num_entries, num_rows = col.numel(), z.size(0)
    out, there = z.new_empty(num_entries), z.new_empty(num_entries)
    if num_entries:
        given = (rowptr, col, z.contiguous(), out, there)
        sizes = (num_rows, num_entries, num_rows.bit_length())
        grid = (cdiv(num_entries, ENTRIES),)
        launch(_forward, grid, *given, *sizes, ENTRIES=ENTRIES, num_warps=1)
    return out, there


def pair_weight_backward(
    grad: Tensor, rowptr: Tensor, reverse: Tensor, longest: int, out: Tensor, there: Tensor
) -> Tensor:
    """The gradient of gbench/kernels/pair_weight.py."""
    num_rows = rowptr.numel() - 1
    grad_z = grad.new_empty(num_rows, 2)
    tiles = tiling(num_rows, num_rows, grad.numel(), longest, grad_z)
    tiles.launch(_backward, rowptr, reverse, grad.contiguous(), out, there, grad_z)
    return grad_z


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    z: tl.tensor,
    out: tl.tensor,
    there: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    ENTRIES: tl.constexpr,
) -> None:
    entry = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    here = entry < num_entries
    v = row_of(rowptr, tl.where(here, entry, 0), num_rows, search_steps).to(tl.int64)
    u = tl.load(col + entry, mask=here, other=0).to(tl.int64)
    to = _sigmoid(z + 2 * v, z + 2 * u + 1, here)
    back = _sigmoid(z + 2 * u, z + 2 * v + 1, here)
    tl.store(there + entry, to.to(there.dtype.element_ty), mask=here)
    tl.store(out + entry, (to * back).to(out.dtype.element_ty), mask=here)


@triton.jit
def _sigmoid(one: tl.tensor, other: tl.tensor, here: tl.tensor) -> tl.tensor:
    """σ of the sum of what stands in two places, in at least float32."""
    a, b = tl.load(one, mask=here, other=0.0), tl.load(other, mask=here, other=0.0)
    wide = a.dtype if a.dtype == tl.float64 else tl.float32
    total = a.to(wide) + b.to(wide)
    return 1 / (1 + tl.exp(-total))


@kernel
def _backward(
    rowptr: tl.tensor,
    reverse: tl.tensor,
    grad: tl.tensor,
    out: tl.tensor,
    there: tl.tensor,
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
    """Column 0 is ā, with the σ of each entry, column 1 is b̄, with that of its reverse."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                back = tl.load(reverse + entry, mask=here, other=0)
                slope = tl.load(grad + entry, mask=here, other=0.0).to(total.dtype)
                slope += tl.load(grad + back, mask=here, other=0.0).to(total.dtype)
                slope *= tl.load(out + entry, mask=here, other=0.0).to(total.dtype)
                place = tl.where((column == 0)[None, :], entry[:, None], back[:, None])
                own = tl.load(there + place, mask=here[:, None], other=0.0).to(total.dtype)
                total += slope[:, None] * (1 - own)
    put(total, total, row, target, column, grad_z, partial, WIDTH, MERGE)
