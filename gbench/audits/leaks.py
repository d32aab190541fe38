"""What test nodes share with training nodes: neighbours, features, both, or not even a component.

The score of copying a twin's label is one that a table reaches, without any learning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gbench.audits.fact import Fact
from gbench.audits.item_labels import classes_of
from gbench.audits.node_fits import LINEAR, adjacency, chosen, linear_scores, shown_to, within
from gbench.audits.rows import majority
from gbench.audits.twins import KINDS, kinds_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from gbench.audits.audited import Audited

HOPS = 3

DEFINITIONS = {
    "nodes without a label in the file": "rows of the label matrix that are all zero; argmax makes "
    "them class 0",
    "unlabelled nodes in {part}": "nodes without a label in the file that the split has there as "
    "class 0",
    "isolated test nodes": "test nodes without a neighbour",
    "unreachable test nodes": "test nodes in a component without a training node (undirected)",
    "test nodes adjacent to a training node": "test nodes with a training node among their "
    "neighbours (undirected)",
    "nodes within {k} hops of train": "share of all nodes at most {k} hops from some training node",
    "test nodes within {k} hops of train": "share of test nodes at most {k} hops from some "
    "training node",
    "test nodes with a train node of the same features": "all-zero rows included",
    "copy the node of the same features": "share of those test nodes whose label is the majority "
    "label of training nodes with the same feature row (ties: smallest)",
}
for _kind, _shared in KINDS.items():
    DEFINITIONS |= {
        f"test nodes with a train twin by {_kind}": "test nodes for which some training node has "
        + _shared,
        f"copy the twin by {_kind}": "share of those test nodes whose label is the majority label "
        "of their training twins (ties: smallest)",
        f"table lookup by {_kind}": "test accuracy of copying the twin where there is one and the "
        "training majority label elsewhere",
        f"table lookup by {_kind}, else logistic regression": "test accuracy of copying the twin "
        "where there is one and the logistic regression elsewhere",
    }


def facts(data: Audited) -> Iterator[Fact]:
    """What holds for nodes with or without labels; of copied labels only where they are classes."""
    if data.assumed is not None:
        count = int(data.assumed.sum())
        yield Fact("", None, "nodes without a label in the file", count, "count")
    joined = adjacency(data.structure)
    for fold in range(len(data.splits)):
        yield from of_assumed(data, fold)
        yield from of_distance(data, fold, joined)
    same = {"features": data.feature_codes, **kinds_of(data)}
    scores = linear_scores(data) if classes_of(data) is not None else None
    for fold in range(len(data.splits)):
        linear = None if scores is None else chosen(data, scores[fold])
        for kind, codes in same.items():
            yield from of_twins(data, fold, kind, codes, linear)


def of_assumed(data: Audited, fold: int) -> Iterator[Fact]:
    """Nodes without a label that a fold trains on or tests."""
    if data.assumed is not None and data.assumed.any():
        for part in ("train", "valid", "test"):
            count = int(data.assumed[getattr(data.splits[fold], part)].sum())
            yield Fact(*data.place(fold), f"unlabelled nodes in {part}", count, "count")


def of_distance(data: Audited, fold: int, joined: csr_array) -> Iterator[Fact]:
    """How far from the training nodes the others are."""
    place, split = data.place(fold), data.splits[fold]
    start = np.zeros(data.structure.num_nodes, dtype=bool)
    start[split.train] = True
    component = data.component
    lit = np.zeros(int(component.max(initial=-1)) + 1, dtype=bool)
    lit[component[split.train]] = True
    unreachable = int((~lit[component[split.test]]).sum())
    adjacent = int((joined @ start)[split.test].sum())
    isolated = int((data.structure.degree[split.test] == 0).sum())
    yield Fact(*place, "isolated test nodes", isolated, "count")
    yield Fact(*place, "unreachable test nodes", unreachable, "count")
    yield Fact(*place, "test nodes adjacent to a training node", adjacent, "count")
    for hops, reached in enumerate(within(joined, start, HOPS), start=1):
        of_all, of_test = 100 * reached.mean(), 100 * reached[split.test].mean()
        yield Fact(*place, f"nodes within {hops} hops of train", float(of_all), "%")
        yield Fact(*place, f"test nodes within {hops} hops of train", float(of_test), "%")


def of_twins(
    data: Audited, fold: int, kind: str, codes: np.ndarray, linear: np.ndarray | None
) -> Iterator[Fact]:
    """Test nodes with a training twin of one kind, and the scores of copying its label."""
    place, split = data.place(fold), data.splits[fold]
    name = "test nodes with a train twin by " + kind
    copied = "copy the twin by " + kind
    if kind == "features":
        name = "test nodes with a train node of the same features"
        copied = "copy the node of the same features"
    number = int(codes.max(initial=-1)) + 1
    trained = split.train[codes[split.train] >= 0]
    has = np.zeros(number + 1, dtype=bool)  # whose last place is that of code -1
    has[codes[trained]] = True
    found = has[codes[split.test]]
    yield Fact(*place, name, int(found.sum()), "count")
    y = classes_of(data)
    if y is None:
        return
    shown, usual = shown_to(data, fold)
    trained = trained[shown[trained] >= 0]
    table = np.append(majority(codes[trained], shown[trained], number), -1)
    answer, truth = table[codes[split.test]], y[split.test]
    found = answer >= 0
    if found.any():
        yield Fact(*place, copied, 100 * float((answer == truth)[found].mean()), "%")
    if kind == "features" or not len(truth):
        return
    looked_up = np.where(found, answer, usual)
    yield Fact(*place, f"table lookup by {kind}", 100 * float((looked_up == truth).mean()), "%")
    if linear is not None:
        looked_up = np.where(found, answer, linear)
        share = 100 * float((looked_up == truth).mean())
        yield Fact(*place, f"table lookup by {kind}, else {LINEAR.split(' on ')[0]}", share, "%")
