"""What a layer of sheaf diffusion does at its edges: blocks of Δ from maps, Δ x, and gradients.

Δ has the blocks  size_v r_v²  at a node and  -w_e² r_v r_u F_veᵀ F_ue  at an entry e = (v, u), with
r = (1 + size)^-1/2. Of orthogonal maps size_v is Σ w_e², one number; of diagonal ones, w = 1, it is
Σ F_ve² for each channel, and a block is a column of numbers. `by_degree` has r = (1 + degree)^-1/2.

Gradients: with ȳ of Δ x and H_e = ȳ_v x_uᵀ + x_v ȳ_uᵀ, which H of the reverse is the transpose of,
the blocks' are H_e, and the size's is Σ ȳ_v x_v r_v² and what goes through r.

Arrays: blocks (E, S, S), or (E, S, 1) diagonal, hold -F_veᵀ F_ue without the numbers before it; x
is (N · S, F), see small_products.py; size and root (N, 1) or (N, S).
"""

from __future__ import annotations

from typing import Any

import numpy
from numba import uint64

from gbench.kernels.cpu.rows import compiled
from gbench.kernels.cpu.vectors import load, store, total_of, zero


@compiled
def sizes(rowptr: Any, maps: Any, weight: Any, by_degree: bool, size: Any, root: Any) -> None:
    """Size and r of each node. Shapes: maps (E, S, S) or (E, S, 1), weight (E,)."""
    one = root.dtype.type(1)
    for v in range(len(size)):
        begin, end = rowptr[v], rowptr[v + 1]
        for p in range(size.shape[1]):
            total = one - one
            for e in range(uint64(begin), uint64(end)):
                value = maps[e, p, 0] if maps.shape[2] == 1 else weight[e]
                total += value * value
            size[v, p] = total
            root[v, p] = one / numpy.sqrt(one + (end - begin if by_degree else total))


@compiled
def blocks_of(rowptr: Any, reverse: Any, maps: Any, blocks: Any) -> None:
    """-F_veᵀ F_ue of each entry."""
    stalk, width = uint64(maps.shape[1]), uint64(maps.shape[2])
    for e in range(uint64(len(reverse))):
        back = uint64(reverse[e])
        if width == 1:
            for p in range(stalk):
                blocks[e, p, 0] = -maps[e, p, 0] * maps[back, p, 0]
        elif back >= e:
            for p in range(stalk):
                for q in range(stalk):
                    total = maps[e, 0, p] * maps[back, 0, q]
                    for k in range(1, stalk):
                        total += maps[e, k, p] * maps[back, k, q]
                    blocks[e, p, q] = -total
                    blocks[back, q, p] = -total


@compiled
def apply(
    lanes: Any,
    rowptr: Any,
    col: Any,
    weight: Any,
    blocks: Any,
    size: Any,
    root: Any,
    x: Any,
    out: Any,
) -> None:
    """Δ x."""
    stalk, width = uint64(blocks.shape[1]), uint64(blocks.shape[2])
    channels = uint64(root.shape[1])
    for v in range(uint64(len(root))):
        begin, end = uint64(rowptr[v]), uint64(rowptr[v + 1])
        for p in range(stalk):
            k = p if channels > 1 else uint64(0)
            here = root[v, k]
            for column in range(0, x.shape[1], len(lanes)):
                total = zero(lanes, x)
                if end > begin:  # else 0, and not 0 · NaN
                    total += load(lanes, x, v * stalk + p, column) * (size[v, k] * here * here)
                for e in range(begin, end):
                    u = uint64(col[e])
                    factor = here * root[u, k] * weight[e] * weight[e]
                    if width == 1:
                        other = load(lanes, x, u * stalk + p, column)
                        total += other * (factor * blocks[e, p, 0])
                    else:
                        for q in range(width):
                            other = load(lanes, x, u * stalk + q, column)
                            total += other * (factor * blocks[e, p, q])
                store(total, out, v * stalk + p, column)


@compiled
def slopes(
    lanes: Any,
    rowptr: Any,
    col: Any,
    reverse: Any,
    maps: Any,
    weight: Any,
    by_degree: bool,
    blocks: Any,
    size: Any,
    root: Any,
    x: Any,
    grad: Any,
    grad_maps: Any,
    grad_weight: Any,
) -> None:
    """The gradients for maps and weights of Δ x, grad being ȳ; an edge's weight is one number."""
    stalk, width = uint64(blocks.shape[1]), uint64(blocks.shape[2])
    channels = uint64(root.shape[1])
    of_size, of_root = numpy.zeros(size.shape, x.dtype), numpy.zeros(size.shape, x.dtype)
    both = numpy.empty((stalk, stalk), x.dtype)
    for v in range(uint64(len(root))):
        for e in range(uint64(rowptr[v]), uint64(rowptr[v + 1])):
            u, back = uint64(col[e]), uint64(reverse[e])
            if u > v:
                continue
            if width == 1:
                for p in range(stalk):
                    total = _pair(lanes, grad, x, v * stalk + p, u * stalk + p)
                    own, other = root[v, p], root[u, p]
                    grad_maps[e, p, 0] = -total * own * other * maps[back, p, 0]
                    grad_maps[back, p, 0] = -total * own * other * maps[e, p, 0]
                    of_root[v, p] += total * blocks[e, p, 0] * other
                    if u != v:
                        of_root[u, p] += total * blocks[e, p, 0] * own
                continue
            total = x.dtype.type(0)
            for p in range(stalk):
                for q in range(stalk):
                    both[p, q] = _pair(lanes, grad, x, v * stalk + p, u * stalk + q)
                    total += both[p, q] * blocks[e, p, q]
            own, other, w = root[v, 0], root[u, 0], weight[e]
            grad_weight[e] = grad_weight[back] = 2 * w * total * own * other
            of_root[v, 0] += total * w * w * other
            if u != v:
                of_root[u, 0] += total * w * w * own
            factor = own * other * w * w
            for k in range(stalk):
                for p in range(stalk):
                    here, there = x.dtype.type(0), x.dtype.type(0)
                    for q in range(stalk):
                        here += both[p, q] * maps[back, k, q]
                        there += both[q, p] * maps[e, k, q]
                    grad_maps[e, k, p] = -factor * here
                    grad_maps[back, k, p] = -factor * there
    for v in range(uint64(len(root))):
        for p in range(stalk):
            k, total = p if channels > 1 else uint64(0), zero(lanes, x)
            for column in range(0, x.shape[1], len(lanes)):
                values = load(lanes, grad, v * stalk + p, column)
                total += values * load(lanes, x, v * stalk + p, column)
            own = total_of(total)
            of_size[v, k] += own * root[v, k] * root[v, k]
            of_root[v, k] += 2 * own * root[v, k] * size[v, k]
        if not by_degree:
            for k in range(channels):
                cube = root[v, k] * root[v, k] * root[v, k]
                of_size[v, k] -= of_root[v, k] * cube / 2
    for v in range(uint64(len(root))):
        for e in range(uint64(rowptr[v]), uint64(rowptr[v + 1])):
            if width == 1:
                for p in range(stalk):
                    grad_maps[e, p, 0] += 2 * maps[e, p, 0] * of_size[v, p]
            else:
                grad_weight[e] += 2 * weight[e] * (of_size[v, 0] + of_size[uint64(col[e]), 0])


@compiled
def _pair(lanes: Any, a: Any, b: Any, i: int, j: int) -> Any:
    """a_i · b_j + b_i · a_j."""
    total = zero(lanes, a)
    for column in range(0, a.shape[1], len(lanes)):
        total += load(lanes, a, i, column) * load(lanes, b, j, column)
        total += load(lanes, b, i, column) * load(lanes, a, j, column)
    return total_of(total)
