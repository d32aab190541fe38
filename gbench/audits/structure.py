"""The edges of a dataset as an audit looks at them, all graphs side by side.

Everything is numpy, sorted, and made in pieces, so that 10^8 edges fit into 4 GiB.

Legend: G graphs, N nodes of all of them, E entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gbench.data.store import GraphStore

Array = np.ndarray
AT_ONCE = 1 << 23  # entries whose temporary arrays exist at a time


@dataclass(frozen=True, eq=False)
class Structure:
    """Who is joined to whom, undirected and as stored. Node numbers count over all graphs.

    Shapes: node_ptr (G + 1,) int64, graph g has nodes node_ptr[g] to node_ptr[g + 1]; graph_of_node
    (N,) int64. Each of three lists of neighbours is `ptr` (N + 1,) int64 and `indices` (E,) int32,
    those of node i, ascending and each once, at ptr[i] to ptr[i + 1]:
    - indptr, indices: undirected, without loops, so that each pair of nodes has two entries;
    - out_ptr, out_indices: the targets of the edges from i, loops kept;
    - in_ptr, in_indices: the sources of the edges to i, loops kept.
    edge_label (E,) int64 tells apart the undirected entries by what their edges carry, or is None
    where edges carry nothing: dense ranks of the smallest and the largest label that the pair of
    nodes has in either direction, `num_two_labels` pairs having more than one. label_codes
    (labels, 2) int64 tells which two each rank stands for, in the numbers that were given.
    """

    node_ptr: Array
    graph_of_node: Array
    indptr: Array
    indices: Array
    edge_label: Array | None
    out_ptr: Array
    out_indices: Array
    in_ptr: Array
    in_indices: Array
    num_two_labels: int = 0
    label_codes: Array | None = None

    @property
    def num_nodes(self) -> int:
        return len(self.indptr) - 1

    @property
    def num_graphs(self) -> int:
        return len(self.node_ptr) - 1

    @property
    def degree(self) -> Array:
        """Undirected, loops dropped. Shapes: → (N,) int64."""
        return np.diff(self.indptr)

    @property
    def is_symmetric(self) -> bool:
        """Whether every stored edge has its reverse."""
        return self.in_indices is self.out_indices


def structure_of(store: GraphStore, edge_codes: Array | None = None) -> Structure:
    """The structure of packed graphs; edge_codes (E,) are labels of the entries of `store.col`."""
    sizes = store.ranges[2].numpy().astype(np.int64)
    node_ptr = np.concatenate([[0], np.cumsum(sizes)])
    row, col = entries_of(store, store.in_degree, store.col)
    in_ptr, in_indices = once(row, col)
    if store.out_degree is None or store.col_t is None:
        out_ptr, out_indices = in_ptr, in_indices
        indptr, indices = without_loops(in_ptr, in_indices)
    else:
        out_ptr, out_indices = once(*entries_of(store, store.out_degree, store.col_t))
        indptr, indices = _either(in_ptr, in_indices, out_ptr, out_indices)
    labels, num_two, table = None, 0, None
    if edge_codes is not None:
        labels, num_two, table = pair_labels(row, col, edge_codes)
    return Structure(
        node_ptr,
        np.repeat(np.arange(len(sizes)), sizes),
        indptr,
        indices,
        labels,
        out_ptr,
        out_indices,
        in_ptr,
        in_indices,
        num_two,
        table,
    )


def entries_of(store: GraphStore, degree: Tensor, col: Tensor) -> tuple[Array, Array]:
    """Neighbours of all graphs, whose nodes count on. Shapes: (N,), (E,) → (N + 1,), (E,)."""
    ptr = np.concatenate([[0], np.cumsum(degree.numpy(), dtype=np.int64)])
    if store.num_graphs > 1:
        first, _, _, edges = store.ranges
        col = col + first.repeat_interleave(edges, output_size=len(col))
    return ptr, col.numpy()


def pieces(ptr: Array, at_once: int = AT_ONCE) -> Iterator[tuple[int, int]]:
    """Ranges of rows that together have about so many entries; a longer row is one of its own."""
    first, last = 0, len(ptr) - 1
    while first < last:
        end = int(np.searchsorted(ptr, ptr[first] + at_once, side="right")) - 1
        end = min(max(end, first + 1), last)
        yield first, end
        first = end


def rows_of(ptr: Array, first: int = 0, end: int | None = None) -> Array:
    """The row of each entry of rows first to end. Shapes: → (entries,) int64."""
    end = len(ptr) - 1 if end is None else end
    return np.repeat(np.arange(first, end), np.diff(ptr[first : end + 1]))


def once(ptr: Array, indices: Array) -> tuple[Array, Array]:
    """Sorted rows with each entry once; the same arrays where nothing is repeated."""
    keep = np.ones(len(indices), dtype=bool)
    np.not_equal(indices[1:], indices[:-1], out=keep[1:])
    keep[ptr[:-1][np.diff(ptr) > 0]] = True
    return _kept(ptr, indices, keep)


def without_loops(ptr: Array, indices: Array) -> tuple[Array, Array]:
    """Rows without the entry that is the row itself; the same arrays where there is none."""
    keep = np.empty(len(indices), dtype=bool)
    for first, end in pieces(ptr):
        part = slice(ptr[first], ptr[end])
        np.not_equal(indices[part], rows_of(ptr, first, end), out=keep[part])
    return _kept(ptr, indices, keep)


def _kept(ptr: Array, indices: Array, keep: Array) -> tuple[Array, Array]:
    if keep.all():
        return ptr, indices
    before = np.concatenate([[0], np.cumsum(keep)])
    return before[ptr], indices[keep]


def _either(ptr: Array, indices: Array, ptr_t: Array, indices_t: Array) -> tuple[Array, Array]:
    """The neighbours in either direction, each once, without loops."""
    num_nodes = len(ptr) - 1
    counts, found = np.zeros(num_nodes, dtype=np.int64), []
    for first, end in pieces(ptr + ptr_t):
        keys = [
            rows_of(p, first, end) * num_nodes + i[p[first] : p[end]]
            for p, i in ((ptr, indices), (ptr_t, indices_t))
        ]
        row, column = np.divmod(np.unique(np.concatenate(keys)), max(num_nodes, 1))
        is_edge = row != column
        counts[first:end] = np.bincount(row[is_edge] - first, minlength=end - first)
        found.append(column[is_edge].astype(np.int32))
    joined = np.concatenate(found) if found else np.zeros(0, dtype=np.int32)
    return np.concatenate([[0], np.cumsum(counts)]), joined


def pair_labels(ptr: Array, indices: Array, codes: Array) -> tuple[Array, int, Array]:
    """Labels of undirected entries, how many pairs have several, and the codes of each label.

    Shapes: ptr (N + 1,), indices and codes (E,), rows of neighbours as stored, loops and
    repetitions included → labels of the entries of `Structure.indices`; (labels, 2) codes.
    """
    row = rows_of(ptr)
    is_edge = row != indices
    a, b, code = row[is_edge], indices[is_edge].astype(np.int64), codes[is_edge].astype(np.int64)
    num_nodes = len(ptr) - 1
    keys = np.concatenate([a * num_nodes + b, b * num_nodes + a])
    code = np.concatenate([code, code])
    order = np.lexsort((code, keys))
    keys, code = keys[order], code[order]
    is_first = np.ones(len(keys), dtype=bool)
    is_first[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(is_first)
    if not len(starts):
        return np.zeros(0, dtype=np.int64), 0, np.zeros((0, 2), dtype=np.int64)
    ends = np.append(starts[1:], len(keys)) - 1
    lowest, highest = code[starts], code[ends]
    width = int(highest.max()) + 1
    values, labels = np.unique(lowest * width + highest, return_inverse=True)
    table = np.stack(np.divmod(values, width), axis=1)
    return labels.astype(np.int64), int((lowest != highest).sum()) // 2, table
