"""CPU, numba: equal rows of codes are looked up once, and their gradients are added before spread.

The 13,000 atoms of 512 molecules have 89 different rows of nine codes, so that K lookups per row
become about one: a copy forward, an addition backward. Rows are taken in blocks that end where
SLOTS / 4 different ones are found, which bounds the memory and costs little where none are equal.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen
from gbench.kernels.cpu.rows import array, compiled, count_chunks, run
from gbench.kernels.cpu.tables import private_tables, table_chunks, total_table

SLOTS = 2048  # of a hash table, a power of two: 512 rows of 300 sums fit in the second-level cache


def embedding_sum(codes: Tensor, table: Tensor, offsets: Tensor) -> Tensor:
    """The forward of gbench/kernels/embedding_sum.py."""
    if table.dim() == 3:
        return torch.stack([embedding_sum(codes, one, offsets) for one in table])
    out = torch.empty((codes.size(0), table.size(1)), dtype=table.dtype)
    chunks = count_chunks(out.numel() + codes.numel())
    bad = run(_forward, chunks, array(codes), array(offsets), array(table), array(out))
    if bad:
        row, feature = divmod(bad - 1, codes.size(1))
        begin, end = [*offsets.tolist(), table.size(0)][feature : feature + 2]
        raise IndexError(
            f"codes[{row}, {feature}] is {int(codes[row, feature])}: "
            f"feature {feature} has categories 0..{end - begin - 1}"
        )
    return out


def embedding_sum_backward(grad: Tensor, codes: Tensor, offsets: Tensor, num_rows: int) -> Tensor:
    """The gradients of gbench/kernels/embedding_sum.py."""
    if grad.dim() == 3:
        return torch.stack([embedding_sum_backward(one, codes, offsets, num_rows) for one in grad])
    chunks = table_chunks(grad.numel() + codes.numel(), codes.size(0), num_rows)
    tables = private_tables(chunks, num_rows, grad)
    run(_backward, chunks, array(codes), array(offsets), array(grad), tables)
    return total_table(tables).to(grad.dtype)


@compiled
def _places(offsets: Any, size: int) -> Any:
    """What each feature's code counts in a number that tells all rows apart; 0s if 64 bits do not.

    Shapes: (K,), and one more for the number of different rows.
    """
    places = numpy.ones(len(offsets) + 1, numpy.uint64)
    product = 1.0
    for k in range(len(offsets)):
        end = offsets[k + 1] if k + 1 < len(offsets) else size
        product *= end - offsets[k]
        places[k + 1] = places[k] * uint64(max(0, end - offsets[k]))
    if product > 2.0**63:
        places[:] = 0
    return places


@compiled
def _block(
    codes: Any,
    offsets: Any,
    size: int,
    places: Any,
    start: int,
    end: int,
    slots: Any,
    keys: Any,
    which: Any,
    firsts: Any,
) -> tuple[int, int, int]:
    """Number the different rows of codes from `start` on, until there are len(firsts) of them.

    Row start + i is the which[i]-th of them, and firsts has a row of codes for each. Returns where
    the block ends, how many are different, and 0 or 1 + the position of a code out of range.
    """
    num_features, found = codes.shape[1], 0
    slots[:] = -1
    for i in range(start, end):
        key = uint64(0)
        for k in range(num_features):
            code = uint64(codes[i, k])  # a negative code becomes a huge one
            limit = (offsets[k + 1] if k + 1 < num_features else size) - offsets[k]
            if code >= uint64(limit):
                return i, found, i * num_features + k + 1
            key += code * places[k]
        # The upper bits of a product with 2^64 over the golden ratio are spread evenly.
        slot = (key * uint64(0x9E3779B97F4A7C15)) >> uint64(32)
        mask = uint64(len(slots) - 1)
        while slots[slot & mask] >= 0 and keys[slots[slot & mask]] != key:
            slot += uint64(1)
        same = slots[slot & mask]
        if same < 0 or places[0] == 0:
            if found == len(firsts):
                return i, found, 0
            same = found
            keys[same], firsts[same], slots[slot & mask] = key, i, same
            found += 1
        which[i - start] = same
    return end, found, 0


@compiled
def _forward(
    first: int, last: int, num_chunks: int, codes: Any, offsets: Any, table: Any, out: Any
) -> int:
    """0, or 1 + the position of a code that is out of range."""
    (num_rows, num_features), width = codes.shape, table.shape[1]
    i, end = num_rows * first // num_chunks, num_rows * last // num_chunks
    places, slots = _places(offsets, table.shape[0]), numpy.empty(SLOTS, numpy.int32)
    keys, firsts = numpy.empty(SLOTS // 4, numpy.uint64), numpy.empty(SLOTS // 4, numpy.int64)
    which = numpy.empty(end - i, numpy.int32)
    sums = scratch(table, SLOTS // 4 * width).reshape(SLOTS // 4, width)
    while i < end:
        start = i
        i, found, bad = _block(
            codes, offsets, table.shape[0], places, start, end, slots, keys, which, firsts
        )
        if bad:
            return int(bad)
        for u in range(found):
            sums[u] = 0
            for k in range(num_features):
                row = uint64(codes[firsts[u], k]) + uint64(offsets[k])
                for f in range(width):
                    sums[u, f] += widen(table[row, f])
        for r in range(start, i):
            u = uint64(which[r - start])
            for f in range(width):
                out[r, f] = narrow(sums[u, f], out)
    return 0


@compiled
def _backward(
    first: int, last: int, num_chunks: int, codes: Any, offsets: Any, grad: Any, tables: Any
) -> int:
    (num_rows, num_features), width, size = codes.shape, grad.shape[1], tables.shape[1]
    places, slots = _places(offsets, size), numpy.empty(SLOTS, numpy.int32)
    keys, firsts = numpy.empty(SLOTS // 4, numpy.uint64), numpy.empty(SLOTS // 4, numpy.int64)
    sums = scratch(grad, SLOTS // 4 * width).reshape(SLOTS // 4, width)
    for chunk in range(first, last):
        table = tables[chunk]
        i, end = num_rows * chunk // num_chunks, num_rows * (chunk + 1) // num_chunks
        which = numpy.empty(end - i, numpy.int32)
        while i < end:
            start = i
            i, found, _ = _block(
                codes, offsets, size, places, start, end, slots, keys, which, firsts
            )
            sums[:found] = 0
            for r in range(start, i):
                u = uint64(which[r - start])
                for f in range(width):
                    sums[u, f] += widen(grad[r, f])
            for u in range(found):
                for k in range(num_features):
                    row = uint64(codes[firsts[u], k]) + uint64(offsets[k])
                    for f in range(width):
                        table[row, f] += sums[u, f]
    return 0
