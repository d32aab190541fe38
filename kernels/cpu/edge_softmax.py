"""CPU, numba: two walks over a row's scores forward; a row walk and a column walk backward."""

from __future__ import annotations

import math
from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run
from gbench.kernels.csr import Graph


def edge_softmax(
    graph: Graph,
    longest: int,
    score: Tensor,
    x: Tensor,
    factor: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/edge_softmax.py."""
    rowptr, col, *_ = graph
    wide = torch.promote_types(x.dtype, torch.float32)
    _, heads, width = x.shape
    out = torch.empty(rowptr.numel() - 1, heads, width, dtype=x.dtype)
    log_sum = torch.empty(rowptr.numel() - 1, heads, dtype=wide)
    run(
        _forward,
        count_chunks(col.numel() * heads * (width + 8)),  # an exponential costs about 8 features
        array(rowptr),
        array(col),
        array(score),
        array(x),
        None if factor is None else array(factor),
        array(out),
        array(log_sum),
    )
    return out, log_sum


def edge_softmax_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    score: Tensor,
    x: Tensor,
    factor: Tensor | None,
    out: Tensor,
    log_sum: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/edge_softmax.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    _, heads, width = x.shape
    chunks = count_chunks(col.numel() * heads * (width + 8))
    scores, grads, sums = array(score), array(grad), array(log_sum)
    factors = None if factor is None else array(factor)
    grad_score = torch.empty(score.shape, dtype=score.dtype)
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    run(
        _grad_score,
        chunks,
        array(rowptr),
        array(col),
        scores,
        array(x),
        factors,
        array(out),
        sums,
        grads,
        array(grad_score),
    )
    run(
        _grad_x,
        chunks,
        array(rowptr_t),
        array(col_t),
        array(perm_t),
        scores,
        factors,
        sums,
        grads,
        array(grad_x),
    )
    return grad_score, grad_x


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    score: Any,
    x: Any,
    factor: Any,
    out: Any,
    log_sum: Any,
) -> int:
    _, heads, width = x.shape
    row = scratch(x, width)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        begin, end = rowptr[i], rowptr[i + 1]
        for h in range(heads):
            row[:] = 0
            top, total = -math.inf, 0.0
            for e in range(begin, end):
                value = widen(score[e, h])
                top = value if (value > top) | (value != value) else top
            for e in range(begin, end):
                weight = math.exp(widen(score[e, h]) - top)
                total += weight
                if factor is not None:
                    weight *= widen(factor[e, h])
                share, j = row.dtype.type(weight), uint64(col[e])
                for f in range(width):
                    row[f] += share * widen(x[j, h, f])
            share = row.dtype.type(1 / total if begin < end else 0)
            for f in range(width):
                out[i, h, f] = narrow(row[f] * share, out)
            log_sum[i, h] = top + math.log(total)
    return 0


@compiled
def _grad_score(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    score: Any,
    x: Any,
    factor: Any,
    out: Any,
    log_sum: Any,
    grad: Any,
    grad_score: Any,
) -> int:
    _, heads, width = x.shape
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for h in range(heads):
            own = zero_of(x)
            for f in range(width):
                own += widen(grad[i, h, f]) * widen(out[i, h, f])
            for e in range(rowptr[i], rowptr[i + 1]):
                j = uint64(col[e])
                dot = zero_of(x)
                for f in range(width):
                    dot += widen(grad[i, h, f]) * widen(x[j, h, f])
                if factor is not None:
                    dot *= widen(factor[e, h])
                alpha = math.exp(widen(score[e, h]) - log_sum[i, h])
                grad_score[e, h] = narrow(alpha * (dot - own), grad_score)
    return 0


@compiled
def _grad_x(
    first: int,
    last: int,
    num_chunks: int,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    score: Any,
    factor: Any,
    log_sum: Any,
    grad: Any,
    grad_x: Any,
) -> int:
    _, heads, width = grad_x.shape
    row = scratch(grad_x, width)
    for j in range(
        chunk_start(rowptr_t, first, num_chunks), chunk_start(rowptr_t, last, num_chunks)
    ):
        for h in range(heads):
            row[:] = 0
            for t in range(rowptr_t[j], rowptr_t[j + 1]):
                i = uint64(col_t[t])
                alpha = math.exp(widen(score[perm_t[t], h]) - log_sum[i, h])
                if factor is not None:
                    alpha *= widen(factor[perm_t[t], h])
                share = row.dtype.type(alpha)
                for f in range(width):
                    row[f] += share * widen(grad[i, h, f])
            for f in range(width):
                grad_x[j, h, f] = narrow(row[f], grad_x)
    return 0
