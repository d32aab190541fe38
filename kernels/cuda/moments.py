"""Means and variances of columns: exact for large means, and the same bits each time.

Each chunk of rows leaves its mean and its sum of squares about that mean, tile after tile; the
chunks' are brought together as by Chan, Golub and LeVeque (1979).
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, gather, kernel, launch, power_of_2

ROWS = 16
MAX_CHUNKS = 128  # × 5 blocks of 64 columns for F = 300: 640 programs


def column_moments(x: Tensor, mean: Tensor, var: Tensor) -> None:
    """Write the mean and the variance (over N, not N - 1) of x's columns."""
    chunks, blocks = chunk_grid(x)
    moments = mean.new_empty(2, chunks, x.size(1))
    launch(_moments, (chunks, blocks), x, moments, x.size(0), **tile_sizes(x))
    sizes = {**tile_sizes(x), "ROWS": power_of_2(chunks), "num_warps": 8}
    launch(_merge, (blocks,), moments, mean, var, x.size(0), chunks, **sizes)


def tile_sizes(x: Tensor) -> dict[str, int]:
    """How a walk over x is cut into tiles."""
    columns = min(64, power_of_2(x.size(1)))
    return {"WIDTH": x.size(1), "ROWS": ROWS, "COLUMNS": columns}


def chunk_grid(x: Tensor) -> tuple[int, int]:
    """Chunks of rows, and blocks of columns."""
    chunks = min(MAX_CHUNKS, cdiv(x.size(0), ROWS))
    return chunks, cdiv(x.size(1), tile_sizes(x)["COLUMNS"])


@triton.jit
def chunk_start(chunk: tl.tensor, num_chunks: tl.tensor, num_rows: tl.tensor) -> tl.tensor:
    """The first row of a chunk, such that all have as many but for one."""
    return (num_rows.to(tl.int64) * chunk // num_chunks).to(tl.int32)


@kernel
def _moments(
    x: tl.tensor,
    moments: tl.tensor,
    num_rows: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Mean and sum of squares about it of one chunk's columns, tile after tile."""
    chunk, num_chunks = tl.program_id(0), tl.num_programs(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    begin = chunk_start(chunk, num_chunks, num_rows)
    end = chunk_start(chunk + 1, num_chunks, num_rows)
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


@kernel
def _merge(
    moments: tl.tensor,
    mean: tl.tensor,
    var: tl.tensor,
    num_rows: tl.tensor,
    num_chunks: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Bring all chunks' moments together: ROWS is at least their number."""
    chunk = tl.arange(0, ROWS)
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    here = chunk < num_chunks
    means = gather(moments, chunk, here, column, WIDTH, 0.0)
    abouts = gather(moments, chunk + num_chunks, here, column, WIDTH, 0.0)
    size = chunk_start(chunk + 1, num_chunks, num_rows)
    size -= chunk_start(chunk, num_chunks, num_rows)
    share = tl.where(here, size, 0).to(means.dtype)[:, None]
    # Relative to the first chunk's mean, so that a large mean loses no digits.
    origin = tl.load(moments + column, mask=column < WIDTH, other=0.0)
    centre = tl.sum(share * (means - origin[None, :]), 0) / num_rows.to(means.dtype)
    apart = means - origin[None, :] - centre[None, :]
    about = tl.sum(abouts + share * apart * apart, 0)
    tl.store(mean + column, origin + centre, mask=column < WIDTH)
    tl.store(var + column, about / num_rows.to(means.dtype), mask=column < WIDTH)
