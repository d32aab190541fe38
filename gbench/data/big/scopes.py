"""What surrounds each of some nodes of a big graph, as graphs of their own side by side.

Zeng et al., "Decoupling the Depth and Scope of Graph Neural Networks" (NeurIPS 2021): a node's
scope is a small set of nodes with all edges among them, and a model of any depth sees the scope
alone. Two scopes of a batch share nothing, even where they have the same nodes.

Legend: N nodes of the whole graph, R roots, C nodes and K entries of their scopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import uint64
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.big.neighbours import _choose
from gbench.data.big.part import Pattern, with_transpose
from gbench.data.big.ppr import personalised
from gbench.data.store import GraphStore
from gbench.data.transfer import on_device
from gbench.kernels import CSR
from gbench.kernels.cpu.rows import array, compiled

ALL = -1  # a budget that leaves no neighbour out


class Scopes(NamedTuple):
    """The scopes of some roots. A scope's nodes stand in their order in the whole graph.

    Shapes: graph C × C; node (C,) int32 of the whole graph; entry (K,) int32, the entry of the
    whole graph that each copies; ptr (R + 1,) int32; root (R,) int64, where each root stands.
    """

    graph: CSR
    node: Tensor
    entry: Tensor
    ptr: Tensor
    root: Tensor


Members = Callable[[Any], Iterator[Any]]  # the nodes of each root's scope, in any order


def by_ppr(pattern: Pattern, *, alpha: float, epsilon: float, most: int) -> Members:
    """Each root with the `most` nodes that personalised PageRank ranks highest (see ppr.py)."""
    rowptr, col = array(pattern.rowptr), array(pattern.col)

    def members(roots: Any) -> Iterator[Any]:
        ptr, node, _ = personalised(rowptr, col, roots, alpha, epsilon, most)
        for place in range(len(roots)):
            yield node[ptr[place] : ptr[place + 1]]

    return members


def by_hops(pattern: Pattern, *, hops: int, budget: int) -> Members:
    """Each root, and at each hop `budget` in-neighbours of each node met at the one before.

    They are drawn uniformly without replacement, by root and node alone: the same in every epoch.
    """
    rowptr, col = array(pattern.rowptr), array(pattern.col)

    def members(roots: Any) -> Iterator[Any]:
        for root in roots:
            with pattern.places() as places:
                yield _within(rowptr, col, int(root), hops, budget, places)

    return members


def remembered(members: Members) -> Members:
    """The same, each root's nodes found once: 4 bytes in memory for each of them."""
    found: dict[int, Any] = {}

    def look(roots: Any) -> Iterator[Any]:
        missing = np.array([root for root in roots.tolist() if root not in found], dtype=np.int64)
        for root, nodes in zip(missing.tolist(), members(missing), strict=True):
            found[root] = nodes.astype(np.int32)
        return (found[root] for root in roots.tolist())

    return look


def scopes_of(pattern: Pattern, roots: Tensor, members: Members) -> Scopes:
    """The scopes of these roots, each root in its own."""
    own = roots.numpy().astype(np.int64)
    found = [
        np.unique(np.append(nodes, root)) for nodes, root in zip(members(own), own, strict=True)
    ]
    ptr = np.zeros(len(found) + 1, np.int32)
    ptr[1:] = np.cumsum([len(nodes) for nodes in found])
    node = np.concatenate([*found, np.empty(0)]).astype(np.int32)
    places = [
        start + np.searchsorted(nodes, root)
        for start, nodes, root in zip(ptr[:-1], found, own, strict=True)
    ]
    with pattern.places() as free:
        rowptr, col, entry = _induced(array(pattern.rowptr), array(pattern.col), ptr, node, free)
    graph = with_transpose(rowptr, col, len(node), pattern.longest)
    root_at = torch.tensor(places, dtype=torch.int64)
    made = [torch.from_numpy(each) for each in (node, entry, ptr)]
    return Scopes(graph, made[0], made[1], made[2], root_at)


def batch_of(store: GraphStore, scopes: Scopes) -> Batch:
    """The batch of scopes, where the store is: its targets are the roots, which alone have a label.

    Others have -1 or NaN, which no loss takes for one.
    """
    graph, node, entry, ptr, root = on_device(scopes, store.device)
    none = torch.nan if store.y.is_floating_point() else -1
    y = store.y.new_full((node.numel(), *store.y.shape[1:]), none)
    y[root] = store.y[node[root]]

    def of(values: Tensor | None, places: Tensor) -> Tensor | None:
        return None if values is None else values.index_select(0, places)

    return Batch(
        graph,
        store.x.index_select(0, node),
        y,
        ptr,
        edge_code=of(store.edge_code, entry),
        edge_combos=store.edge_combos,
        targets=root,
        pe=of(store.pe, node),
        teacher=of(store.teacher, node),
        edge_weight=of(store.edge_weight, entry),
        edge_attr=of(store.edge_attr, entry),
        x_numbers=of(store.x_numbers, node),
    )


@compiled
def _within(rowptr: Any, col: Any, root: int, hops: int, budget: int, places: Any) -> Any:
    """The nodes within so many hops. `places` is all -1 before and after."""
    met = [root]
    places[root] = 0
    begin = 0
    for _ in range(hops):
        end = len(met)
        for i in range(begin, end):
            first, degree = rowptr[met[i]], rowptr[met[i] + 1] - rowptr[met[i]]
            count = degree if budget < 0 else min(degree, budget)
            row = np.empty(count, np.int32)
            _choose(degree, uint64(root) << uint64(32) ^ uint64(met[i]), row)
            for n in range(count):
                j = col[first + row[n]]
                if places[j] < 0:
                    places[j] = 0
                    met.append(j)
        begin = end
    nodes = np.empty(len(met), np.int64)
    for i in range(len(met)):
        nodes[i] = met[i]
        places[met[i]] = -1
    return nodes


@compiled
def _induced(rowptr: Any, col: Any, ptr: Any, node: Any, places: Any) -> tuple[Any, Any, Any]:
    """Rows, columns and entries of the edges within each scope.

    `places` is all -1 before and after.
    """
    ends = np.zeros(len(node) + 1, np.int32)
    for counting in (True, False):
        if counting:
            chosen, entry = np.empty(0, np.int32), np.empty(0, np.int32)
        else:
            chosen, entry = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32)
        count = 0
        for s in range(len(ptr) - 1):
            for i in range(ptr[s], ptr[s + 1]):
                places[node[i]] = i
            for i in range(ptr[s], ptr[s + 1]):
                for e in range(rowptr[node[i]], rowptr[node[i] + 1]):
                    j = places[col[e]]
                    if j >= 0:
                        if not counting:
                            chosen[count], entry[count] = j, e
                        count += 1
                ends[i + 1] = count
            for i in range(ptr[s], ptr[s + 1]):
                places[node[i]] = -1
    return ends, chosen, entry
