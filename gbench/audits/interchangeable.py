"""Nodes that may change places without changing their graph, numbered at once.

The leaves of a star and the members of a clique have equal neighbourhoods. Whichever order they
are given is as good as any other, so that no search need choose among them.
"""

from __future__ import annotations

import itertools

import numpy as np

from gbench.audits.coloured import Coloured, ranges
from gbench.audits.colours import multisets
from gbench.audits.rows import dense
from gbench.audits.structure import Array


def apart(graphs: Coloured, colours: Array) -> Array:
    """Colours in which nodes of one colour with equal neighbours differ. Shapes: (N,) → (N,).

    Equal neighbours: the same nodes by the same labels, or, where edges carry none, the same nodes
    when each counts among its own. Each pair of two such nodes is the swap of an automorphism.
    """
    owner = graphs.graph_of_node  # nodes without neighbours are of several graphs
    place = _places(dense(owner, colours, _open(graphs)))
    if graphs.edge_codes is None:
        place += _places(dense(colours, _closed(graphs)))  # no node has a partner of both kinds
    return dense(colours, place)


def _open(graphs: Coloured) -> Array:
    keys = [graphs.indices]
    if graphs.edge_codes is not None:
        keys.append(graphs.edge_codes)
    return _equal_rows(graphs.indptr, dense(*keys))


def _closed(graphs: Coloured) -> Array:
    node = np.arange(len(graphs.codes))
    degree = np.diff(graphs.indptr)
    row = np.concatenate([np.repeat(node, degree), node])
    column = np.concatenate([graphs.indices, node])
    order = np.argsort(row * max(len(node), 1) + column, kind="stable")
    return _equal_rows(graphs.indptr + np.arange(len(node) + 1), column[order])


def _equal_rows(ptr: Array, values: Array) -> Array:
    """A number for each row, equal only where rows are equal value by value.

    Shapes: (N + 1,), (E,) ascending in each row → (N,) int64.
    """
    found = multisets(values, ptr)
    first = np.full(int(found.max(initial=-1)) + 1, len(found))
    np.minimum.at(first, found, np.arange(len(found)))
    model, size = first[found], np.diff(ptr)
    is_model = size[model] == size
    own = ranges(ptr[:-1][is_model], size[is_model])
    equal = values[own] == values[ranges(ptr[model[is_model]], size[is_model])]
    if is_model.all() and equal.all():
        return found
    number: dict[bytes, int] = {}  # two rows have one hash by chance
    rows = (values[a:b].tobytes() for a, b in itertools.pairwise(ptr))
    return np.array([number.setdefault(row, len(number)) for row in rows])


def _places(classes: Array) -> Array:
    """0, 1, ... for the members of each class, in their order. Shapes: (N,) → (N,) int64."""
    order = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes)
    place = np.empty(len(classes), dtype=np.int64)
    place[order] = ranges(np.zeros_like(sizes), sizes)
    return place
