"""Relative random-walk probabilities: where a walk from one node may be after 0, 1, 2, ... steps.

Legend: N nodes of all graphs, n of one, Q = Σ n² pairs, K steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from gbench.data.encodings.by_graph import pairs_of
from gbench.kernels.cpu.rows import array, compiled
from gbench.kernels.csr import CSR

BLOCK = 64  # nodes that walks end at, whose probabilities stay in a core's cache


def probabilities(graph: CSR, node_ptr: Tensor, *, steps: int) -> Tensor:
    """[I, M, M², ..., M^K]_ij with M = D^-1 A: the probability that a walk from i is at j.

    Ma et al., "Graph Inductive Biases in Transformers without Message Passing" (ICML 2023), whose K
    counts the identity: 21 of theirs are steps=20. A walk goes from a receiver to a random one of
    its in-neighbours, so that every row sums to one; of a node without in-neighbours, where a walk
    ends, the row of M is zero. Of undirected graphs that is the usual random walk, and the diagonal
    is that of encoding=rwse with 1 before it. An edge that stands there twice is taken twice as
    often; loops count.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (Q, K + 1) float32.
    """
    rowptr, col = array(graph.rowptr), array(graph.col)

    def work(first: int, last: int, ptr: Any, pair_ptr: Any, out: Any) -> None:
        _walk(first, last, ptr, pair_ptr, rowptr, col, out)

    return pairs_of(node_ptr, steps + 1, work, "walks")


@compiled
def _walk(first: int, last: int, ptr: Any, pair_ptr: Any, rowptr: Any, col: Any, out: Any) -> None:
    largest = 0
    for g in range(first, last):
        largest = max(largest, ptr[g + 1] - ptr[g])
    here, there = np.zeros((largest, BLOCK)), np.zeros((largest, BLOCK))
    for g in range(first, last):
        begin, n = ptr[g], ptr[g + 1] - ptr[g]
        for low in range(0, n, BLOCK):
            width = min(BLOCK, n - low)
            here[:n] = 0.0
            for j in range(width):
                here[low + j, j] = 1.0
            for k in range(out.shape[1]):
                for i in range(n):
                    place = pair_ptr[g] + i * n + low
                    for j in range(width):
                        out[place + j, k] = here[i, j]
                if k + 1 == out.shape[1]:
                    break
                for i in range(n):
                    row = there[i]
                    row[:width] = 0.0
                    start, end = rowptr[begin + i], rowptr[begin + i + 1]
                    for e in range(start, end):
                        source = here[col[e] - begin]
                        for j in range(width):
                            row[j] += source[j]
                    if end > start:
                        share = 1.0 / (end - start)
                        for j in range(width):
                            row[j] *= share
                here, there = there, here
