"""Several sums of one row: arrays (N, K, D), read as K · N rows, and slots of K sums for hubs."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import Tiling, tiling


def tiles_of(rowptr: Tensor, col: Tensor, x: Tensor, longest: int, sums: int) -> Tiling:
    """Tiles whose slots have so many sums."""
    rows = rowptr.numel() - 1
    tiles = tiling(rows, x.size(0), col.numel(), longest, x)
    if tiles.num_slots and sums > 1:
        tiles = tiles._replace(partial=x.new_empty(tiles.num_slots * sums, x.size(1)))
    return tiles


@triton.jit
def block(row: tl.tensor, which: tl.constexpr, BLOCKS: tl.constexpr) -> tl.tensor:
    """The row of an array (N, BLOCKS, D) that is read as (N · BLOCKS, D)."""
    return row.to(tl.int64) * BLOCKS + which


@triton.jit
def put_block(
    value: tl.tensor,
    row: tl.tensor,
    whole: tl.tensor,
    column: tl.tensor,
    out: tl.tensor,
    which: tl.constexpr,
    BLOCKS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Write a tile to these rows of an array (N, BLOCKS, D), where they are whole."""
    place = block(row, which, BLOCKS)[:, None] * WIDTH + column[None, :]
    tl.store(out + place, value, whole[:, None] & (column < WIDTH)[None, :])
