"""The parts of spmm that torch has no fast form for: maxima, and the weights' gradient."""

from __future__ import annotations

from typing import Any

from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, in_float32, run


@in_float32
def maximum(rowptr: Tensor, col: Tensor, x: Tensor) -> Tensor:
    """Largest x[col] of each row, 0 for an empty row: (N, F)."""
    out = x.new_empty(rowptr.numel() - 1, x.size(1))
    run(_maximum, _chunks(col, x), array(rowptr), array(col), array(x), array(out))
    return out


@in_float32
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
    part, grad_x = grad.new_empty(grad.shape), x.new_empty(x.shape)
    features, maxima, parts = array(x), array(out), array(part)
    chunks = _chunks(col, x)
    run(_share, chunks, array(rowptr), array(col), features, maxima, array(grad), parts)
    run(_collect, chunks, array(rowptr_t), array(col_t), features, maxima, parts, array(grad_x))
    return grad_x


@in_float32
def entry_dots(rowptr: Tensor, col: Tensor, grad: Tensor, x: Tensor) -> Tensor:
    """⟨grad[row of e], x[col[e]]⟩ for each entry e: (E,)."""
    out = x.new_empty(col.numel())
    run(_entry_dots, _chunks(col, x), array(rowptr), array(col), array(grad), array(x), array(out))
    return out


def _chunks(col: Tensor, x: Tensor) -> int:
    return count_chunks((col.numel() + x.size(0)) * x.size(1))


@compiled
def _maximum(
    first: int, last: int, num_chunks: int, rowptr: Any, col: Any, x: Any, out: Any
) -> int:
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        begin, end = rowptr[i], rowptr[i + 1]
        for f in range(x.shape[1]):
            out[i, f] = x[uint64(col[begin]), f] if begin < end else 0
        for e in range(begin + 1, end):
            j = uint64(col[e])
            for f in range(x.shape[1]):
                value = x[j, f]
                is_larger = (value > out[i, f]) | (value != value)  # a NaN wins and then stays
                out[i, f] = value if is_larger else out[i, f]
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
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for f in range(x.shape[1]):
            part[i, f] = 0
        for e in range(rowptr[i], rowptr[i + 1]):
            j = uint64(col[e])
            for f in range(x.shape[1]):
                part[i, f] += one if x[j, f] == out[i, f] else zero
        for f in range(x.shape[1]):
            part[i, f] = grad[i, f] / part[i, f]
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
    zero = x.dtype.type(0)
    for j in range(
        chunk_start(rowptr_t, first, num_chunks), chunk_start(rowptr_t, last, num_chunks)
    ):
        for f in range(x.shape[1]):
            grad_x[j, f] = 0
        for t in range(rowptr_t[j], rowptr_t[j + 1]):
            i = uint64(col_t[t])
            for f in range(x.shape[1]):
                grad_x[j, f] += part[i, f] if x[j, f] == out[i, f] else zero
    return 0


@compiled
def _entry_dots(
    first: int, last: int, num_chunks: int, rowptr: Any, col: Any, grad: Any, x: Any, out: Any
) -> int:
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[i], rowptr[i + 1]):
            j = uint64(col[e])
            dot = x.dtype.type(0)
            for f in range(x.shape[1]):
                dot += grad[i, f] * x[j, f]
            out[e] = dot
    return 0
