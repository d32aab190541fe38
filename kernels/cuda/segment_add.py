"""CUDA: a program finds the segment of each of its rows; the gradient is a sum by segment.

That ptr rises from 0 to N is not checked: the host would have to wait for the device.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import UNKNOWN
from gbench.kernels.cuda.rows import gather, kernel, launch, row_of, tiling
from gbench.kernels.cuda.spmm import row_sum


def segment_add(ptr: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """The forward of gbench/kernels/segment_add.py."""
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    num_rows, width = x.shape
    tiles = tiling(num_rows, 0, 0, 0, x)
    if out.numel():
        launch(
            _add,
            (tiles.row_programs, tiles.blocks),
            ptr,
            x.contiguous(),
            v.contiguous(),
            out,
            tiles.partial,
            num_rows,
            v.size(0),
            ptr.numel().bit_length(),
            WIDTH=width,
            ROWS=tiles.rows,
            COLUMNS=tiles.columns,
            num_warps=1,
        )
    return out


def segment_add_backward(grad: Tensor, ptr: Tensor) -> Tensor:
    """The gradient of v: see gbench/kernels/segment_add.py."""
    return row_sum(ptr, None, grad, UNKNOWN)


@kernel
def _add(
    ptr: tl.tensor,
    x: tl.tensor,
    v: tl.tensor,
    out: tl.tensor,
    like: tl.tensor,
    num_rows: tl.tensor,
    num_segments: tl.tensor,
    search_steps: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = row < num_rows
    segment = row_of(ptr, tl.where(here, row, 0), num_segments, search_steps)
    value = gather(x, row, here, column, WIDTH, 0.0).to(like.dtype.element_ty)
    value += gather(v, segment, here, column, WIDTH, 0.0).to(like.dtype.element_ty)
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    mask = here[:, None] & (column < WIDTH)[None, :]
    tl.store(out + place, value.to(out.dtype.element_ty), mask=mask)
