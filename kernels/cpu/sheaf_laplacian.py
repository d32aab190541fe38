"""CPU, numba: per entry one d × d product of maps, then its product with d rows of features."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run


def sheaf_laplacian(
    rowptr: Tensor, col: Tensor, reverse: Tensor, maps: Tensor, x: Tensor
) -> Tensor:
    """The forward of gbench/kernels/sheaf_laplacian.py."""
    out = x.new_empty(x.shape)
    run(
        _diagonal if maps.dim() == 2 else _full,
        count_chunks(maps.numel() * x.size(2)),
        array(rowptr),
        array(col),
        array(reverse),
        array(maps),
        array(x),
        array(out),
    )
    return out


def sheaf_laplacian_backward(
    grad: Tensor, rowptr: Tensor, col: Tensor, reverse: Tensor, maps: Tensor, x: Tensor
) -> Tensor:
    """The maps' gradient of gbench/kernels/sheaf_laplacian.py."""
    grad_maps = torch.empty(maps.shape, dtype=maps.dtype)
    chunks = count_chunks(2 * maps.numel() * x.size(2))
    graph = (array(rowptr), array(col), array(reverse))
    signals = (array(x), array(grad))
    if maps.dim() == 2:
        run(_diagonal_maps, chunks, *graph, array(maps), *signals, array(grad_maps))
        return grad_maps
    own = x.new_empty(x.size(0), x.size(1), x.size(1))
    run(_own, chunks, graph[0], *signals, array(own))
    run(_full_maps, chunks, *graph, array(maps), *signals, array(own), array(grad_maps))
    return grad_maps


@compiled
def _diagonal(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    reverse: Any,
    maps: Any,
    x: Any,
    out: Any,
) -> int:
    _, stalk, width = x.shape
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        out[v] = 0
        for e in range(rowptr[v], rowptr[v + 1]):
            u, back = uint64(col[e]), uint64(reverse[e])
            for p in range(stalk):
                own = maps[e, p] * maps[e, p]
                other = maps[e, p] * maps[back, p]
                for f in range(width):
                    out[v, p, f] += own * x[v, p, f] - other * x[u, p, f]
    return 0


@compiled
def _full(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    reverse: Any,
    maps: Any,
    x: Any,
    out: Any,
) -> int:
    stalk = x.shape[1]
    own = numpy.empty((stalk, stalk), x.dtype)
    other = numpy.empty((stalk, stalk), x.dtype)
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        out[v] = 0
        own[:] = 0
        for e in range(rowptr[v], rowptr[v + 1]):
            u, back = uint64(col[e]), uint64(reverse[e])
            other[:] = 0
            for k in range(stalk):
                for p in range(stalk):
                    for q in range(stalk):
                        own[p, q] += maps[e, k, p] * maps[e, k, q]
                        other[p, q] -= maps[e, k, p] * maps[back, k, q]
            _add_product(other, x, u, out, v)
        _add_product(own, x, uint64(v), out, v)
    return 0


@compiled
def _add_product(block: Any, x: Any, u: int, out: Any, v: int) -> None:
    """Add block @ x[u] to out[v], three rows of x at a time: out is loaded a third as often."""
    _, stalk, width = x.shape
    for p in range(stalk):
        q = 0
        while q + 3 <= stalk:
            a, b, c = block[p, q], block[p, q + 1], block[p, q + 2]
            for f in range(width):
                out[v, p, f] += a * x[u, q, f] + b * x[u, q + 1, f] + c * x[u, q + 2, f]
            q += 3
        while q < stalk:
            a = block[p, q]
            for f in range(width):
                out[v, p, f] += a * x[u, q, f]
            q += 1


@compiled
def _diagonal_maps(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    reverse: Any,
    maps: Any,
    x: Any,
    grad: Any,
    grad_maps: Any,
) -> int:
    _, stalk, width = x.shape
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for p in range(stalk):
            own = x.dtype.type(0)
            for f in range(width):
                own += grad[v, p, f] * x[v, p, f]
            for e in range(rowptr[v], rowptr[v + 1]):
                u, back = uint64(col[e]), uint64(reverse[e])
                cross = x.dtype.type(0)
                for f in range(width):
                    cross += x[u, p, f] * grad[v, p, f] + grad[u, p, f] * x[v, p, f]
                grad_maps[e, p] = 2 * maps[e, p] * own - maps[back, p] * cross
    return 0


@compiled
def _own(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    x: Any,
    grad: Any,
    own: Any,
) -> int:
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        _outer_pair(grad[v], x[v], x[v], grad[v], own[v])
    return 0


@compiled
def _full_maps(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    reverse: Any,
    maps: Any,
    x: Any,
    grad: Any,
    own: Any,
    grad_maps: Any,
) -> int:
    """Both ends of each edge, from the row of its higher end: they share their products."""
    stalk = x.shape[1]
    cross = numpy.empty((stalk, stalk), x.dtype)
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[v], rowptr[v + 1]):
            u, back = uint64(col[e]), uint64(reverse[e])
            if u > uint64(v):
                continue
            _outer_pair(x[u], grad[v], grad[u], x[v], cross)
            for p in range(stalk):
                for q in range(stalk):
                    here, there = x.dtype.type(0), x.dtype.type(0)
                    for k in range(stalk):
                        here += maps[e, p, k] * own[v, k, q] - maps[back, p, k] * cross[k, q]
                        there += maps[back, p, k] * own[u, k, q] - maps[e, p, k] * cross[q, k]
                    grad_maps[e, p, q] = here
                    grad_maps[back, p, q] = there
    return 0


@compiled
def _outer_pair(a: Any, b: Any, c: Any, d: Any, out: Any) -> None:
    """Sum of a bᵀ and c dᵀ, matrices S × F: (S, S)."""
    stalk, width = a.shape
    for p in range(stalk):
        for q in range(stalk):
            total = a.dtype.type(0)
            for f in range(width):
                total += a[p, f] * b[q, f] + c[p, f] * d[q, f]
            out[p, q] = total
