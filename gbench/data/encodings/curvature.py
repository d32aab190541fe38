"""Local curvature profile: how curved the edges are that meet in a node.

Legend: N nodes, E edges of the simple undirected graph, each direction an entry.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gbench.data.encodings.simple import simple
from gbench.data.encodings.transport import cheapest
from gbench.errors import UserError
from gbench.kernels.cpu.rows import compiled
from gbench.kernels.csr import CSR
from gbench.parallel import in_threads

PIECES = 64
MOST_STEPS = 4e12  # about an hour of one core
STEPS_PER_SECOND = 1e9


def profile(graph: CSR, node_ptr: Tensor, *, curvature: str) -> Tensor:
    """[min, max, mean, standard deviation, median] of the curvatures of a node's edges.

    Fesser and Weber, "Effective Structural Encodings via Local Curvature Profiles" (ICLR 2024). The
    deviation is that of the whole (divided by the degree); a node without edges has zeros. Directed
    edges count in both directions, an edge that stands there twice once, loops not.
    `curvature` of an edge (u, v) is
    - ollivier: 1 - W₁(m_u, m_v), m_u uniform on the neighbours of u, W₁ exact by transport along
      shortest paths (Ollivier 2009, without laziness);
    - forman: 4 - deg u - deg v, and forman-3 the same plus 3 for each triangle it is in.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (N, 5) float32.
    Raises UserError for another curvature, and where ollivier would take more than an hour.
    """
    adjacency = simple(graph)
    ptr, col = adjacency.indptr.astype(np.int64), adjacency.indices.astype(np.int64)
    degree = np.diff(ptr)
    row = np.repeat(np.arange(degree.size), degree)
    if curvature == "ollivier":
        values = _ollivier(ptr, col, row, degree)
    elif curvature in ("forman", "forman-3"):
        values = (4 - degree[row] - degree[col]).astype(np.float64)
        if curvature == "forman-3":
            triangles = np.zeros(col.size)
            _triangles(ptr, col, triangles)
            values += 3 * triangles
    else:
        raise UserError(
            f"encoding.curvature={curvature}: allowed is one of ollivier, forman, forman-3"
        )
    out = np.zeros((degree.size, 5), np.float32)
    _profiles(ptr, values, out)
    return torch.from_numpy(out)


def _ollivier(ptr: Any, col: Any, row: Any, degree: Any) -> np.ndarray:
    """The curvature of each entry. Shapes: → (2 E,) float64."""
    around = np.bincount(row, weights=degree[col], minlength=degree.size)
    one, other = degree[row] * around[col], degree[col] * around[row]
    steps = np.minimum(one, other) + degree[row] * degree[col] * (degree[row] + degree[col] * 1.0)
    is_first = row < col
    # the neighbours of u are marked, those of the neighbours of v looked at
    u, v = np.where(one <= other, row, col)[is_first], np.where(one <= other, col, row)[is_first]
    steps = steps[is_first]
    total = float(steps.sum())
    if total > MOST_STEPS:
        hours = math.ceil(total / STEPS_PER_SECOND / 3600)
        raise UserError(
            f"encoding=lcp: nodes of up to {int(degree.max()):,} neighbours make the transport of "
            f"{u.size:,} edges take up to {hours:,} hours of a core: take "
            "encoding.curvature=forman or forman-3, which take seconds"
        )
    found = np.zeros(u.size)
    marks = np.searchsorted(np.cumsum(steps), np.linspace(0, total, PIECES + 1)[1:-1])
    bounds = np.unique([0, *marks.tolist(), u.size])
    longest = int(degree.max()) if degree.size else 0
    in_threads(
        lambda piece: _curvatures(*piece, u, v, ptr, col, longest, found),
        [*pairwise(bounds.tolist())],
        "curvatures",
    )
    # the entry of (v, u) stands where its number is
    codes = row * degree.size + col
    values = np.empty(col.size)
    values[is_first] = found
    values[np.searchsorted(codes, col[is_first] * degree.size + row[is_first])] = found
    return values


@compiled
def _curvatures(
    first: int, last: int, us: Any, vs: Any, ptr: Any, col: Any, longest: int, out: Any
) -> None:
    mass, mark = np.zeros(len(ptr) - 1, np.int64), np.full(len(ptr) - 1, -1)
    gives, takes = np.empty(longest, np.int64), np.empty(longest, np.int64)
    stamp = 0
    for e in range(first, last):
        u, v = us[e], vs[e]
        near_u, near_v = col[ptr[u] : ptr[u + 1]], col[ptr[v] : ptr[v + 1]]
        common = len(near_u)
        rest = len(near_v)
        while rest:
            common, rest = rest, common % rest
        share_u, share_v = len(near_v) // common, len(near_u) // common
        for x in near_u:
            mass[x] = share_u
        for y in near_v:
            mass[y] -= share_v
        num_gives = num_takes = 0
        for x in near_u:  # what both have stays where it is
            if mass[x] > 0:
                gives[num_gives] = x
                num_gives += 1
        for x in near_u:
            if mass[x] < 0:
                takes[num_takes] = x
                num_takes += 1
                mass[x] = -mass[x]
        for y in near_v:
            if mass[y] < 0:
                takes[num_takes] = y
                num_takes += 1
                mass[y] = -mass[y]
        cost = np.empty((num_gives, num_takes), np.int64)
        for a in range(num_gives):
            x = gives[a]
            stamp += 1
            for e2 in range(ptr[x], ptr[x + 1]):
                mark[col[e2]] = stamp
            for b in range(num_takes):
                y = takes[b]
                cost[a, b] = 1 if mark[y] == stamp else 3  # by way of u and v
                if cost[a, b] == 3:
                    for e2 in range(ptr[y], ptr[y + 1]):
                        if mark[col[e2]] == stamp:
                            cost[a, b] = 2
                            break
        moved = cheapest(cost, mass[gives[:num_gives]], mass[takes[:num_takes]])
        out[e] = 1.0 - moved / (share_u * len(near_u))
        for x in near_u:
            mass[x] = 0
        for y in near_v:
            mass[y] = 0


@compiled
def _triangles(ptr: Any, col: Any, out: Any) -> None:
    """How many neighbours the ends of each entry have in common."""
    for u in range(len(ptr) - 1):
        for e in range(ptr[u], ptr[u + 1]):
            a, b = ptr[u], ptr[col[e]]
            while a < ptr[u + 1] and b < ptr[col[e] + 1]:
                if col[a] == col[b]:
                    out[e] += 1
                    a += 1
                    b += 1
                elif col[a] < col[b]:
                    a += 1
                else:
                    b += 1


@compiled
def _profiles(ptr: Any, values: Any, out: Any) -> None:
    for i in range(len(ptr) - 1):
        own = np.sort(values[ptr[i] : ptr[i + 1]])
        count = len(own)
        if count == 0:
            continue
        mean = own.sum() / count
        out[i, 0], out[i, 1], out[i, 2] = own[0], own[count - 1], mean
        out[i, 3] = np.sqrt(((own - mean) ** 2).sum() / count)
        out[i, 4] = (own[(count - 1) // 2] + own[count // 2]) / 2
