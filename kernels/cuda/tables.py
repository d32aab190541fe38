"""Sums of many rows into the few rows of a table, the same bits each time and without atomics.

The entries are cut into chunks. A program adds its chunk into its own copy of 64 table rows by 64
features, held in registers, and the copies are added in a fixed order. Adding 32 entries at a time
to the rows that their codes name is a product with a matrix of zeros and ones, which tensor cores
do. It is exact: float32 is split into three bfloat16 of 8 bits each, and a product with 1 rounds
nothing. (An infinite or NaN gradient makes its whole column NaN, for 0 · ∞ is NaN.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, launch, power_of_2, wide

FEW = 128  # entries
MAX_CHUNKS = 128  # × 5 column blocks of D = 300: 640 programs, about five for each SM of an H100


class Tables(NamedTuple):
    """Private copies (chunks, L, U, D) of L tables, and the launch that fills them."""

    copies: Tensor
    codes: int
    entries: int
    columns: int

    def launch(self, kernel: Any, *args: Any, **flags: Any) -> None:
        """Call kernel(*args, copies, **flags, tile sizes) for each chunk and block of the tables.

        The grid's last axis has the blocks of codes of the first table, then the next one's.
        """
        chunks, layers, num_codes, width = self.copies.shape
        if self.copies.numel():
            launch(
                kernel,
                (chunks, cdiv(width, self.columns), layers * cdiv(num_codes, self.codes)),
                *args,
                self.copies,
                **flags,
                WIDTH=width,
                CODES=self.codes,
                ENTRIES=self.entries,
                COLUMNS=self.columns,
            )

    def total(self, dtype: torch.dtype) -> Tensor:
        """The sum of the copies: (L, U, D)."""
        is_one = self.copies.size(0) == 1
        return (self.copies[0] if is_one else self.copies.sum(0)).to(dtype)


def private_tables(num_entries: int, num_codes: int, like: Tensor, layers: int = 1) -> Tables:
    """Copies that cost less than the entries which fill them, for tables of like's width.

    One copy of few entries, which a program adds in four steps: it needs no launch for the sum.
    """
    chunks = max(1, min(MAX_CHUNKS, num_entries // max(1, num_codes)))
    if num_entries <= FEW:
        chunks = 1
    copies = like.new_empty(chunks, layers, num_codes, like.size(-1), dtype=wide(like.dtype))
    if like.dtype == torch.float64:
        return Tables(copies, 16, 16, 16)
    # OGB's bonds have 60 combinations; tl.dot takes no fewer than 16 columns.
    columns = min(64, max(16, power_of_2(like.size(-1))))
    return Tables(copies, 64, 32, columns)


@triton.jit
def chunk_bounds(num_entries: tl.tensor) -> tl.tensor:
    """The entries begin..end - 1 of this program's chunk."""
    share = num_entries.to(tl.int64)
    begin = share * tl.program_id(0) // tl.num_programs(0)
    end = share * (tl.program_id(0) + 1) // tl.num_programs(0)
    return begin.to(tl.int32), end.to(tl.int32)


@triton.jit
def add_rows(total: tl.tensor, counts: tl.tensor, value: tl.tensor) -> tl.tensor:
    """Add counts (U, T) @ value (T, D) to total (U, D), exactly: counts are whole and below 257."""
    if total.dtype == tl.float64:
        # Triton's own matrix product in float64 does not compile for every source of its inputs.
        total += tl.sum(counts.to(tl.float64)[:, :, None] * value[None, :, :], 1)
    else:
        counts = counts.to(tl.float32).to(tl.bfloat16)  # the interpreter takes no bool to bfloat16
        if value.dtype == tl.bfloat16:
            total = tl.dot(counts, value, total)
        else:
            high = value.to(tl.bfloat16)
            rest = value - high.to(tl.float32)
            middle = rest.to(tl.bfloat16)
            low = (rest - middle.to(tl.float32)).to(tl.bfloat16)
            total = tl.dot(counts, low, total)
            total = tl.dot(counts, middle, total)
            total = tl.dot(counts, high, total)
    return total


@triton.jit
def put_table(
    tables: tl.tensor,
    total: tl.tensor,
    code: tl.tensor,
    column: tl.tensor,
    num_codes: tl.tensor,
    WIDTH: tl.constexpr,
    layer: tl.tensor = 0,
    num_layers: tl.tensor = 1,
) -> None:
    """Write this chunk's copy."""
    row = (tl.program_id(0) * num_layers + layer) * num_codes + code
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    tl.store(tables + place, total, (code < num_codes)[:, None] & (column < WIDTH)[None, :])
