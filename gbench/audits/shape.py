"""Sizes and shapes: of the graphs as their files have them, where the loader can tell.

What training reads may differ: `directed edges, in training` says by how many.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from gbench.audits.audited import Audited, as_stored
from gbench.audits.fact import Fact, Value
from gbench.audits.structure import Array, pieces, rows_of

DEFINITIONS = {
    "nodes": "nodes of the graph, or of all graphs together",
    "edge entries in file": "lines or entries as stored, loops and repetitions included; told "
    "where the loader drops or adds some",
    "directed edges, in training": "entries that training reads: a pair in both directions counts "
    "twice",
    "directed edges, unique": "distinct ordered pairs of nodes with an edge, loops included",
    "self-loops": "nodes with an edge to themselves",
    "edges": "distinct unordered pairs of two different nodes with an edge",
    "reciprocal pairs": "pairs of two different nodes with an edge in both directions",
    "one-directional share": "share of the edges that lack their reverse",
    "directed": "yes if some edge that is no loop lacks its reverse",
    "directed, in training": "the same of the edges that training reads: where it is no, no model "
    "sees what facts of in- and out-neighbours tell",
    "nodes without in-edges": "no in-edge but a loop; an edge goes from the file's source to its "
    "target",
    "nodes without out-edges": "no out-edge but a loop",
    "isolated nodes": "nodes without a neighbour other than themselves, in either direction",
    "components": "connected components of the undirected graph, isolated nodes included",
    "largest component": "nodes of the largest component",
    "maximum degree": "undirected, loops dropped",
    "degrees": "least, lower quartile, median, upper quartile and greatest degree of a node: the "
    "value at or below which that share of the nodes lie; undirected, loops dropped",
    "features": "columns of the nodes' features",
    "all-zero feature rows": "nodes whose features are all zero",
    "unused feature columns": "columns that are zero at every node",
    "graphs": "graphs of the dataset",
    "nodes, mean": "mean over graphs",
    "edges, mean": "distinct unordered pairs of two different nodes; mean over graphs",
    "nodes, minimum and maximum": "of the graphs",
    "edges, minimum and maximum": "of the graphs",
    "graphs with an isolated node": "graphs with a node that has no neighbour",
    "disconnected graphs": "graphs with more than one connected component",
    "graphs without edges": "graphs in which no two nodes are joined",
    "forests": "graphs without a cycle",
    "edges with two labels": "unordered pairs of nodes that occur with more than one edge label",
}


def facts(data: Audited) -> Iterator[Fact]:
    """Facts of the whole dataset that need no labels."""
    for name, value in _facts(data):
        share = name.endswith("share")
        unit = (
            ""
            if name.startswith("directed") and isinstance(value, str)
            else "ratio"
            if share
            else "count"
        )
        yield Fact("", None, name, value, unit)


def _facts(data: Audited) -> Iterator[tuple[str, Value]]:
    s = data.structure
    degree = s.degree
    loops = num_loops(s.out_ptr, s.out_indices)
    edges, directed = len(s.indices) // 2, len(s.out_indices)
    reciprocal = directed - loops - edges
    yield "nodes", s.num_nodes
    if as_stored(data.card) != data.card:
        yield "edge entries in file", data.store.num_edges
    elif "number of edges" in data.beside:
        yield "edge entries in file", int(data.beside["number of edges"])
    yield "directed edges, unique", directed
    yield "directed edges, in training", data.dataset.store.num_edges
    yield "self-loops", loops
    yield "edges", edges
    yield "reciprocal pairs", reciprocal
    yield "directed", "no" if reciprocal == edges else "yes"
    yield "directed, in training", "no" if data.dataset.store.out_degree is None else "yes"
    if reciprocal < edges:
        yield "one-directional share", 1 - reciprocal / edges
    if reciprocal < edges and data.card.level != "graph":
        yield "nodes without in-edges", num_alone(s.in_ptr, s.in_indices)
        yield "nodes without out-edges", num_alone(s.out_ptr, s.out_indices)
    yield "isolated nodes", int((degree == 0).sum())
    yield "maximum degree", int(degree.max())
    yield "degrees", _text(np.quantile(degree, [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf"))
    sizes = np.bincount(data.component)
    yield "components", len(sizes)
    yield "largest component", int(sizes.max())
    yield "features", data.store.x.size(1)
    if data.store.x.is_floating_point():
        zero_rows, zero_columns = data.zeros
        if data.card.level != "graph":
            yield "all-zero feature rows", int(zero_rows.sum())
        yield "unused feature columns", int(zero_columns.sum())
    if data.edge_codes is not None:
        yield "edges with two labels", s.num_two_labels
    if data.card.level == "graph" or s.num_graphs > 1:
        yield from _of_graphs(data)


def _of_graphs(data: Audited) -> Iterator[tuple[str, Value]]:
    s = data.structure
    nodes, edges = np.diff(s.node_ptr), edges_of_graphs(data)
    isolated = s.graph_of_node[s.degree == 0]
    components = components_of_graphs(data)
    yield "graphs", s.num_graphs
    yield "nodes, mean", float(Fraction(s.num_nodes, s.num_graphs))
    yield "edges, mean", float(Fraction(int(edges.sum()), s.num_graphs))
    yield "nodes, minimum and maximum", _text([nodes.min(), nodes.max()])
    yield "edges, minimum and maximum", _text([edges.min(), edges.max()])
    yield "graphs with an isolated node", len(np.unique(isolated))
    yield "disconnected graphs", int((components > 1).sum())
    yield "graphs without edges", int((edges == 0).sum())
    yield "forests", int((edges == nodes - components).sum())


def edges_of_graphs(data: Audited) -> Array:
    """Pairs of two different nodes that are joined, of each graph. Shapes: → (G,) int64."""
    s = data.structure
    found: Array = np.diff(s.indptr[s.node_ptr]) // 2
    return found


def components_of_graphs(data: Audited) -> Array:
    """Connected components of each graph. Shapes: → (G,) int64."""
    _, first = np.unique(data.component, return_index=True)
    return np.bincount(data.structure.graph_of_node[first], minlength=data.structure.num_graphs)


def num_loops(ptr: Array, indices: Array) -> int:
    """Entries that are the row itself."""
    return sum(
        int((indices[ptr[first] : ptr[end]] == rows_of(ptr, first, end)).sum())
        for first, end in pieces(ptr)
    )


def num_alone(ptr: Array, indices: Array) -> int:
    """Rows without an entry other than the row itself; entries of a row differ."""
    single = np.flatnonzero(np.diff(ptr) == 1)
    loops = int((indices[ptr[single]] == single).sum())
    return int((np.diff(ptr) == 0).sum()) + loops


def _text(values: object) -> str:
    return " ".join(str(int(value)) for value in np.asarray(values))
