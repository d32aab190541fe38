"""Homophily: how often the ends of an edge have the same label, measured as the field does.

Legend: N nodes, E entries of neighbour lists (each edge stands in two rows), C classes. Labels are
numbers of classes, -1 where there is none; an edge with an unlabelled end is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gbench.audits.fact import Fact
from gbench.audits.item_labels import classes_of, num_classes_of
from gbench.audits.structure import pieces, rows_of

if TYPE_CHECKING:
    from gbench.audits.audited import Audited

DEFINITIONS = {
    "edge homophily": "share of undirected edges, loops dropped, whose ends share a label "
    "(Zhu et al. 2020)",
    "edge homophily, directed": "share of the distinct directed edges, loops included, whose ends "
    "share a label",
    "node homophily": "mean over nodes with a neighbour of the share of neighbours with its label "
    "(Pei et al. 2020), undirected",
    "class-insensitive homophily": "1 / (C - 1) sum_k max(0, h_k - n_k / n), h_k = share of the "
    "neighbours of class k's nodes that are of class k, n_k / n = share of class k among labelled "
    "nodes (Lim et al. 2021), undirected",
    "adjusted homophily": "(h_edge - sum_k p_k^2) / (1 - sum_k p_k^2), p_k = share of degree in "
    "class k (Platonov et al. 2023), undirected",
    "label informativeness": "edge label informativeness LI_edge (Platonov et al. 2023), "
    "undirected",
}


def facts(data: Audited) -> Iterator[Fact]:
    """All measures that are defined: none without edges between labelled nodes or with one class.

    Only for labels that are classes, or one task of two.
    """
    y = classes_of(data)
    if y is None:
        return
    graph, num_classes = data.structure, num_classes_of(y)
    mixed = mixing(y, graph.indptr, graph.indices, num_classes)
    counts = np.bincount(y[y >= 0], minlength=num_classes)
    measures = {
        "edge homophily": edge_homophily(mixed),
        "node homophily": node_homophily(y, graph.indptr, graph.indices),
        "class-insensitive homophily": class_insensitive_homophily(mixed, counts),
        "adjusted homophily": adjusted_homophily(mixed),
        "label informativeness": label_informativeness(mixed),
    }
    if data.is_directed:
        directed = mixing(y, graph.out_ptr, graph.out_indices, num_classes)
        measures["edge homophily, directed"] = edge_homophily(directed)
    for name, value in measures.items():
        if np.isfinite(value):
            yield Fact("", None, name, value, "ratio")


def mixing(y: np.ndarray, indptr: np.ndarray, indices: np.ndarray, num_classes: int) -> np.ndarray:
    """How many entries lead from class k to class l. Shapes: (N,), (N + 1,), (E,) → (C, C)."""
    counts = np.zeros(num_classes**2, dtype=np.int64)
    for first, end in pieces(indptr):
        source = y[rows_of(indptr, first, end)]
        target = y[indices[indptr[first] : indptr[end]]]
        known = (source >= 0) & (target >= 0)
        pairs = source[known] * num_classes + target[known]
        counts += np.bincount(pairs, minlength=counts.size)
    return counts.reshape(num_classes, num_classes)


def edge_homophily(mixed: np.ndarray) -> float:
    """The share of entries within a class, NaN without entries. Shapes: mixed (C, C)."""
    total = int(mixed.sum())
    return int(np.trace(mixed)) / total if total else float("nan")


def node_homophily(y: np.ndarray, indptr: np.ndarray, indices: np.ndarray) -> float:
    """The mean over nodes with a neighbour, NaN without any. Shapes: (N,), (N + 1,), (E,)."""
    total, count = 0.0, 0
    for first, end in pieces(indptr):
        row = rows_of(indptr, first, end)
        source, target = y[row], y[indices[indptr[first] : indptr[end]]]
        row -= first
        known = (source >= 0) & (target >= 0)
        degree = np.bincount(row[known], minlength=end - first)
        same = np.bincount(row[known & (source == target)], minlength=end - first)
        there = degree > 0
        total += float((same[there] / degree[there]).sum())
        count += int(there.sum())
    return total / count if count else float("nan")


def class_insensitive_homophily(mixed: np.ndarray, counts: np.ndarray) -> float:
    """Equation 2 of Lim et al. (2021), NaN for one class. Shapes: mixed (C, C), counts (C,)."""
    there = counts > 0
    if there.sum() < 2 or not mixed.sum():
        return float("nan")
    degrees = mixed.sum(axis=1)
    within = np.diag(mixed) / np.maximum(degrees, 1)
    excess = np.maximum(within - counts / counts.sum(), 0)[there]
    return float(excess.sum()) / (int(there.sum()) - 1)


def adjusted_homophily(mixed: np.ndarray) -> float:
    """Edge homophily corrected for the sizes of classes, NaN where one has all edges."""
    p = _shares(mixed)
    chance = float((p**2).sum())
    return (edge_homophily(mixed) - chance) / (1 - chance) if chance < 1 else float("nan")


def label_informativeness(mixed: np.ndarray) -> float:
    """2 - H(labels of an edge's ends) / H(label of one end), NaN where one class has all edges."""
    p = _shares(mixed)
    single = _entropy(p)
    joint = _entropy(mixed.ravel() / max(int(mixed.sum()), 1))
    return 2 - joint / single if single > 0 else float("nan")


def _shares(mixed: np.ndarray) -> np.ndarray:
    """The share of degree that each class has; NaN without entries. Shapes: (C, C) → (C,)."""
    total = int(mixed.sum())
    return mixed.sum(axis=1) / total if total else np.full(len(mixed), np.nan)


def _entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())
