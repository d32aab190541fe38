"""By what nodes, or graphs, are equal: the keys of a table, from simple to rich.

A key is a number for each node or graph, equal where they are; -1 where it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice

import numpy as np

from gbench.audits.coloured import Coloured
from gbench.audits.colours import multisets, refine
from gbench.audits.isomorphism import isomorphism_classes
from gbench.floors.floor import Array
from gbench.floors.shown import Shown

Key = Array
DEPTHS = 4  # of colours of graphs: 0 to 3


def keys_of_nodes(shown: Shown) -> Iterator[tuple[str, Callable[[], Key]]]:
    """Features; neighbours; both; where edges have a direction the same along it, and both ways.

    Neighbours are equal where two nodes have the same set of them without each other and
    themselves, or with both (open or closed neighbourhood, loops dropped); along the direction of
    edges they are the targets as stored, loops kept. By neighbours alone a node without any is
    equal to none.
    """
    s = shown.structure
    features = shown.feature_codes
    around = cache(lambda: either(s.indptr, s.indices, np.zeros_like(features)))
    yield "features", lambda: features
    yield "neighbours", lambda: np.where(s.degree > 0, around(), -1)
    yield "features+neighbours", lambda: either(s.indptr, s.indices, features)
    if s.is_symmetric:
        return
    out = cache(lambda: multisets(s.out_indices, s.out_ptr))
    both = cache(lambda: paired(out(), multisets(s.in_indices, s.in_ptr)))
    has_out = cache(lambda: _has_other(s.out_ptr, s.out_indices))
    has_any = cache(lambda: has_out() | _has_other(s.in_ptr, s.in_indices))
    yield "out-neighbours", lambda: np.where(has_out(), out(), -1)
    yield "in-and-out-neighbours", lambda: np.where(has_any(), both(), -1)
    yield "features+out-neighbours", lambda: paired(features, out())
    yield "features+in-and-out-neighbours", lambda: paired(features, both())


def keys_of_graphs(shown: Shown) -> Iterator[tuple[str, Callable[[], Key]]]:
    """Multisets of 1-WL colours of depth 0 to 3 and of the stable ones, then isomorphism.

    Labels of nodes and of edges count, directions of edges do not.
    """
    s = shown.structure
    rounds = refine(shown.feature_codes, s.indptr, s.indices, s.edge_label)
    first = list(islice(rounds, DEPTHS))
    for depth, colours in enumerate(first):
        yield f"colours-{depth}", partial(multisets, colours, s.node_ptr)
    last = first[-1]
    for colours in rounds:
        last = colours
    if last is not first[-1]:
        yield "colours-stable", partial(multisets, last, s.node_ptr)
    graphs = Coloured(s.node_ptr, s.indptr, s.indices, dense(shown.feature_codes), s.edge_label)
    yield "isomorphism", lambda: isomorphism_classes(graphs, last).of_graph


def paired(one: Array, other: Array) -> Array:
    """Numbers of equal pairs. Shapes: (N,), (N,) integers → (N,) int64."""
    one, other = dense(one), dense(other)
    return dense(one * (int(other.max(initial=0)) + 1) + other)


def dense(codes: Array) -> Array:
    """The same as ranks, 0, 1, 2, ... Shapes: (N,) integers → (N,) int64."""
    ranks: Array = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    return ranks


def either(indptr: Array, indices: Array, codes: Array) -> Array:
    """Numbers of equal codes and equal open, or equal closed, neighbourhoods.

    No node has twins of both kinds: a twin v of u by open and a twin w by closed neighbourhoods
    would make v a neighbour of w, hence of u. Shapes: codes (N,) → (N,) int64.
    """
    number = len(indptr) - 1
    nodes = np.arange(number)
    opened = paired(codes, multisets(indices, indptr))
    with_self = np.insert(indices, indptr[:-1], nodes)
    closed = paired(codes, multisets(with_self, indptr + np.arange(number + 1)))
    is_closed = np.bincount(closed, minlength=1)[closed] > 1
    return np.where(is_closed, number + closed, opened)


def _has_other(ptr: Array, indices: Array) -> Array:
    """Whether a node has a neighbour but itself. Shapes: (N + 1,), (E,) → (N,) bool."""
    own = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    return np.bincount(own[indices != own], minlength=len(ptr) - 1) > 0
