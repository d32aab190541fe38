"""What surrounds the items of a dataset, measured in its graphs as they were loaded.

Neighbours are those in either direction, each once, a node itself left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gbench.predictions.grouped import Measure

if TYPE_CHECKING:
    from gbench.audits.audited import Audited

Array = np.ndarray[Any, Any]


def measures(data: Audited) -> Iterator[Measure]:
    """What there is to measure at the dataset's level. Shapes: of all nodes, graphs or pairs."""
    graph, level = data.structure, data.card.level
    degree = graph.degree.astype(np.float64)
    if level == "node":
        yield Measure("degree", "number of neighbours", degree)
        if data.card.labels == "classes":
            yield Measure("homophily", _HOMOPHILY, homophily(data), is_share=True)
        sizes = np.bincount(data.component)[data.component].astype(np.float64)
        yield Measure("component size", "nodes of the connected component", sizes)
    if level == "node" and graph.num_graphs == 1:
        return
    nodes = np.diff(graph.node_ptr).astype(np.float64)
    if level == "node":
        yield Measure(
            "nodes of the graph", "of the graph that it is in", nodes[graph.graph_of_node]
        )
    elif level == "graph":
        edges = np.bincount(graph.graph_of_node, degree, minlength=graph.num_graphs) / 2
        yield Measure("nodes", "nodes of the graph", nodes)
        yield Measure("mean degree", "2 · edges / nodes, edges counted once", 2 * edges / nodes)
    else:
        assert data.store.pairs is not None
        u, v = data.store.pairs.numpy().T
        ends = "the smaller number of neighbours of its two nodes, in the graph of training"
        yield Measure("smaller degree", ends, np.minimum(degree[u], degree[v]))


_HOMOPHILY = (
    "share of a node's labelled neighbours that have its label; none: it has no labelled neighbour"
)


def homophily(data: Audited) -> Array:
    """Of each node; NaN without a labelled neighbour. Shapes: → (N,)."""
    graph, y = data.structure, np.where(data.labelled, data.y, -1)
    row = np.repeat(np.arange(graph.num_nodes), graph.degree)
    label = y[graph.indices]
    known = np.bincount(row[label >= 0], minlength=graph.num_nodes)
    alike = np.bincount(row[(label >= 0) & (label == y[row])], minlength=graph.num_nodes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known > 0, alike / known, np.nan)
