"""CUDA: a tile of groups walks its rows twice, to add them and to write their mean.

That col names each row once is not checked: the host would have to wait for the device.
"""

from __future__ import annotations

import torch
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import gather, kernel, launch, tiling

UNROLL = 4  # rows that are loaded before the first is added; a node of a molecule is in 3 patches


def group_mean(ptr: Tensor, col: Tensor, x: Tensor) -> Tensor:
    """The forward of gbench/kernels/group_mean.py, and with the output's gradient the backward."""
    x, num_groups = x.contiguous(), ptr.numel() - 1
    out = torch.empty_like(x)
    tiles = tiling(num_groups, 0, 0, 0, x)
    if out.numel():
        launch(
            _mean,
            (tiles.row_programs, tiles.blocks),
            *(ptr, col, x, out, tiles.partial, num_groups),
            WIDTH=x.size(1),
            ROWS=tiles.rows,
            COLUMNS=tiles.columns,
            UNROLL=UNROLL,
            num_warps=1,
        )
    return out


@kernel
def _mean(
    ptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    like: tl.tensor,
    num_groups: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    UNROLL: tl.constexpr,
) -> None:
    group = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    begin = tl.load(ptr + group, mask=group < num_groups, other=0)
    size = tl.load(ptr + group + 1, mask=group < num_groups, other=0) - begin
    total = tl.zeros([ROWS, COLUMNS], like.dtype.element_ty)
    for step in range(0, tl.max(size), UNROLL):
        for ahead in tl.static_range(UNROLL):
            here = step + ahead < size
            row = tl.load(col + begin + step + ahead, mask=here, other=0)
            total += gather(x, row, here, column, WIDTH, 0.0).to(total.dtype)
    total /= tl.maximum(size, 1).to(total.dtype)[:, None]
    inside = (column < WIDTH)[None, :]
    for step in range(tl.max(size)):
        here = step < size
        row = tl.load(col + begin + step, mask=here, other=0).to(tl.int64)
        place = row[:, None] * WIDTH + column[None, :]
        tl.store(out + place, total.to(out.dtype.element_ty), mask=here[:, None] & inside)
