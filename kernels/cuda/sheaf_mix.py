"""CUDA: W_1 while the features are loaded, W_2 by a product of tiles; the same again backward.

Rows are the nodes' channels, one below the other; a tile holds those of whole nodes. The gradient
of a weight is a sum over all rows, of which each program takes a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2

TILES = 32  # that one program walks before its sum is worth another launch
MAX_CHUNKS = 64

# Rows and columns of a tile, of which float64 has no product, and what spills no registers.
MOST = {torch.float32: 32, torch.float64: 16}
WARPS = {torch.float32: 8, torch.float64: 4}


def sheaf_mix(x: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_mix.py, with (I ⊗ W_1) x."""
    x, left, right = x.contiguous(), left.contiguous(), right.contiguous()
    out, mixed = x.new_empty(x.shape), x.new_empty(x.shape)
    if out.numel():
        sizes, rows, tiles, blocks = _sizes(x)
        launch(_forward, (tiles, blocks), x, left, right, out, mixed, rows, **sizes)
    return out, mixed


def sheaf_mix_backward(
    grad: Tensor, x: Tensor, left: Tensor, right: Tensor, mixed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/sheaf_mix.py."""
    left, right = left.contiguous(), right.contiguous()
    grad_x = x.new_empty(x.shape)
    weights = left.new_zeros if not x.numel() else left.new_empty
    both = weights(left.numel() + right.numel())
    grads = (grad_x, both[: left.numel()].view_as(left), both[left.numel() :].view_as(right))
    if not x.numel():
        return grads
    sizes, rows, tiles, blocks = _sizes(x)
    chunks = 1 if tiles <= TILES else min(MAX_CHUNKS, cdiv(tiles, TILES))
    sums = both if chunks == 1 else both.new_empty(chunks, both.numel())
    given = (grad.contiguous(), x.contiguous(), left, right, mixed, grad_x, sums)
    programs = tiles * blocks + chunks * (1 + blocks * blocks)
    padded = power_of_2(x.size(1))
    sizes = {**sizes, "BLOCKS": blocks, "PADDED": padded}
    launch(_backward, (programs,), *given, rows, tiles, chunks, **sizes)
    if chunks > 1:
        grid = (cdiv(both.numel(), 64),)
        launch(_add, grid, sums, both, chunks, COUNT=both.numel(), COLUMNS=64, num_warps=1)
    return grads


def _sizes(x: Tensor) -> tuple[dict[str, Any], int, int, int]:
    """Tile sizes, the number of rows, of tiles below and of tiles beside each other."""
    num_nodes, channels, width = x.shape
    most = MOST[x.dtype]
    rows = max(most, power_of_2(channels))
    columns = min(most, max(16, power_of_2(width)))
    sizes = {"CHANNELS": channels, "WIDTH": width, "ROWS": rows, "COLUMNS": columns}
    sizes = {**sizes, "num_warps": WARPS[x.dtype], "num_stages": 1}
    tiles = cdiv(num_nodes, rows // channels)
    return sizes, num_nodes * channels, tiles, cdiv(width, columns)


@triton.jit
def _product(a: tl.tensor, b: tl.tensor, total: tl.tensor) -> tl.tensor:
    """Total + a @ b, without rounding float32 to what tensor cores take."""
    if a.dtype == tl.float64:
        total += tl.sum(a[:, :, None] * b[None, :, :], 1)
    else:
        total = tl.dot(a, b, total, input_precision="ieee")
    return total


@triton.jit
def _matrix(
    matrix: tl.tensor, row: tl.tensor, column: tl.tensor, SIZE: tl.constexpr, TURNED: tl.constexpr
) -> tl.tensor:
    """matrix[row, column], or matrix[column, row] if turned, 0 outside."""
    mask = (row < SIZE)[:, None] & (column < SIZE)[None, :]
    if TURNED:
        place = column[None, :] * SIZE + row[:, None]
    else:
        place = row[:, None] * SIZE + column[None, :]
    return tl.load(matrix + place, mask=mask, other=0.0)


@triton.jit
def _rows(
    x: tl.tensor, row: tl.tensor, here: tl.tensor, column: tl.tensor, WIDTH: tl.constexpr
) -> tl.tensor:
    mask = here[:, None] & (column < WIDTH)[None, :]
    return tl.load(x + row.to(tl.int64)[:, None] * WIDTH + column[None, :], mask=mask, other=0.0)


@triton.jit
def _left(
    x: tl.tensor,
    left: tl.tensor,
    row: tl.tensor,
    here: tl.tensor,
    column: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    TURNED: tl.constexpr,
) -> tl.tensor:
    """The rows of (I ⊗ W_1) x, or of (I ⊗ W_1ᵀ) x if turned."""
    channel = row % CHANNELS
    total = tl.zeros([row.shape[0], column.shape[0]], x.dtype.element_ty)
    for d in tl.static_range(CHANNELS):
        if TURNED:
            factor = tl.load(left + d * CHANNELS + channel)
        else:
            factor = tl.load(left + channel * CHANNELS + d)
        total += factor[:, None] * _rows(x, row - channel + d, here, column, WIDTH)
    return total


@kernel
def _forward(
    x: tl.tensor,
    left: tl.tensor,
    right: tl.tensor,
    out: tl.tensor,
    mixed: tl.tensor,
    num_rows: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    STEP: tl.constexpr = ROWS // CHANNELS * CHANNELS
    lane = tl.arange(0, ROWS)
    row = tl.program_id(0) * STEP + lane
    here = (lane < STEP) & (row < num_rows)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros([ROWS, COLUMNS], out.dtype.element_ty)
    for start in range(0, WIDTH, COLUMNS):
        inner = start + tl.arange(0, COLUMNS)
        part = _left(x, left, row, here, inner, CHANNELS, WIDTH, False)
        place = row.to(tl.int64)[:, None] * WIDTH + inner[None, :]
        mask = here[:, None] & (inner < WIDTH)[None, :] & (tl.program_id(1) == 0)
        tl.store(mixed + place, part, mask=mask)
        total = _product(part, _matrix(right, inner, column, WIDTH, True), total)
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    tl.store(out + place, total, mask=here[:, None] & (column < WIDTH)[None, :])


@kernel
def _backward(
    grad: tl.tensor,
    x: tl.tensor,
    left: tl.tensor,
    right: tl.tensor,
    mixed: tl.tensor,
    grad_x: tl.tensor,
    sums: tl.tensor,
    num_rows: tl.tensor,
    num_tiles: tl.tensor,
    num_chunks: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCKS: tl.constexpr,
    PADDED: tl.constexpr,
) -> None:
    """The first programs write tiles of grad_x, then come those for W̄_2 and at last for W̄_1."""
    STEP: tl.constexpr = ROWS // CHANNELS * CHANNELS
    program = tl.program_id(0)
    lane, side = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    size = CHANNELS * CHANNELS + WIDTH * WIDTH
    if program < num_tiles * BLOCKS:
        row = program // BLOCKS * STEP + lane
        here = (lane < STEP) & (row < num_rows)
        column = program % BLOCKS * COLUMNS + side
        total = tl.zeros([ROWS, COLUMNS], grad_x.dtype.element_ty)
        for start in range(0, WIDTH, COLUMNS):
            part = _left(grad, left, row, here, start + side, CHANNELS, WIDTH, True)
            total = _product(part, _matrix(right, start + side, column, WIDTH, False), total)
        place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
        tl.store(grad_x + place, total, mask=here[:, None] & (column < WIDTH)[None, :])
    else:
        job = (program - num_tiles * BLOCKS) // num_chunks
        chunk = (program - num_tiles * BLOCKS) % num_chunks
        share = tl.cdiv(num_tiles, num_chunks) * STEP
        begin, end = chunk * share, tl.minimum((chunk + 1) * share, num_rows)
        mine = sums + chunk * size
        if job < BLOCKS * BLOCKS:
            above, beside = job // BLOCKS * COLUMNS + side, job % BLOCKS * COLUMNS + side
            _sum_right(grad, mixed, mine, begin, end, above, beside, CHANNELS, WIDTH, ROWS)
        else:
            _sum_left(grad, x, right, mine, begin, end, CHANNELS, WIDTH, ROWS, COLUMNS, PADDED)


@triton.jit
def _sum_right(
    grad: tl.tensor,
    mixed: tl.tensor,
    sums: tl.tensor,
    begin: tl.tensor,
    end: tl.tensor,
    above: tl.tensor,
    beside: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    """A block of ȳᵀ (I ⊗ W_1) x."""
    total = tl.zeros([above.shape[0], beside.shape[0]], sums.dtype.element_ty)
    for first in range(begin, end, ROWS):
        row = first + tl.arange(0, ROWS)
        mask = (above < WIDTH)[:, None] & (row < end)[None, :]
        place = row.to(tl.int64)[None, :] * WIDTH + above[:, None]
        turned = tl.load(grad + place, mask=mask, other=0.0)
        total = _product(turned, _rows(mixed, row, row < end, beside, WIDTH), total)
    place = CHANNELS * CHANNELS + above[:, None] * WIDTH + beside[None, :]
    tl.store(sums + place, total, mask=(above < WIDTH)[:, None] & (beside < WIDTH)[None, :])


@triton.jit
def _sum_left(
    grad: tl.tensor,
    x: tl.tensor,
    right: tl.tensor,
    sums: tl.tensor,
    begin: tl.tensor,
    end: tl.tensor,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    PADDED: tl.constexpr,
) -> None:
    """W̄_1 = Σ_v ȳ_v (x_v W_2ᵀ)ᵀ: each row of a tile is column d of it, of one node."""
    lane, side, c = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, PADDED)
    STEP: tl.constexpr = ROWS // CHANNELS * CHANNELS
    total = tl.zeros([ROWS, PADDED], sums.dtype.element_ty)
    for first in range(begin, end, STEP):
        row = first + lane
        here = (lane < STEP) & (row < end)
        for block in range(0, WIDTH, COLUMNS):
            turned = tl.zeros([ROWS, COLUMNS], total.dtype)
            for start in range(0, WIDTH, COLUMNS):
                part = _rows(x, row, here, start + side, WIDTH)
                weight = _matrix(right, start + side, block + side, WIDTH, True)
                turned = _product(part, weight, turned)
            for k in tl.static_range(CHANNELS):
                slope = _rows(grad, row - lane % CHANNELS + k, here, block + side, WIDTH)
                mine = tl.sum(slope * turned, 1)
                total += tl.where((c == k)[None, :], mine[:, None], 0.0)
    for d in tl.static_range(CHANNELS):
        of_all = tl.sum(tl.where((lane % CHANNELS == d)[:, None], total, 0.0), 0)
        tl.store(sums + c * CHANNELS + d, of_all, mask=c < CHANNELS)


@kernel
def _add(
    sums: tl.tensor,
    out: tl.tensor,
    num_chunks: tl.tensor,
    COUNT: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros([COLUMNS], out.dtype.element_ty)
    for chunk in range(num_chunks):
        total += tl.load(sums + chunk * COUNT + column, mask=column < COUNT, other=0.0)
    tl.store(out + column, total, mask=column < COUNT)
