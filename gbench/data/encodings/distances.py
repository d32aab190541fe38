"""Shortest-path distances between all nodes of a graph.

Legend: N nodes of all graphs, n of one, Q = Σ n² pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from gbench.data.encodings.by_graph import pairs_of
from gbench.kernels.cpu.rows import array, compiled
from gbench.kernels.csr import CSR


def distances(graph: CSR, node_ptr: Tensor, *, max: int, one_hot: bool) -> Tensor:
    """At [i, j] the number of edges of a shortest path from the sender j to the receiver i.

    Edges are walked along their direction. What is farther than `max` counts as `max`; where no
    path leads from j to i the value is max + 1, which no distance is. With `one_hot` each of these
    max + 2 values has a column of its own that is 1 there and else 0.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (Q, 1) float32, or
    (Q, max + 2).
    """
    rowptr, col = array(graph.rowptr), array(graph.col)

    def work(first: int, last: int, ptr: Any, pair_ptr: Any, out: Any) -> None:
        _search(first, last, ptr, pair_ptr, rowptr, col, max, out)

    return pairs_of(node_ptr, max + 2 if one_hot else 1, work, "shortest paths")


@compiled
def _search(
    first: int, last: int, ptr: Any, pair_ptr: Any, rowptr: Any, col: Any, most: int, out: Any
) -> None:
    largest = 0
    for g in range(first, last):
        largest = max(largest, ptr[g + 1] - ptr[g])
    far, queue = np.empty(largest, np.int64), np.empty(largest, np.int64)
    for g in range(first, last):
        begin, n = ptr[g], ptr[g + 1] - ptr[g]
        for i in range(n):
            far[:n] = most + 1
            far[i], queue[0], reached = 0, i, 1
            place = 0
            while place < reached:
                j = queue[place]
                place += 1
                for e in range(rowptr[begin + j], rowptr[begin + j + 1]):
                    s = col[e] - begin
                    if far[s] > most:
                        far[s] = min(far[j] + 1, most)
                        queue[reached] = s
                        reached += 1
            row = pair_ptr[g] + i * n
            for j in range(n):
                if out.shape[1] == 1:
                    out[row + j, 0] = far[j]
                else:
                    out[row + j, far[j]] = 1.0
