"""Numbering the nodes of coloured graphs by individualisation and refinement, all graphs at once.

McKay (1981); McKay and Piperno, "Practical graph isomorphism, II" (2014). A cell is the set of a
graph's nodes of one colour. One node of a cell is given a colour of its own and all colours are
refined, until every cell is one node: the order of the colours then numbers the nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gbench.audits.coloured import Coloured
from gbench.audits.structure import Array


class Cells(NamedTuple):
    """Nodes by graph and colour.

    Shapes: order (N,) the nodes; first, size, graph (cells,): where in it each cell begins, how
    many nodes it has and of which graph, ascending by colour within each graph.
    """

    order: Array
    first: Array
    size: Array
    graph: Array


def cells_of(graphs: Coloured, colours: Array) -> Cells:
    """The cells of a colouring."""
    owner = graphs.graph_of_node
    key = owner * (int(colours.max(initial=0)) + 1) + colours
    order = np.argsort(key, kind="stable")
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = key[order[1:]] != key[order[:-1]]
    first = np.flatnonzero(begins)
    return Cells(order, first, np.diff(np.append(first, len(order))), owner[order[first]])


def is_discrete(graphs: Coloured, cells: Cells) -> Array:
    """Whether all cells of a graph are single nodes. Shapes: → (G,) bool."""
    found: Array = np.bincount(cells.graph, minlength=graphs.num_graphs) == graphs.sizes
    return found


def targets(cells: Cells) -> Array:
    """The cell to choose from in each graph that has one of several nodes, ascending by graph.

    The smallest of these, and of several the first by colour: isomorphic graphs choose alike.
    """
    several = np.flatnonzero(cells.size > 1)
    by_size = several[np.lexsort((cells.size[several], cells.graph[several]))]
    graph = cells.graph[by_size]
    is_first = np.ones(len(graph), dtype=bool)
    is_first[1:] = graph[1:] != graph[:-1]
    return by_size[is_first]


def individualised(graphs: Coloured, colours: Array, nodes: Array) -> Array:
    """The stable colours once `nodes`, one of each graph, have a colour of their own."""
    marked = colours * 2
    marked[nodes] += 1
    return graphs.stable(marked)


def forms(graphs: Coloured, cells: Cells) -> list[bytes]:
    """Each graph of single-node cells written down in the order of its colours.

    Two graphs with equal forms are isomorphic: the forms hold the labels of all nodes, and all
    neighbours with the labels of the edges to them.
    """
    graphs = graphs.ordered(cells.order)
    begins = graphs.node_ptr
    entries = graphs.indptr[begins]
    degree = np.diff(graphs.indptr)
    within = graphs.indices - np.repeat(begins[:-1], np.diff(entries))
    found = []
    for a, b, c, d in zip(begins[:-1], begins[1:], entries[:-1], entries[1:], strict=True):
        parts = [graphs.codes[a:b], degree[a:b], within[c:d]]
        if graphs.edge_codes is not None:
            parts.append(graphs.edge_codes[c:d])
        found.append(np.concatenate(parts).tobytes())
    return found
