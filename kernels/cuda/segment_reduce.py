"""CUDA: a segment is a row of a graph whose entries are 0, 1, 2, …, so spmm's kernels serve.

That ptr rises from 0 to N is not checked: the host would have to wait for the device.
"""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import gather, kernel, launch, row_of, size_of, tiling
from gbench.kernels.cuda.spmm import row_sum
from gbench.kernels.cuda.spmm_max import maximum, parts


def segment_reduce(ptr: Tensor, longest: int, x: Tensor, reduce: str) -> Tensor:
    """The forward of gbench/kernels/segment_reduce.py."""
    if reduce == "max":
        return maximum(ptr, None, x, longest)
    return row_sum(ptr, None, x, longest, mean=reduce == "mean")


def segment_reduce_backward(
    grad: Tensor,
    ptr: Tensor,
    longest: int,
    x: Tensor | None,
    out: Tensor | None,
    num_rows: int,
    reduce: str,
) -> Tensor:
    """The gradients of gbench/kernels/segment_reduce.py."""
    grad_x = grad.new_empty(num_rows, grad.size(1))
    if x is not None and out is not None:  # the maximum
        x = x.contiguous()
        grad = parts(grad, ptr, None, x, out, longest)
    tiles = tiling(num_rows, 0, 0, 0, grad_x)
    if grad_x.numel():
        launch(
            _spread,
            (tiles.row_programs, tiles.blocks),
            ptr,
            grad.contiguous(),
            x,
            out,
            grad_x,
            tiles.partial,
            num_rows,
            ptr.numel() - 1,
            ptr.numel().bit_length(),
            MEAN=reduce == "mean",
            WIDTH=grad_x.size(1),
            ROWS=tiles.rows,
            COLUMNS=tiles.columns,
            num_warps=1,
        )
    return grad_x


@kernel
def _spread(
    ptr: tl.tensor,
    grad: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    grad_x: tl.tensor,
    like: tl.tensor,
    num_rows: tl.tensor,
    num_segments: tl.tensor,
    search_steps: tl.tensor,
    MEAN: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = row < num_rows
    segment = row_of(ptr, tl.where(here, row, 0), num_segments, search_steps)
    value = gather(grad, segment, here, column, WIDTH, 0.0).to(like.dtype.element_ty)
    if MEAN:
        size = tl.maximum(size_of(ptr, segment, here), 1)
        value /= size.to(value.dtype)[:, None]
    if x is not None:
        own = gather(x, row, here, column, WIDTH, 0.0).to(value.dtype)
        top = gather(out, segment, here, column, WIDTH, 0.0).to(value.dtype)
        value = tl.where(own == top, value, 0.0)
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    mask = here[:, None] & (column < WIDTH)[None, :]
    tl.store(grad_x + place, value.to(grad_x.dtype.element_ty), mask=mask)
