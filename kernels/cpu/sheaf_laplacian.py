"""CPU, numba: per entry one d × d product of maps, then its product with d rows of features.

All kernels take the scaling of both sides with them: `root` is r in r L r, (N, S) for diagonal maps
and (N, 1) for full ones, which `weight` (E,) multiplies unless it is None.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run


def sheaf_laplacian(
    rowptr: Tensor, col: Tensor, reverse: Tensor, longest: int, maps: Tensor, x: Tensor
) -> Tensor:
    """The forward of gbench/kernels/sheaf_laplacian.py."""
    return applied((rowptr, col, reverse), maps, None, _ones(maps, x), x)


def sheaf_laplacian_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/sheaf_laplacian.py."""
    graph, ones = (rowptr, col, reverse), _ones(maps, x)
    grad_maps = maps_gradient(graph, maps, None, ones, x, grad)
    return grad_maps, applied(graph, maps, None, ones, grad)


def _ones(maps: Tensor, x: Tensor) -> Tensor:
    wide = torch.promote_types(x.dtype, torch.float32)
    return torch.ones((x.size(0), maps.size(1) if maps.dim() == 2 else 1), dtype=wide)


Graph = tuple[Tensor, Tensor, Tensor]  # rowptr, col, and where the reverse of each entry stands


def applied(graph: Graph, maps: Tensor, weight: Tensor | None, root: Tensor, x: Tensor) -> Tensor:
    """Return r L r x. Shapes: x (N, S, F) → (N, S, F)."""
    out = torch.empty(x.shape, dtype=x.dtype)
    given = [array(part) for part in (*graph, maps, root, x, out)]
    chunks = count_chunks(maps.numel() * x.size(2))
    if maps.dim() == 2:
        run(_diagonal, chunks, *given)
    else:
        run(_full, chunks, *given, None if weight is None else array(weight))
    return out


def maps_gradient(
    graph: Graph, maps: Tensor, weight: Tensor | None, root: Tensor, x: Tensor, grad: Tensor
) -> Tensor:
    """The gradient of r L r x for the maps (times the weight), root held fixed."""
    out = torch.empty(maps.shape, dtype=maps.dtype)
    chunks = count_chunks(2 * maps.numel() * x.size(2))
    given = [array(part) for part in (*graph, maps, root, x, grad)]
    if maps.dim() == 2:
        run(_diagonal_maps, chunks, *given, array(out))
        return out
    wide = torch.promote_types(x.dtype, torch.float32)
    own = torch.empty(x.size(0), x.size(1), x.size(1), dtype=wide)
    run(_own, chunks, given[0], *given[5:], array(own))
    factor = None if weight is None else array(weight)
    run(_full_maps, chunks, *given, array(own), factor, array(out))
    return out


@compiled
def _diagonal(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    reverse: Any,
    maps: Any,
    root: Any,
    x: Any,
    out: Any,
) -> int:
    _, stalk, width = x.shape
    total = scratch(x, (stalk, width))
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        total[:] = 0
        for e in range(rowptr[v], rowptr[v + 1]):
            u, back = uint64(col[e]), uint64(reverse[e])
            for p in range(stalk):
                here = widen(maps[e, p]) * root[v, p]
                own, other = here * here, here * widen(maps[back, p]) * root[u, p]
                for f in range(width):
                    total[p, f] += own * widen(x[v, p, f]) - other * widen(x[u, p, f])
        _put(total, out, v)
    return 0


@compiled
def _put(total: Any, out: Any, v: int) -> None:
    """Write the sums of node v."""
    _, stalk, width = out.shape
    for p in range(stalk):
        for f in range(width):
            out[v, p, f] = narrow(total[p, f], out)


@compiled
def _full(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    reverse: Any,
    maps: Any,
    root: Any,
    x: Any,
    out: Any,
    weight: Any,
) -> int:
    stalk = x.shape[1]
    own, other = scratch(x, (stalk, stalk)), scratch(x, (stalk, stalk))
    total = scratch(x, (stalk, x.shape[2]))
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        total[:] = 0
        own[:] = 0
        for e in range(rowptr[v], rowptr[v + 1]):
            u, back = uint64(col[e]), uint64(reverse[e])
            other[:] = 0
            here, there = root[v, 0], root[u, 0]
            if weight is not None:
                here, there = here * widen(weight[e]), there * widen(weight[back])
            for k in range(stalk):
                for p in range(stalk):
                    for q in range(stalk):
                        left = widen(maps[e, k, p]) * here
                        own[p, q] += left * widen(maps[e, k, q]) * here
                        other[p, q] -= left * widen(maps[back, k, q]) * there
            _add_product(other, x, u, total)
        _add_product(own, x, uint64(v), total)
        _put(total, out, v)
    return 0


@compiled
def _add_product(block: Any, x: Any, u: int, total: Any) -> None:
    """Add block @ x[u] to total, three rows of x at a time: total is loaded a third as often."""
    _, stalk, width = x.shape
    for p in range(stalk):
        q = 0
        while q + 3 <= stalk:
            a, b, c = block[p, q], block[p, q + 1], block[p, q + 2]
            for f in range(width):
                both = a * widen(x[u, q, f]) + b * widen(x[u, q + 1, f])
                total[p, f] += both + c * widen(x[u, q + 2, f])
            q += 3
        while q < stalk:
            a = block[p, q]
            for f in range(width):
                total[p, f] += a * widen(x[u, q, f])
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
    root: Any,
    x: Any,
    grad: Any,
    grad_maps: Any,
) -> int:
    _, stalk, width = x.shape
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for p in range(stalk):
            own = zero_of(x)
            for f in range(width):
                own += widen(grad[v, p, f]) * widen(x[v, p, f])
            for e in range(rowptr[v], rowptr[v + 1]):
                u, back = uint64(col[e]), uint64(reverse[e])
                cross = zero_of(x)
                for f in range(width):
                    cross += widen(x[u, p, f]) * widen(grad[v, p, f])
                    cross += widen(grad[u, p, f]) * widen(x[v, p, f])
                slope = 2 * widen(maps[e, p]) * root[v, p] * own
                slope -= widen(maps[back, p]) * root[u, p] * cross
                grad_maps[e, p] = narrow(slope * root[v, p], grad_maps)
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
    root: Any,
    x: Any,
    grad: Any,
    own: Any,
    weight: Any,
    grad_maps: Any,
) -> int:
    """Both ends of each edge, from the row of its higher end: they share their products."""
    stalk = x.shape[1]
    cross = scratch(x, (stalk, stalk))
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[v], rowptr[v + 1]):
            u, back = uint64(col[e]), uint64(reverse[e])
            if u > uint64(v):
                continue
            _outer_pair(x[u], grad[v], grad[u], x[v], cross)
            here_root, there_root = root[v, 0], root[u, 0]
            here_size, there_size = here_root, there_root
            if weight is not None:
                here_size, there_size = (
                    here_root * widen(weight[e]),
                    there_root * widen(weight[back]),
                )
            for p in range(stalk):
                for q in range(stalk):
                    here, there = zero_of(x), zero_of(x)
                    for k in range(stalk):
                        mine = widen(maps[e, p, k]) * here_size
                        other = widen(maps[back, p, k]) * there_size
                        here += mine * own[v, k, q] - other * cross[k, q]
                        there += other * own[u, k, q] - mine * cross[q, k]
                    here, there = here * here_root, there * there_root
                    grad_maps[e, p, q] = narrow(here, grad_maps)
                    grad_maps[back, p, q] = narrow(there, grad_maps)
    return 0


@compiled
def _outer_pair(a: Any, b: Any, c: Any, d: Any, out: Any) -> None:
    """Sum of a bᵀ and c dᵀ, matrices S × F: (S, S)."""
    stalk, width = a.shape
    for p in range(stalk):
        for q in range(stalk):
            total = zero_of(a)
            for f in range(width):
                total += widen(a[p, f]) * widen(b[q, f]) + widen(c[p, f]) * widen(d[q, f])
            out[p, q] = total
