"""Which graphs are isomorphic, exactly: labels of their nodes and edges kept.

Colour refinement separates most graphs that differ. Those that it leaves together are cut into
connected components, and each component is written in a form by individualisation and refinement,
all at once (gbench/audits/numbering.py): two whose forms are equal, number by number, are
isomorphic, and no hash takes part in that. Components that are equal to 1-WL and have several forms
are searched to the end (gbench/audits/search.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gbench.audits.coloured import Coloured, shared, starts_of
from gbench.audits.colours import multisets
from gbench.audits.interchangeable import apart
from gbench.audits.numbering import cells_of, forms, individualised, is_discrete, targets
from gbench.audits.rows import dense
from gbench.audits.search import MOST_SEARCHED, searched
from gbench.audits.structure import Array


class Classes(NamedTuple):
    """Graphs by isomorphism.

    Shapes: of_graph (G,) int64, 0, 1, ..., equal where graphs are isomorphic; undecided (G,) bool,
    graphs of which a component was searched as far as allowed: they count as different from all
    that they were not proved equal to.
    """

    of_graph: Array
    undecided: Array


def isomorphism_classes(
    graphs: Coloured, stable: Array | None = None, most: int = MOST_SEARCHED
) -> Classes:
    """The classes of isomorphic graphs.

    Shapes: stable (N,) colours that `graphs.stable` gives, where they are known. `most` bounds the
    search: so many nodes and entries of copies of graphs that are equal to 1-WL.
    """
    colours = graphs.stable(graphs.codes) if stable is None else stable
    classes = multisets(colours, graphs.node_ptr)
    undecided = np.zeros(graphs.num_graphs, dtype=bool)
    twins = np.flatnonzero(shared(classes))
    if not len(twins):
        return Classes(classes, undecided)
    parts, owner, order = graphs.take(twins).components()
    found, is_open = _of_connected(parts, colours[graphs.nodes_of(twins)][order], most)
    undecided[twins[owner[is_open]]] = True
    # Equal graphs have the same components as often. Sorted, they are compared one by one.
    found = found[np.lexsort((found, owner))]
    bounds = starts_of(np.bincount(owner, minlength=len(twins)))
    number: dict[bytes, int] = {}
    for graph, first, end in zip(twins, bounds[:-1], bounds[1:], strict=True):
        key = found[first:end].tobytes()
        classes[graph] = graphs.num_graphs + number.setdefault(key, len(number))
    return Classes(dense(classes), undecided)


def _of_connected(graphs: Coloured, colours: Array, most: int) -> tuple[Array, Array]:
    """Classes of connected graphs and what is undecided of them. Shapes: (N,) → (G,), (G,)."""
    group = multisets(colours, graphs.node_ptr)
    classes = group.copy()
    undecided = np.zeros(graphs.num_graphs, dtype=bool)
    twins = np.flatnonzero(shared(group))
    if not len(twins):
        return classes, undecided
    alike, group = graphs.take(twins), group[twins]
    colours = alike.stable(apart(alike, colours[graphs.nodes_of(twins)]))
    by_form = _by_form(alike, colours, group)
    _, first, of_form = np.unique(by_form, return_index=True, return_inverse=True)
    several = shared(group[first])  # forms of one group: equal graphs or not?
    named = np.arange(len(first))
    rest = np.flatnonzero(several)
    if len(rest):
        ids = first[rest]
        same, is_open = searched(alike.take(ids), colours[alike.nodes_of(ids)], group[ids], most)
        named[rest] = rest[same]
        undecided[twins] = np.isin(of_form, rest[is_open])
    classes[twins] = int(classes.max()) + 1 + named[of_form]
    return classes, undecided


def _by_form(graphs: Coloured, colours: Array, group: Array) -> Array:
    """Equal numbers for graphs of one group that come to the same form. Shapes: → (G,) int64."""
    numbers = np.arange(graphs.num_graphs)
    alive = numbers.copy()
    while len(alive):
        group = dense(group, multisets(colours, graphs.node_ptr))
        cells = cells_of(graphs, colours)
        is_done = is_discrete(graphs, cells)
        # What no other graph of its group has come to by the same choices is equal to none by form.
        ids = np.flatnonzero(is_done & shared(group))
        done = graphs.take(ids)
        written = forms(done, cells_of(done, colours[graphs.nodes_of(ids)]))
        known: dict[tuple[int, bytes], int] = {}
        for i, form in zip(ids.tolist(), written, strict=True):
            numbers[alive[i]] = known.setdefault((int(group[i]), form), int(alive[i]))
        rest = np.flatnonzero(~is_done & shared(group))
        alive, group = alive[rest], group[rest]
        colours, graphs = colours[graphs.nodes_of(rest)], graphs.take(rest)
        cells = cells_of(graphs, colours)
        colours = individualised(graphs, colours, cells.order[cells.first[targets(cells)]])
    return numbers
