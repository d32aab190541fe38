"""A complete test of isomorphism for the few connected graphs that nothing simpler decides.

Every choice of a node in the chosen cell is followed, as copies of the graph that are refined side
by side, all graphs together. Of a graph's copies only those whose multiset of colours comes first
are followed further; isomorphic graphs have the same ones, so that two graphs whose first multisets
differ are not isomorphic. At the end the smallest form of a graph's copies is canonical.

Own code, because of what libraries took where simpler tests leave graphs undecided (one core): for
the 15 graphs of sr25, the 150 of CSL and the 1,200 of EXP networkx's vf2pp took 15, 52 and 5 s, its
vf2 12, more than 60 and 27 s, and neither can be told when to end; this takes below a second each,
as pynauty and igraph do, of which the first must be compiled and both are under the GPL.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gbench.audits.coloured import Coloured, ranges, shared
from gbench.audits.colours import multisets
from gbench.audits.numbering import cells_of, forms, individualised, is_discrete, targets
from gbench.audits.rows import dense
from gbench.audits.structure import Array

MOST_SEARCHED = 1 << 24  # entries and nodes of copies of one group of graphs: some 20 seconds
AT_ONCE = 1 << 22  # the same of all groups whose copies are refined together


class _State(NamedTuple):
    """Copies of graphs that are searched together.

    Shapes: ids (R,) the graphs; group (R,), within which they may be isomorphic; spent (R,), nodes
    and entries of the group's copies so far; colours (N,) of the copies' nodes; of (copies,), which
    item of `ids` each is a copy of.
    """

    ids: Array
    group: Array
    spent: Array
    copies: Coloured
    colours: Array
    of: Array


def searched(
    graphs: Coloured, colours: Array, group: Array, most: int = MOST_SEARCHED
) -> tuple[Array, Array]:
    """Classes of isomorphic graphs, none of them across groups, and what was left undecided.

    Shapes: G graphs, stable colours (N,), group (G,) → (G,) int64, (G,) bool. A graph that was left
    undecided is alone in its class.
    """
    count = graphs.num_graphs
    classes, undecided = np.arange(count), np.zeros(count, dtype=bool)
    ids = np.arange(count)
    stack = [_State(ids, group, np.zeros(count, dtype=np.int64), graphs, colours, ids)]
    while stack:
        state = _first_multisets(stack.pop())
        if not len(state.ids):
            continue
        cells = cells_of(state.copies, state.colours)
        done = is_discrete(state.copies, cells)
        if done.any():
            _name(_part(state, _rows(state, done)), classes)
            state = _part(state, ~_rows(state, done))
        if len(state.ids):
            stack += _followed(state, most, undecided)
    return classes, undecided


def _first_multisets(state: _State) -> _State:
    """The copies with the first multiset of each graph, groups parted by it, lone graphs left."""
    found = multisets(state.colours, state.copies.node_ptr)
    first = np.full(len(state.ids), len(found) + 1)
    np.minimum.at(first, state.of, found)
    state = _copies(state, found == first[state.of])
    state = state._replace(group=dense(state.group, first))
    return _part(state, shared(state.group))


def _rows(state: _State, of_copies: Array) -> Array:
    """Whether a graph has such a copy. Shapes: (copies,) bool → (R,) bool."""
    found = np.zeros(len(state.ids), dtype=bool)
    found[state.of[of_copies]] = True
    return found


def _name(state: _State, classes: Array) -> None:
    """Give graphs of one group with equal smallest forms one class."""
    written = forms(state.copies, cells_of(state.copies, state.colours))
    smallest: dict[int, bytes] = {}
    for row, form in zip(state.of.tolist(), written, strict=True):
        smallest[row] = min(form, smallest.get(row, form))
    known: dict[tuple[int, bytes], int] = {}
    for row, form in smallest.items():
        name = int(state.ids[row])
        classes[name] = known.setdefault((int(state.group[row]), form), name)


def _followed(state: _State, most: int, undecided: Array) -> list[_State]:
    """The states after each choice in each copy's chosen cell, in pieces that fit into memory."""
    cells = cells_of(state.copies, state.colours)
    chosen = targets(cells)
    choices = cells.size[chosen]
    copies = state.copies
    entries = np.diff(copies.indptr[copies.node_ptr])
    cost = np.bincount(state.group[state.of], weights=choices * (copies.sizes + entries)).astype(
        np.int64
    )
    spent = state.spent + cost[state.group]
    within = spent <= most
    undecided[state.ids[~within]] = True
    batch = (np.cumsum(cost) - cost) // AT_ONCE
    found = []
    for number in np.unique(batch[state.group[within]]):
        rows = within & (batch[state.group] == number)
        kept = rows[state.of]
        times, first = choices[kept], cells.first[chosen][kept]
        part = _part(state._replace(spent=spent), rows)
        again = np.repeat(np.arange(len(times)), times)
        grown = part.copies.take(again)
        node = cells.order[ranges(first, times)]
        owner = np.repeat(copies.node_ptr[:-1][kept], times)
        colours = part.colours[part.copies.nodes_of(again)]
        colours = individualised(grown, colours, node - owner + grown.node_ptr[:-1])
        found.append(part._replace(copies=grown, colours=colours, of=part.of[again]))
    return found


def _copies(state: _State, kept: Array) -> _State:
    """The state with some of its copies."""
    if kept.all():
        return state
    ids = np.flatnonzero(kept)
    return state._replace(
        copies=state.copies.take(ids),
        colours=state.colours[state.copies.nodes_of(ids)],
        of=state.of[ids],
    )


def _part(state: _State, rows: Array) -> _State:
    """The state with some of its graphs."""
    if rows.all():
        return state
    state = _copies(state, rows[state.of])
    place = np.cumsum(rows) - 1
    return state._replace(
        ids=state.ids[rows],
        group=state.group[rows],
        spent=state.spent[rows],
        of=place[state.of],
    )
