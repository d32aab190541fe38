"""The parts of spmm that torch has no fast form for: maxima, and the weights' gradient."""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run


def maximum(rowptr: Tensor, col: Tensor, x: Tensor) -> Tensor:
    """Largest x[col] of each row, 0 for an empty row: (N, F)."""
    out = torch.empty((rowptr.numel() - 1, x.size(1)), dtype=x.dtype)
    run(_maximum, _chunks(col, x), array(rowptr), array(col), array(x), array(out))
    return out


def maximum_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    x: Tensor,
    out: Tensor,
) -> Tensor:
    """Each row's gradient in equal parts to the entries that attain its maximum: (M, F)."""
    wide = torch.promote_types(x.dtype, torch.float32)
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    features, maxima = array(x), array(out)
    parts = array(torch.empty(grad.shape, dtype=wide))
    chunks = _chunks(col, x)
    run(_share, chunks, array(rowptr), array(col), features, maxima, array(grad), parts)
    run(_collect, chunks, array(rowptr_t), array(col_t), features, maxima, parts, array(grad_x))
    return grad_x


def entry_dots(rowptr: Tensor, col: Tensor, grad: Tensor, x: Tensor) -> Tensor:
    """⟨grad[row of e], x[col[e]]⟩ for each entry e: (E,)."""
    out = torch.empty(col.numel(), dtype=x.dtype)
    run(_entry_dots, _chunks(col, x), array(rowptr), array(col), array(grad), array(x), array(out))
    return out


def _chunks(col: Tensor, x: Tensor) -> int:
    return count_chunks((col.numel() + x.size(0)) * x.size(1))


@compiled
def _maximum(
    first: int, last: int, num_chunks: int, rowptr: Any, col: Any, x: Any, out: Any
) -> int:
    width, row = x.shape[1], scratch(x, x.shape[1])
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        begin, end = rowptr[i], rowptr[i + 1]
        for f in range(width):
            row[f] = widen(x[uint64(col[begin]), f]) if begin < end else 0
        for e in range(begin + 1, end):
            j = uint64(col[e])
            for f in range(width):
                value = widen(x[j, f])
                is_larger = (value > row[f]) | (value != value)  # a NaN wins and then stays
                row[f] = value if is_larger else row[f]
        for f in range(width):
            out[i, f] = narrow(row[f], out)
    return 0


@compiled
def _share(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    x: Any,
    out: Any,
    grad: Any,
    part: Any,
) -> int:
    """Divide each gradient by the number of entries that attain the maximum."""
    width, zero = x.shape[1], zero_of(x)
    one = type(zero)(1)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for f in range(width):
            part[i, f] = 0
        for e in range(rowptr[i], rowptr[i + 1]):
            j = uint64(col[e])
            for f in range(width):
                part[i, f] += one if widen(x[j, f]) == widen(out[i, f]) else zero
        for f in range(width):
            part[i, f] = widen(grad[i, f]) / part[i, f]
    return 0


@compiled
def _collect(
    first: int,
    last: int,
    num_chunks: int,
    rowptr_t: Any,
    col_t: Any,
    x: Any,
    out: Any,
    part: Any,
    grad_x: Any,
) -> int:
    width, zero, row = x.shape[1], zero_of(x), scratch(x, x.shape[1])
    for j in range(
        chunk_start(rowptr_t, first, num_chunks), chunk_start(rowptr_t, last, num_chunks)
    ):
        for f in range(width):
            row[f] = 0
        for t in range(rowptr_t[j], rowptr_t[j + 1]):
            i = uint64(col_t[t])
            for f in range(width):
                row[f] += part[i, f] if widen(x[j, f]) == widen(out[i, f]) else zero
        for f in range(width):
            grad_x[j, f] = narrow(row[f], grad_x)
    return 0


@compiled
def _entry_dots(
    first: int, last: int, num_chunks: int, rowptr: Any, col: Any, grad: Any, x: Any, out: Any
) -> int:
    width, zero = x.shape[1], zero_of(x)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[i], rowptr[i + 1]):
            j = uint64(col[e])
            dot = zero
            for f in range(width):
                dot += widen(grad[i, f]) * widen(x[j, f])
            out[e] = narrow(dot, out)
    return 0
