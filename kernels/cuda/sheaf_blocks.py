"""CUDA: the sums of normal_maps' walk, and a walk over the same entries backward."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.normal_maps import forward, line_of, tiles_of
from gbench.kernels.cuda.rows import NOTHING, kernel, portion, wide


def sheaf_blocks(rowptr: Tensor, longest: int, maps: Tensor) -> Tensor:
    """The forward of gbench/kernels/sheaf_blocks.py."""
    maps = maps.contiguous()
    tiles, sizes = tiles_of(rowptr, longest, maps)
    out = maps.new_empty(rowptr.numel() - 1, *maps.shape[1:], dtype=wide(maps.dtype))
    none = (None, None, None)  # no roots
    tiles.launch(forward, rowptr, maps, *none, out, **sizes, ADDS=True, WRITES=False)
    return out


def sheaf_blocks_backward(grad: Tensor, rowptr: Tensor, longest: int, maps: Tensor) -> Tensor:
    """The gradient of gbench/kernels/sheaf_blocks.py."""
    maps, out = maps.contiguous(), maps.new_empty(maps.shape)
    tiles, sizes = tiles_of(rowptr, longest, maps)
    given = (rowptr, maps, grad.contiguous(), out)
    tiles._replace(merges=False).launch(_backward, *given, **sizes)
    return out


@kernel
def _backward(
    rowptr: tl.tensor,
    maps: tl.tensor,
    grad: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    side = tl.arange(0, PADDED)
    i, j = side[None, :, None], side[None, None, :]
    exists = (target > NOTHING)[:, None, None] & (i < SIZE) & (j < SIZE)
    block = grad + row.to(tl.int64)[:, None, None] * (SIZE * SIZE)
    both = tl.load(block + i * SIZE + j, mask=exists, other=0.0)
    both += tl.load(block + j * SIZE + i, mask=exists, other=0.0)
    for step in range(tl.max(length)):
        here = step < length
        entry = (begin + step).to(tl.int64)
        for k in tl.static_range(SIZE):
            line = line_of(maps, entry, here, k, side, SIZE).to(both.dtype)
            new = tl.sum(line[:, :, None] * both, 1)
            place = (entry * SIZE + k)[:, None] * SIZE + side[None, :]
            mask = here[:, None] & (side < SIZE)[None, :]
            tl.store(out + place, new.to(out.dtype.element_ty), mask=mask)
