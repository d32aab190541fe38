"""Cut small graphs into parts with METIS: which part each node belongs to.

This runs in worker processes (see patching.py) and imports neither torch nor numba: METIS is not
safe in threads, and pymetis therefore lets in one at a time.

All that is random is a hash of the seed and of what it is drawn for, an edge entry or a node of the
whole dataset. So the parts of a graph do not depend on which graphs are cut with it, or where.

Legend: N nodes and E edge entries of all graphs, B graphs to cut, P parts of each.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from types import ModuleType
from typing import NamedTuple

import numpy as np

from gbench.errors import UserError

EDGES, NODES, SLOTS, GRAPHS = range(4)  # what random numbers are drawn for
STATIC = -1  # the seed of parts that are not drawn anew in each epoch


class Graphs(NamedTuple):
    """Graphs side by side: node_ptr, rowptr (N + 1,), col (E,), counted within each graph."""

    node_ptr: np.ndarray
    rowptr: np.ndarray
    col: np.ndarray


def assign(
    graphs: Graphs, ids: np.ndarray, num_parts: int, partition: str, edge_dropout: float, seed: int
) -> np.ndarray:
    """The part of each node of the graphs `ids`, one graph after another.

    As He et al. (ICML 2023) cut them: METIS by recursive bisection of the undirected graph of the
    edge entries that are kept, each with probability 1 - edge_dropout, so that an edge with both
    directions is lost with probability edge_dropout². A graph with fewer nodes than parts has each
    node in a part of its own, any of them. Then all ids of a graph rise alike until the largest
    is P - 1.

    partition=metis-fixed draws neither that order nor METIS's seed: equal graphs with equally
    numbered nodes have equal parts, so that a part has a place that a model can learn.
    partition=random deals shuffled nodes out to the parts in turn instead.

    Shapes: ids (B,) → (nodes of these graphs,) int16.
    Raises UserError where METIS is asked for and pymetis is not installed.
    """
    start = graphs.node_ptr[ids]
    sizes = graphs.node_ptr[ids + 1] - start
    first = np.cumsum(sizes) - sizes  # of each graph among the nodes returned
    graph = np.repeat(np.arange(ids.size), sizes)
    rank = np.arange(graph.size) - first[graph]
    node = start[graph] + rank

    if partition == "random":
        part = np.empty(graph.size, dtype=np.int16)
        part[np.lexsort((_hash(node, NODES, seed), graph))] = rank % num_parts
    else:
        part = (rank % num_parts).astype(np.int16)
        if partition == "metis":
            slots = np.arange(num_parts) + ids[:, None] * num_parts
            any_order = np.argsort(_hash(slots, SLOTS, seed), axis=1).astype(np.int16)
            part = any_order[graph, part]
        large = np.flatnonzero(sizes >= num_parts)
        if large.size:
            ptr, col = _kept_edges(graphs, node, graph, first, edge_dropout, seed)
            seeds = _hash(ids, GRAPHS, seed) >> np.uint64(33)  # 31 bits
            if partition == "metis-fixed":
                seeds[:] = 0
            for b in large.tolist():
                begin, end = first[b], first[b] + sizes[b]
                bounds = ptr[begin : end + 1]
                part[begin:end] = _metis(
                    bounds - bounds[0], col[bounds[0] : bounds[-1]], num_parts, int(seeds[b])
                )

    last = np.zeros(ids.size, dtype=np.int16)
    np.maximum.at(last, graph, part)
    return part + (num_parts - 1 - last)[graph]


def _kept_edges(
    graphs: Graphs,
    node: np.ndarray,
    graph: np.ndarray,
    first: np.ndarray,
    edge_dropout: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The simple undirected graphs of what dropout leaves: (nodes + 1,), (edges,) int64."""
    counts = graphs.rowptr[node + 1] - graphs.rowptr[node]
    target = np.repeat(np.arange(node.size), counts)
    entry = np.arange(target.size) + np.repeat(
        graphs.rowptr[node] - np.cumsum(counts) + counts, counts
    )
    source = graphs.col[entry] + first[graph[target]]
    kept = source != target
    if edge_dropout:
        kept &= _hash(entry, EDGES, seed) >= np.uint64(edge_dropout * 2.0**64)
    target, source = target[kept], source[kept]
    codes = np.unique(np.concatenate([target * node.size + source, source * node.size + target]))
    row, col = np.divmod(codes, node.size)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=node.size))])
    return ptr, col - first[graph[row]]


def _metis(ptr: np.ndarray, col: np.ndarray, num_parts: int, seed: int) -> np.ndarray:
    pymetis = load_pymetis()
    width = pymetis.zero_copy_dtype()
    adjacency = pymetis.CSRAdjacency(ptr.astype(width, copy=False), col.astype(width, copy=False))
    options = pymetis.Options(seed=seed)
    answer = pymetis.part_graph(num_parts, adjacency, recursive=True, options=options)
    part: np.ndarray = np.asarray(answer.vertex_part)
    return part


def load_pymetis() -> ModuleType:
    """The package with METIS in it; UserError where it is not installed."""
    try:
        import pymetis
    except ImportError as error:
        raise UserError(
            "patches are cut by METIS, and the package pymetis is not installed: "
            "pip install pymetis, or take model.partition=random"
        ) from error
    module: ModuleType = pymetis
    return module


def _hash(index: np.ndarray, purpose: int, seed: int) -> np.ndarray:
    """64 random bits for each index: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    offset = _mixed(np.array([4 * (seed + 1) + purpose], dtype=np.uint64))
    return _mixed(index.astype(np.uint64) + offset)


def _mixed(z: np.ndarray) -> np.ndarray:
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


_of_this_process: list[Graphs] = []


def start_process(graphs: Graphs) -> None:
    """Keep the graphs for `assign_here`; leave Ctrl-C to the parent, and end when it has ended."""
    _of_this_process[:] = [graphs]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # returns as well when the parent was killed
        os._exit(1)


def assign_here(
    ids: np.ndarray, num_parts: int, partition: str, edge_dropout: float, seed: int
) -> np.ndarray:
    """`assign` in a process that `start_process` has prepared."""
    return assign(_of_this_process[0], ids, num_parts, partition, edge_dropout, seed)
