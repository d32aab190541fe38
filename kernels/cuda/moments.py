"""Means and variances of columns: exact for large means, and the same bits each time.

Each chunk of rows leaves its mean and its sum of squares about that mean, tile after tile. Whoever
needs the whole's brings the chunks' together, as by Chan, Golub and LeVeque (1979), in their order:
a launch for that alone would take longer.
"""

from __future__ import annotations

from math import isqrt

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, gather, kernel, launch, power_of_2, wide

ROWS = 32  # of a tile


def moments_of(x: Tensor, rows: Tensor | None) -> Tensor:
    """Each chunk's means and sums of squares: (2, chunks, F)."""
    chunks, blocks = chunk_grid(x)
    moments = x.new_empty(2, chunks, x.size(1), dtype=wide(x.dtype))
    launch(_moments, (chunks, blocks), x, moments, rows, x.size(0), **tile_sizes(x))
    return moments


def tile_sizes(x: Tensor) -> dict[str, int]:
    """How a walk over x is cut into tiles."""
    width = x.size(1)
    return {"WIDTH": width, "ROWS": ROWS, "COLUMNS": min(64, power_of_2(width))}


def chunk_grid(x: Tensor) -> tuple[int, int]:
    """Chunks of rows, and blocks of columns.

    A chunk of a small x is one tile. Every chunk's program reads what all chunks left, C² F numbers
    in all: with C² ≤ N / 8 that is an eighth of x, and up to 64 chunks it stays in cache: with 300
    columns these are 320 programs, two for each processor of an H100.
    """
    num_rows, width = x.shape
    chunks = min(cdiv(num_rows, ROWS), min(256, max(64, isqrt(num_rows // 8))))
    return chunks, cdiv(width, min(64, power_of_2(width)))


@triton.jit
def valid_rows(rows: tl.tensor, num_rows: tl.tensor) -> tl.tensor:
    """How many of the rows count: all, or as many as `rows` says."""
    if rows is None:
        valid = num_rows.to(tl.int32)
    else:
        valid = tl.minimum(tl.load(rows), num_rows).to(tl.int32)
    return valid


@triton.jit
def chunk_start(chunk: tl.tensor, num_chunks: tl.tensor, num_rows: tl.tensor) -> tl.tensor:
    """The first row of a chunk, such that all have as many but for one."""
    return (num_rows.to(tl.int64) * chunk // num_chunks).to(tl.int32)


@kernel
def _moments(
    x: tl.tensor,
    moments: tl.tensor,
    rows: tl.tensor,
    num_rows: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Mean and sum of squares about it of one chunk's columns, tile after tile."""
    chunk, num_chunks = tl.program_id(0), tl.num_programs(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    valid = valid_rows(rows, num_rows)
    begin = chunk_start(chunk, num_chunks, num_rows)
    end = tl.minimum(chunk_start(chunk + 1, num_chunks, num_rows), valid)
    mean = tl.zeros([COLUMNS], moments.dtype.element_ty)
    about = tl.zeros([COLUMNS], mean.dtype)
    for first in range(begin, end, ROWS):
        row = first + tl.arange(0, ROWS)
        here = row < end
        value = gather(x, row, here, column, WIDTH, 0.0).to(mean.dtype)
        size = tl.minimum(end - first, ROWS).to(mean.dtype)
        before = (first - begin).to(mean.dtype)
        tile_mean = tl.sum(value, 0) / size
        apart = tl.where(here[:, None], value - tile_mean[None, :], 0.0)
        step = tile_mean - mean
        about += tl.sum(apart * apart, 0) + step * step * (before * size / (before + size))
        mean += step * (size / (before + size))
    place = chunk * WIDTH + column
    tl.store(moments + place, mean, mask=column < WIDTH)
    tl.store(moments + num_chunks * WIDTH + place, about, mask=column < WIDTH)


@triton.jit
def merged(
    moments: tl.tensor,
    num_chunks: tl.tensor,
    num_rows: tl.tensor,
    valid: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
) -> tl.tensor:
    """The mean and the variance (over N, not N - 1) of these columns, ROWS chunks at a time."""
    inside = column < WIDTH
    # Relative to the first chunk's mean, so that a large mean loses no digits.
    origin = tl.load(moments + column, mask=inside, other=0.0)
    plain = tl.zeros([ROWS, column.shape[0]], origin.dtype)
    square = tl.zeros([ROWS, column.shape[0]], origin.dtype)
    for first in range(0, num_chunks, ROWS):
        chunk = first + tl.arange(0, ROWS)
        here = chunk < num_chunks
        begin = tl.minimum(chunk_start(chunk, num_chunks, num_rows), valid)
        end = tl.minimum(chunk_start(chunk + 1, num_chunks, num_rows), valid)
        size = tl.where(here, end - begin, 0).to(origin.dtype)[:, None]
        apart = gather(moments, chunk, here, column, WIDTH, 0.0) - origin[None, :]
        plain += size * apart
        square += size * apart * apart
        square += gather(moments, chunk + num_chunks, here, column, WIDTH, 0.0)
    over = valid.to(origin.dtype)
    step = tl.sum(plain, 0) / over
    var = tl.sum(square, 0) / over - step * step
    return origin + step, tl.where(var < 0, 0.0, var)  # in this order a NaN stays one


@triton.jit
def added(
    sums: tl.tensor,
    first: tl.tensor,
    num_chunks: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
) -> tl.tensor:
    """The sum of the rows first, …, first + num_chunks - 1 of `sums`, ROWS of them at a time."""
    total = tl.zeros([ROWS, column.shape[0]], sums.dtype.element_ty)
    for step in range(0, num_chunks, ROWS):
        chunk = step + tl.arange(0, ROWS)
        total += gather(sums, first + chunk, chunk < num_chunks, column, WIDTH, 0.0)
    return tl.sum(total, 0)
