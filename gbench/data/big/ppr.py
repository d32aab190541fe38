"""Personalised PageRank by local pushes: Andersen, Chung and Lang, FOCS 2006.

    π_s = α Σ_{t ≥ 0} (1 - α)^t e_s P^t,    P = D^-1 A

A walk from s goes to one of a node's d in-neighbours with equal probability and ends at each step
with probability α; at a node without any it ends. Pushes go on until the walkers left at a node u
number less than ε max(d_u, 1). Then 0 ≤ π_s(u) - p_s(u) ≤ ε d_u on an undirected graph, and the
work for one s is at most 1 / (ε α) whatever the size of the graph.

Legend: N nodes, S sources, M entries found.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gbench.kernels.cpu.rows import compiled


def personalised(
    rowptr: Any, col: Any, sources: Any, alpha: float, epsilon: float, most: int
) -> tuple[Any, Any, Any]:
    """The nodes with the `most` largest p_s of each source, largest first, and these values.

    Of equal ones the smaller number comes first. Shapes: rowptr (N + 1,), col (E,), sources (S,) →
    ptr (S + 1,) int64, node (M,) int32, value (M,) float64.
    """
    nodes, values, ptr = [], [], np.zeros(len(sources) + 1, np.int64)
    rank, left = np.zeros(len(rowptr) - 1), np.zeros(len(rowptr) - 1)
    for place, source in enumerate(sources):
        node, value = _push(rowptr, col, source, alpha, epsilon, rank, left)
        order = np.lexsort((node, -value))[:most]
        nodes.append(node[order])
        values.append(value[order])
        ptr[place + 1] = ptr[place] + len(order)
    none = np.empty(0)
    return (
        ptr,
        np.concatenate([*nodes, none]).astype(np.int32),
        np.concatenate([*values, none]),
    )


@compiled
def _push(
    rowptr: Any, col: Any, source: Any, alpha: float, epsilon: float, rank: Any, left: Any
) -> tuple[Any, Any]:
    """The nodes that have a rank, and it. `rank` and `left` (N,) are 0 before and after."""
    queue, met = [source], [source]
    left[source] = 1.0
    head = 0
    while head < len(queue):
        u = queue[head]
        head += 1
        degree = rowptr[u + 1] - rowptr[u]
        walkers = left[u]
        left[u] = 0.0
        rank[u] += alpha * walkers
        if degree == 0:
            rank[u] += (1 - alpha) * walkers
            continue
        share = (1 - alpha) * walkers / degree
        for e in range(rowptr[u], rowptr[u + 1]):
            v = col[e]
            limit = epsilon * max(rowptr[v + 1] - rowptr[v], 1)
            before = left[v]
            left[v] = before + share
            if before == 0.0 and rank[v] == 0.0:
                met.append(v)
            if before < limit <= before + share:
                queue.append(v)
    count = 0
    for u in met:
        if rank[u] > 0:
            count += 1
    node, value = np.empty(count, np.int64), np.empty(count)
    count = 0
    for u in met:
        if rank[u] > 0:
            node[count], value[count] = u, rank[u]
            count += 1
        rank[u], left[u] = 0.0, 0.0
    return node, value
