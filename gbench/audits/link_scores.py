"""Scores of pairs of nodes by their neighbours (Liben-Nowell and Kleinberg, CIKM 2003).

With N(u) the distinct neighbours of u but itself, in either direction, and d = |N|:

    common-neighbours         |N(u) ∩ N(v)|
    resource-allocation       Σ of 1 / d(w) over w in N(u) ∩ N(v)      (Zhou, Lü and Zhang, 2009)
    adamic-adar               Σ of 1 / ln d(w) over the same           (Adamic and Adar, 2003)
    preferential-attachment   d(u) d(v)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from gbench.audits.structure import Structure

Array = np.ndarray[Any, Any]

NAMES = ("common-neighbours", "preferential-attachment", "resource-allocation", "adamic-adar")
ENTRIES_AT_ONCE = 1 << 24  # neighbours of the pairs that are looked at together: 200 MB


def neighbours(graph: Structure) -> csr_matrix:
    """1 for each pair that is linked in either direction, loops dropped. Shapes: → (N, N)."""
    ones = np.ones(len(graph.indices))
    return csr_matrix((ones, graph.indices, graph.indptr), shape=(graph.num_nodes,) * 2)


def scores(name: str, linked: csr_matrix, pairs: Array) -> Array:
    """One of `NAMES` for each pair. Shapes: linked (N, N) of `neighbours`, pairs (P, 2) → (P,)."""
    degree = np.diff(linked.indptr).astype(np.float64)
    if name == "preferential-attachment":
        product: Array = degree[pairs[:, 0]] * degree[pairs[:, 1]]
        return product
    weight = _weights(name, degree)
    found = np.zeros(len(pairs))
    entries = (degree[pairs[:, 0]] + degree[pairs[:, 1]]).cumsum()
    piece = (entries // ENTRIES_AT_ONCE).astype(np.int64)
    for rows in np.split(np.arange(len(pairs)), np.flatnonzero(np.diff(piece)) + 1):
        u, v = pairs[rows].T
        found[rows] = linked[u].multiply(linked[v]) @ weight
    return found


def _weights(name: str, degree: Array) -> Array:
    """What a common neighbour counts. Shapes: (N,) → (N,)."""
    if name == "common-neighbours":
        return np.ones(len(degree))
    of = np.log(degree, where=degree > 0, out=np.zeros(len(degree)))
    if name == "resource-allocation":
        of = degree
    return np.divide(1.0, of, where=of > 0, out=np.zeros(len(degree)))
