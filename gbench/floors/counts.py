"""Counts alone: a forest, or a linear model, on how large graphs are and what occurs in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix, hstack

from gbench.audits.colours import refine
from gbench.audits.learners import forest, linear
from gbench.data.spec import DataSpec
from gbench.floors.floor import Answers, Array, Candidate, Floor
from gbench.floors.shown import Shown

TREES = 100
C = 1.0  # of the linear model, on columns that are divided by their standard deviation
LEAST = 2  # training graphs that a counted colour occurs in, at least


class Counts(Floor):
    """scikit-learn's random forest of 100 trees, or logistic (ridge) regression, on counts.

    Columns are the numbers of nodes and of edges (undirected, loops dropped), the number of edges
    of each label, and for depth 0 to k the number of nodes of each 1-WL colour, labels of nodes and
    edges included, that occurs in a share `least_share` of the training graphs. Seeds are the
    run's. Validation chooses how deep colours are (none, 0, ..., `max_depth`), and the learner.
    """

    uses: ClassVar[tuple[str, ...]] = ("x_numbers", "edge_weight", "edge_attr")
    draws: ClassVar[bool] = True

    def __init__(self, spec: DataSpec, *, max_depth: int = 2, least_share: float = 0.005) -> None:
        super().__init__(spec)
        self.max_depth, self.least_share = max_depth, least_share

    def candidates(self, shown: Shown) -> Iterator[Candidate]:
        """From sizes alone to the deepest colours; for each the linear model before the forest."""
        columns = _Columns(shown, max(LEAST, self.least_share * len(shown.train)))
        is_number = shown.labels == "numbers"
        for depth in (-1, *range(self.max_depth + 1)):
            of = "sizes" if depth < 0 else f"colours-{depth}"
            for name in ("ridge" if is_number else "logistic", "forest"):
                fit = partial(self._fitted, shown, columns, depth, name == "forest")
                yield Candidate({"counts": of, "by": name}, fit)

    def _fitted(self, shown: Shown, columns: _Columns, depth: int, is_forest: bool) -> Answers:
        rows = columns.up_to(depth)
        outputs, y, train = self.spec.num_outputs, shown.y[shown.train], rows[shown.train]
        if is_forest:
            by = forest(train, y, shown.labels, outputs, TREES, shown.seed, jobs())
        else:
            spread = train.std(0)
            scale = np.where(spread > 0, spread, 1)
            scaled = linear(train / scale, y, shown.labels, outputs, C)
            return lambda graphs: scaled(rows[graphs] / scale)
        return lambda graphs: by(rows[graphs])


def jobs() -> int:
    """How many trees are grown at a time: as many as torch has threads; it changes no tree."""
    import torch

    return torch.get_num_threads()


class _Columns:
    """Counts of each graph. Shapes: (G, columns) float32."""

    def __init__(self, shown: Shown, least: float) -> None:
        self.shown, self.least = shown, least
        self.up_to = cache(self._up_to)

    def _up_to(self, depth: int) -> Array:
        """Sizes, and with depth 0 or more labels of edges and colours up to that depth."""
        s = self.shown.structure
        edges = np.bincount(s.graph_of_node, s.degree, s.num_graphs) / 2
        parts: list[Any] = [csr_matrix(np.stack([np.diff(s.node_ptr), edges], axis=1))]
        if depth >= 0:
            if s.edge_label is not None:
                graph_of_entry = np.repeat(s.graph_of_node, s.degree)
                parts.append(self._counted(graph_of_entry, s.edge_label) / 2)
            rounds = refine(self.shown.feature_codes, s.indptr, s.indices, s.edge_label)
            parts += [self._counted(s.graph_of_node, c) for c in islice(rounds, depth + 1)]
        counts: Array = hstack(parts, format="csr").toarray().astype(np.float32)
        return counts

    def _counted(self, graph: Array, codes: Array) -> csr_matrix:
        """How often each code occurs in each graph, of those that occur in enough for training."""
        shape = self.shown.structure.num_graphs, int(codes.max(initial=-1)) + 1
        counts = csr_matrix((np.ones(len(codes)), (graph, codes)), shape=shape)
        counts.sum_duplicates()
        occurring = np.bincount(counts[self.shown.train].indices, minlength=shape[1])
        return counts[:, np.flatnonzero(occurring >= self.least)]
