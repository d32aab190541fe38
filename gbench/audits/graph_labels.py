"""What of a graph's labels is looked at: the label sets under which graphs are compared.

Legend: N nodes of all graphs, E undirected entries of `Structure.indices`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gbench.audits.audited import Audited
from gbench.audits.coloured import Coloured
from gbench.audits.equal_rows import codes_of_rows
from gbench.audits.rows import dense
from gbench.audits.structure import Array, entries_of, pair_labels, rows_of
from gbench.data.loaders.ogb import ATOM_CATEGORIES, BOND_CATEGORIES


class LabelSet(NamedTuple):
    """A way to look at the graphs. Shapes: nodes (N,) int64; edges (E,) int64 or None."""

    name: str  # as facts name it
    nodes: Array
    edges: Array | None
    is_trained_on: bool = True  # training sees all of it

    def coloured(self, data: Audited) -> Coloured:
        """The graphs with these labels; loops with theirs and directions are kept."""
        s = data.structure
        nodes, edges = self.nodes, self.edges
        row = rows_of(s.out_ptr)
        loops = row[row == s.out_indices]
        if len(loops):
            of_loop = np.zeros(s.num_nodes, dtype=np.int64)
            of_loop[loops] = 1
            if edges is not None and data.edge_codes is not None:
                ptr, column = entries_of(data.store, data.store.in_degree, data.store.col)
                row = rows_of(ptr)
                is_loop = row == column
                of_loop[row[is_loop]] = 1 + data.edge_codes[is_loop]
            nodes = dense(nodes, of_loop)
        if data.is_directed:
            direction = _directions(data)
            edges = direction if edges is None else dense(edges, direction)
        return Coloured(
            s.node_ptr, s.indptr, s.indices.astype(np.int64), nodes.astype(np.int64), edges
        )


def label_sets(data: Audited) -> Sequence[LabelSet]:
    """The label sets that a dataset has, the finest first; always ends with the bare graphs."""
    if "label sets" not in data.memo:
        columns = data.dataset.spec.node_categories
        several = columns is not None and len(columns) > 1
        data.memo["label sets"] = [*(_of_columns if several else _of_labels)(data)]
    known: Sequence[LabelSet] = data.memo["label sets"]
    return known


def _of_labels(data: Audited) -> Iterator[LabelSet]:
    """One label of nodes and of edges at most: node labels, node and edge labels, no labels."""
    s, spec, store = data.structure, data.dataset.spec, data.store
    beside, nothing = data.beside, np.zeros(data.structure.num_nodes, dtype=np.int64)
    nodes, numbers = data.feature_codes, store.x_numbers
    are_numbers = spec.node_categories is None and not bool(((store.x == 0) | (store.x == 1)).all())
    if numbers is not None:
        nodes, are_numbers = codes_of_rows(store.x.numpy()), True
    elif are_numbers:
        nodes = nothing
    if "node labels" in beside:
        nodes = codes_of_rows(beside["node labels"].numpy())
    edges, edges_in_training = s.edge_label, True
    if edges is None and "edge labels" in beside:
        edges, edges_in_training = beside_edges(data)[0], False
    has_nodes, has_edges = not _is_structure(nodes, data), edges is not None and edges.any()
    attributes = None
    if "node attributes" in beside:
        attributes = dense(nodes, codes_of_rows(beside["node attributes"].numpy()))
    elif are_numbers:
        attributes = data.feature_codes
    if attributes is not None:
        yield LabelSet(
            "labels and attributes", attributes, edges if has_edges else None, are_numbers
        )
    if has_nodes and has_edges:
        yield LabelSet("node and edge labels", nodes, edges, edges_in_training)
    elif has_edges:
        yield LabelSet("edge labels", nothing, edges, edges_in_training)
    if has_nodes:
        yield LabelSet("node labels", nodes, None)
    yield LabelSet("no labels", nothing, None)


def _is_structure(nodes: Array, data: Audited) -> bool:
    """Whether labels of nodes tell nothing but their degrees, or nothing at all."""
    degree = data.structure.degree
    return len(np.unique(degree)) == len(np.unique(dense(degree, nodes)))


def _of_columns(data: Audited) -> Iterator[LabelSet]:
    """Several columns of categories, as molecules of OGB have them."""
    s, spec, x = data.structure, data.dataset.spec, data.store.x.numpy()
    is_molecules = (
        spec.node_categories == ATOM_CATEGORIES and spec.edge_categories == BOND_CATEGORIES
    )
    nothing = np.zeros(s.num_nodes, dtype=np.int64)
    of_tasks = judges_tasks(data)
    name = "graph, {}" if of_tasks else "{}"
    edges = s.edge_label
    yield LabelSet(name.format("all features"), data.feature_codes, edges)
    if is_molecules and of_tasks:
        kept = [0, *range(2, x.shape[1])]  # chirality is column 1 of atoms, stereo of bonds
        rest = LabelSet("", codes_of_rows(x[:, kept]), _of_bonds(data, [0, 2]))
        yield rest._replace(name=name.format("without chirality and bond stereo"))
    elif is_molecules:
        yield LabelSet("first two columns", codes_of_rows(x[:, :2]), _of_bonds(data, [0, 1]))
        yield LabelSet("atom and bond type", codes_of_rows(x[:, :1]), _of_bonds(data, [0]))
    yield LabelSet(name.format("no labels"), nothing, None)
    if edges is not None and not of_tasks:
        yield LabelSet("all features without bonds' features", data.feature_codes, None)


def judges_tasks(data: Audited) -> bool:
    """Whether the dataset has several tasks judged together by average precision."""
    return data.card.labels == "tasks" and data.card.metric == "ap"


def _of_bonds(data: Audited, columns: list[int]) -> Array:
    """Labels of entries by some columns of what bonds carry. Shapes: → (E,) int64."""
    s, codes, store = data.structure, data.edge_codes, data.store
    assert codes is not None and s.edge_label is not None and s.label_codes is not None
    assert store.edge_code is not None and store.edge_combos is not None
    _, first = np.unique(codes, return_index=True)
    combos = store.edge_combos.numpy()[store.edge_code.numpy()[first].astype(np.int64)]
    coarse = codes_of_rows(combos[:, columns])
    ends = np.sort(coarse[s.label_codes], axis=1)
    labels: Array = dense(ends[:, 0], ends[:, 1])[s.edge_label]
    return labels


def beside_edges(data: Audited) -> tuple[Array, int]:
    """Labels of entries by the file of edges, and how many pairs of nodes have several.

    Shapes: → (E,) int64.
    """
    a, b = data.beside["edges"].numpy()
    order = np.lexsort((b, a))
    ptr = np.concatenate([[0], np.cumsum(np.bincount(a, minlength=data.structure.num_nodes))])
    codes = codes_of_rows(data.beside["edge labels"].numpy())
    return pair_labels(ptr, b[order], codes[order])[:2]


def _directions(data: Audited) -> Array:
    """Which of an undirected entry's two directions are stored: 1, 2 or 3. Shapes: → (E,)."""
    s = data.structure
    key = rows_of(s.indptr) * s.num_nodes + s.indices
    found = np.zeros(len(key), dtype=np.int64)
    for bit, ptr, indices in ((1, s.in_ptr, s.in_indices), (2, s.out_ptr, s.out_indices)):
        stored = rows_of(ptr) * s.num_nodes + indices
        found += bit * np.isin(key, stored)
    return found
