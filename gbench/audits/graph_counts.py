"""Graphs as rows of counts: sizes, labels, and colours of 1-WL.

Legend: G graphs, N nodes, F columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from gbench.audits.audited import Audited
from gbench.audits.colours import refine
from gbench.audits.graph_labels import LabelSet, judges_tasks, label_sets
from gbench.audits.shape import edges_of_graphs
from gbench.audits.structure import Array


def sizes_of(data: Audited) -> Array:
    """Number of nodes and number of edges. Shapes: → (G, 2) int64."""
    return np.stack([np.diff(data.structure.node_ptr), edges_of_graphs(data)], axis=1)


def label_counts(data: Audited) -> Array:
    """How often each label of nodes and then of edges occurs. Shapes: → (G, F) int64.

    Of molecules with several columns each value of each column of the atoms is counted and each of
    the first column of the bonds; of those that are judged by average precision each distinct row.
    """
    s = data.structure
    sets = [labels for labels in label_sets(data) if labels.name != "labels and attributes"]
    columns: list[Array] = []
    if data.dataset.spec.node_categories is not None and data.store.x.size(1) > 1:
        x = data.store.x.numpy()
        columns = [data.feature_codes] if judges_tasks(data) else [*x.T]
    elif len(np.unique(sets[0].nodes)) > 1:
        columns = [sets[0].nodes]
    tables = [_table(s.graph_of_node, column, s.num_graphs) for column in columns]
    edges = _edge_labels(sets, judges_tasks(data))
    if edges is not None:
        # one entry of each edge: that whose node comes first
        row = np.repeat(np.arange(s.num_nodes), np.diff(s.indptr))
        once = row < s.indices
        tables.append(_table(s.graph_of_node[row[once]], edges[once], s.num_graphs))
    return np.hstack(tables) if tables else np.zeros((s.num_graphs, 0), dtype=np.int64)


def _edge_labels(sets: Sequence[LabelSet], whole: bool) -> Array | None:
    by_name = {labels.name: labels.edges for labels in sets}
    if not whole and by_name.get("atom and bond type") is not None:
        return by_name["atom and bond type"]
    return sets[0].edges


def _table(owner: Array, codes: Array, num_graphs: int) -> Array:
    """How often each of 0, 1, ... occurs in each graph. Shapes: → (G, values) int64."""
    codes = codes.astype(np.int64)  # of categories in uint8 there is no -1
    width = int(codes.max(initial=-1)) + 1
    place = owner.astype(np.int64) * width + codes
    return np.bincount(place, minlength=num_graphs * width).reshape(num_graphs, width)


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often each colour of depth 0, 1, ... occurs in each graph."""

    labels: str
    table: Any  # (G, colours) sparse columns of SciPy's, float64

    @staticmethod
    def of(data: Audited, labels: LabelSet, depth: int) -> Histogram:
        """Colours from the labels, up to a depth; of depths after colours are stable none."""
        from scipy.sparse import csc_array, hstack

        graphs = labels.coloured(data)
        owner = graphs.graph_of_node
        rounds = refine(graphs.codes, graphs.indptr, graphs.indices, graphs.edge_codes)
        tables = [
            csc_array(
                (np.ones(len(owner)), (owner, colours)),
                shape=(graphs.num_graphs, colours.max() + 1),
            )
            for colours in islice(rounds, depth + 1)
        ]
        return Histogram(labels.name, hstack(tables, format="csc"))

    def counts(self, train: Array, least: int) -> Any:
        """The columns of the colours that occur in so many training graphs. Shapes: → (G, F)."""
        occurs = np.zeros(self.table.shape[0], dtype=bool)
        occurs[train] = True
        column = np.repeat(np.arange(self.table.shape[1]), np.diff(self.table.indptr))
        in_train = np.bincount(column[occurs[self.table.indices]], minlength=self.table.shape[1])
        found = self.table[:, in_train >= least].tocsr()
        found.indices, found.indptr = (a.astype(np.int32) for a in (found.indices, found.indptr))
        return found  # scikit-learn takes no other indices
