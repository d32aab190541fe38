"""How many different graphs a dataset has, to 1-WL and to isomorphism, and which have two labels.

Two graphs are equal at depth k if they have the same multiset of colours after k rounds of colour
refinement: a network of k layers that passes messages answers both alike. Isomorphic graphs have
one answer of any function of the graph (gbench/audits/isomorphism.py).

Legend: G graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from gbench.audits.audited import Audited
from gbench.audits.coloured import Coloured, shared
from gbench.audits.colours import multisets, refine
from gbench.audits.fact import Fact
from gbench.audits.graph_labels import beside_edges, judges_tasks, label_sets
from gbench.audits.isomorphism import isomorphism_classes
from gbench.audits.item_labels import codes_of
from gbench.audits.rows import dense
from gbench.audits.structure import Array

DEPTHS = ("0", "1", "2", "3", "inf")
SHRUNK = 0.7  # of the nodes, at which the graphs that are still equal to others are copied out
_BY = "classes by isomorphism with the named labels; exact, see gbench/audits/isomorphism.py"
DEFINITIONS = {
    "labels that training sees": "the finest of the label sets of which training reads everything",
    "edges with two labels": "unordered pairs of nodes that the file gives more than one label",
    "node attributes": "continuous columns of the file, which training does not read",
    "node label values in use": "distinct labels of nodes, of several columns distinct rows",
    "edge label values in use": "distinct labels of edges, of several columns distinct rows",
    "distinct graphs at depth {k}, {labels}": "multisets of 1-WL colours of depth k from these "
    "labels (Weisfeiler and Leman 1968); inf: stable colours",
    "distinct graphs, 1-WL depth {k}, {labels}": "the same",
    "1-WL classes that hold several isomorphism classes, {labels}": "multisets of stable colours "
    "that graphs share which are not isomorphic",
    "graphs equal to another for 1-WL but not isomorphic, {labels}": "graphs of this part in a "
    "1-WL class of the part that holds several isomorphism classes",
    "distinct graphs, {labels}": _BY,
    "graphs with a twin, {labels}": "graphs whose class has another member; isomorphism or 1-WL "
    "with the named labels",
    "twin groups, {labels}": "classes with more than one graph",
    "pairs of equal graphs, {labels}": "unordered pairs of isomorphic graphs",
    "conflicting groups, {labels}": "classes with more than one label (of several tasks: row of "
    "labels; of numbers: target)",
    "graphs in conflicting groups, {labels}": "graphs of those classes",
    "undecided graphs, {labels}": "graphs whose test of isomorphism was given up: they count as "
    "different from all that they were not proved equal to",
}


class Graded(NamedTuple):
    """Classes of equal graphs under one label set, each (G,) int64."""

    labels: str
    by_depth: Mapping[str, Array]  # to 1-WL, by depth: see DEPTHS
    exact: Array
    undecided: Array  # (G,) bool


def graded(data: Audited) -> Sequence[Graded]:
    """The classes under each label set of the dataset, computed once."""
    if "graded" not in data.memo:
        found = [_graded(labels.name, labels.coloured(data)) for labels in label_sets(data)]
        data.memo["graded"] = found
        for each in found:
            if each.undecided.any():
                data.skipped[f"isomorphism of some graphs, {each.labels}"] = (
                    f"the test of {each.undecided.sum()} graphs was given up: they count as "
                    "different from all that they were not proved equal to"
                )
    known: Sequence[Graded] = data.memo["graded"]
    return known


def facts(data: Audited) -> Iterator[Fact]:
    """Distinct graphs, twins and conflicts, by label set."""
    seen = next(labels.name for labels in label_sets(data) if labels.is_trained_on)
    yield Fact("", None, "labels that training sees", seen, "")
    for name, value in _values_in_use(data):
        yield Fact("", None, name, value, "count")
    y = codes_of(data)
    everything = np.arange(data.structure.num_graphs)
    for each in graded(data):
        for name, value in _of(data, each, everything, y):
            yield Fact("", None, name, value, "count")
        if each.undecided.any():
            count = int(each.undecided.sum())
            yield Fact("", None, f"undecided graphs, {each.labels}", count, "count")
        if data.card.labels == "numbers" and data.card.num_folds == 1:
            for part, ids in data.splits[0]._asdict().items():
                for name, value in _of(data, each, ids, y):
                    yield Fact(*data.place(0, part), name, value, "count")


def _of(data: Audited, each: Graded, ids: Array, y: Array) -> Iterator[tuple[str, int]]:
    labels, stable, exact = each.labels, each.by_depth["inf"][ids], each.exact[ids]
    for depth, classes in each.by_depth.items():
        if judges_tasks(data):
            yield from _groups(classes[ids], y[ids], f"1-WL depth {depth}, {labels}")
        else:
            yield f"distinct graphs at depth {depth}, {labels}", len(np.unique(classes[ids]))
    together = np.unique(np.stack([stable, exact], axis=1), axis=0)[:, 0]
    several = np.flatnonzero(np.bincount(together, minlength=1) > 1)
    yield f"1-WL classes that hold several isomorphism classes, {labels}", len(several)
    if data.card.labels == "numbers":
        name = f"graphs equal to another for 1-WL but not isomorphic, {labels}"
        yield name, int(np.isin(stable, several).sum())
    yield from _groups(exact, y[ids], labels)
    sizes = np.bincount(exact)
    yield f"pairs of equal graphs, {labels}", int((sizes * (sizes - 1) // 2).sum())


def _groups(classes: Array, y: Array, labels: str) -> Iterator[tuple[str, int]]:
    sizes = np.bincount(classes, minlength=1)
    yield f"distinct graphs, {labels}", int((sizes > 0).sum())
    yield f"graphs with a twin, {labels}", int(sizes[sizes > 1].sum())
    yield f"twin groups, {labels}", int((sizes > 1).sum())
    known = y >= 0
    if known.any():
        pairs = np.unique(np.stack([classes[known], y[known]], axis=1), axis=0)
        in_conflict = np.bincount(pairs[:, 0], minlength=len(sizes)) > 1
        yield f"conflicting groups, {labels}", int(in_conflict.sum())
        yield f"graphs in conflicting groups, {labels}", int(in_conflict[classes].sum())


def _values_in_use(data: Audited) -> Iterator[tuple[str, int]]:
    sets = [labels for labels in label_sets(data) if labels.name != "labels and attributes"]
    yield "node label values in use", max(len(np.unique(each.nodes)) for each in sets)
    edges = [len(np.unique(each.edges)) for each in sets if each.edges is not None]
    yield "edge label values in use", max(edges, default=1)
    if data.edge_codes is None:  # else the facts of size and shape tell it
        yield "edges with two labels", beside_edges(data)[1] if "edges" in data.beside else 0
    if "node attributes" in data.beside:
        yield "node attributes", int(data.beside["node attributes"].size(1))


def _graded(labels: str, graphs: Coloured) -> Graded:
    by_depth, alike, part, colours = refined_classes(graphs)
    exact = by_depth["inf"].copy()
    undecided = np.zeros(graphs.num_graphs, dtype=bool)
    if len(alike):
        found = isomorphism_classes(part, colours)
        exact[alike] = graphs.num_graphs + found.of_graph
        undecided[alike] = found.undecided
    return Graded(labels, by_depth, dense(exact), undecided)


def refined_classes(graphs: Coloured) -> tuple[dict[str, Array], Array, Coloured, Array]:
    """Classes of graphs with equal multisets of colours at each depth of DEPTHS.

    Also the graphs that are equal to another at the end (K,), a copy of them, and its stable
    colours. A graph that equals no other at some depth never will: it is refined no further, which
    leaves few of most datasets after two rounds.
    """
    alike = np.arange(graphs.num_graphs)
    colours = graphs.codes
    classes = multisets(colours, graphs.node_ptr)
    found = {"0": classes}
    while True:
        kept = shared(classes[alike])
        if graphs.sizes[kept].sum() < SHRUNK * len(colours):
            colours = colours[graphs.nodes_of(np.flatnonzero(kept))]
            alike, graphs = alike[kept], graphs.take(np.flatnonzero(kept))
        if not len(alike):
            break
        rounds = refine(colours, graphs.indptr, graphs.indices, graphs.edge_codes)
        finer = list(islice(rounds, 1, 2))
        if not finer:
            break
        colours = finer[0]
        # Members of one class stay together or are parted: numbers above all others are free.
        classes = classes.copy()
        classes[alike] = len(classes) + multisets(colours, graphs.node_ptr)
        classes = dense(classes)
        if len(found) < len(DEPTHS) - 1:
            found[DEPTHS[len(found)]] = classes
    for depth in DEPTHS:
        found.setdefault(depth, classes)
    kept = np.flatnonzero(shared(classes[alike]))
    return found, alike[kept], graphs.take(kept), colours[graphs.nodes_of(kept)]
