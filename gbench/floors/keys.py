"""By what nodes, or graphs, are equal: the keys of a table, from simple to rich.

A key is a number for each node or graph, equal where they are; -1 where it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice

from gbench.audits.coloured import Coloured
from gbench.audits.colours import multisets, refine
from gbench.audits.isomorphism import isomorphism_classes
from gbench.audits.rows import dense
from gbench.audits.twins import kinds
from gbench.floors.floor import Array
from gbench.floors.shown import Shown

Key = Array
DEPTHS = 4  # of colours of graphs: 0 to 3

# keys of nodes beside features, in their order, and what gbench/audits/twins.py calls them
UNDIRECTED = {"neighbours": "neighbours", "features+neighbours": "features + neighbours"}
DIRECTED = {
    "out-neighbours": "out-neighbours",
    "in-and-out-neighbours": "in- and out-neighbours",
    "features+out-neighbours": "features + out-neighbours",
    "features+in-and-out-neighbours": "features + in- and out-neighbours",
}


def keys_of_nodes(shown: Shown) -> Iterator[tuple[str, Callable[[], Key]]]:
    """Features; neighbours; both; where edges have a direction the same along it, and both ways.

    What makes neighbours equal is what makes nodes twins: see KINDS of gbench/audits/twins.py.
    """
    s = shown.structure
    is_directed = not s.is_symmetric
    found = cache(lambda: kinds(s, shown.feature_codes, is_directed))
    yield "features", lambda: shown.feature_codes
    for key, kind in (UNDIRECTED | DIRECTED if is_directed else UNDIRECTED).items():
        yield key, partial(_of_kind, found, kind)


def _of_kind(found: Callable[[], dict[str, Key]], kind: str) -> Key:
    return found()[kind]


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
