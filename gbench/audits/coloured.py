"""Coloured graphs side by side, as tests of isomorphism take, copy and cut them.

Legend: G graphs, N nodes of all of them, E entries, two for each edge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gbench.audits.colours import refine
from gbench.audits.structure import Array


@dataclass(frozen=True, eq=False)
class Coloured:
    """G graphs whose nodes and entries carry labels that an isomorphism must keep.

    Shapes: node_ptr (G + 1,), graph g has nodes node_ptr[g] to node_ptr[g + 1]; indptr (N + 1,) and
    indices (E,) the neighbours of node i, ascending, at indptr[i] to indptr[i + 1], numbered over
    all graphs, each edge at both of its ends; codes (N,) labels of nodes; edge_codes (E,) labels of
    entries, which may differ at the two ends of an edge (so that a direction is a label), or None.
    All int64, and labels are dense.
    """

    node_ptr: Array
    indptr: Array
    indices: Array
    codes: Array
    edge_codes: Array | None = None

    @property
    def num_graphs(self) -> int:
        return len(self.node_ptr) - 1

    @property
    def sizes(self) -> Array:
        """The number of nodes of each graph."""
        return np.diff(self.node_ptr)

    @property
    def graph_of_node(self) -> Array:
        return np.repeat(np.arange(self.num_graphs), self.sizes)

    def take(self, ids: Array) -> Coloured:
        """The graphs `ids`, in that order; a graph may occur more than once."""
        sizes = self.sizes[ids]
        node_ptr = starts_of(sizes)
        nodes = ranges(self.node_ptr[ids], sizes)
        first, end = self.indptr[self.node_ptr[ids]], self.indptr[self.node_ptr[ids + 1]]
        entries = ranges(first, end - first)
        shift = np.repeat(node_ptr[:-1] - self.node_ptr[ids], end - first)
        return Coloured(
            node_ptr,
            starts_of(np.diff(self.indptr)[nodes]),
            self.indices[entries] + shift,
            self.codes[nodes],
            None if self.edge_codes is None else self.edge_codes[entries],
        )

    def nodes_of(self, ids: Array) -> Array:
        """The nodes of the graphs `ids`, as `take` orders them."""
        return ranges(self.node_ptr[ids], self.sizes[ids])

    def components(self) -> tuple[Coloured, Array, Array]:
        """Connected components as graphs, in the order of the graphs that they are of.

        Shapes: → C graphs; (C,) the graph that each is of; (N,) what its nodes are called here.
        """
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        num_nodes = len(self.codes)
        joined = csr_array(
            (np.ones(len(self.indices), dtype=np.int8), self.indices, self.indptr),
            shape=(num_nodes, num_nodes),
        )
        count, found = connected_components(joined, directed=False)
        first = np.full(count, num_nodes)
        np.minimum.at(first, found, np.arange(num_nodes))
        by_first = np.argsort(first)  # so that the components of a graph stand together
        place = np.empty(count, dtype=np.int64)
        place[by_first] = np.arange(count)
        component = place[found]
        order = np.argsort(component, kind="stable")
        owner = self.graph_of_node[first[by_first]]
        sizes = np.bincount(component, minlength=count)
        return replace(self.ordered(order), node_ptr=starts_of(sizes)), owner, order

    def ordered(self, order: Array) -> Coloured:
        """The same graphs with their nodes in this order, in which they are cut as before."""
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        degree = np.diff(self.indptr)[order]
        entries = ranges(self.indptr[:-1][order], degree)
        row, column = np.repeat(np.arange(len(order)), degree), place[self.indices[entries]]
        ascending = np.argsort(row * max(len(order), 1) + column, kind="stable")
        entries = entries[ascending]
        return Coloured(
            self.node_ptr,
            starts_of(degree),
            column[ascending],
            self.codes[order],
            None if self.edge_codes is None else self.edge_codes[entries],
        )

    def stable(self, colours: Array) -> Array:
        """The coarsest stable refinement of these colours. Shapes: (N,) → (N,) int64."""
        for found in refine(colours, self.indptr, self.indices, self.edge_codes):
            colours = found
        return colours


def starts_of(sizes: Array) -> Array:
    """Where each of several pieces begins, and the end of all. Shapes: (K,) → (K + 1,) int64."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def ranges(starts: Array, sizes: Array) -> Array:
    """start, start + 1, ..., start + size - 1 of each piece, one after another."""
    before = starts_of(sizes)
    return np.repeat(starts - before[:-1], sizes) + np.arange(before[-1])


def shared(classes: Array) -> Array:
    """Whether each item's class has another member. Shapes: (G,) → (G,) bool."""
    return np.bincount(classes)[classes] > 1 if len(classes) else np.zeros(0, dtype=bool)
