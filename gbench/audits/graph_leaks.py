"""Test graphs that equal a training graph, and what copying its label scores.

A graph's twins are the training graphs of its class. Of several twins the most frequent label is
copied (ties: the smallest); of tasks and numbers the mean.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gbench.audits.audited import Audited, Split
from gbench.audits.fact import Fact, Value
from gbench.audits.graph_classes import graded
from gbench.audits.graph_labels import judges_tasks
from gbench.audits.rows import majority
from gbench.audits.scores import UNITS, score
from gbench.audits.structure import Array

Named = Iterator[tuple[str, Value, str]]
DEFINITIONS = {
    "test graphs with a train twin, {labels}": "test graphs that a training graph is isomorphic to",
    "test graphs with a train twin, share, {labels}": "of all test graphs",
    "graphs with a train twin, {labels}": "graphs of the part that a training graph equals: is "
    "isomorphic to, or has the multiset of 1-WL colours of",
    "graphs with a twin in {part}, {labels}": "graphs that one of that part is isomorphic to",
    "copied right, {labels}": "those whose label is the majority label of their training twins "
    "(ties: smallest); of several tasks: whose labels all equal the rounded mean of the twins'",
    "copy the twin, {labels}": "share of test graphs with a training twin that copying gets right",
    "table lookup, {labels}": "copy the twin, else the most frequent training label; of tasks: the "
    "mean label of the training twins, else the training positive rate; mean over tasks",
    "positives among graphs with a train twin, {labels}": "those with label 1",
    "MAE of copying the twin in {part}, {labels}": "over those graphs; of several twins their mean",
}


def facts(data: Audited) -> Iterator[Fact]:
    """What copying finds and scores in each fold."""
    if not data.labelled.any():
        return
    if all(np.array_equal(split.train, split.test) for split in data.splits):
        data.skipped["leaks"] = "the test part is the training part"
        return
    both = data.card.num_folds == 1 and data.card.labels != "classes"
    parts = ("valid", "test") if both else ("test",)
    for each in graded(data):
        kinds = [(each.labels, each.exact)]
        if judges_tasks(data):
            kinds += [(f"1-WL depth {k}, {each.labels}", c) for k, c in each.by_depth.items()]
        for labels, classes in kinds:
            for fold, split in enumerate(data.splits):
                for part in parts:
                    for name, value, unit in _of_part(data, classes, split, part):
                        yield Fact(*data.place(fold, part), f"{name}, {labels}", value, unit)


def _of_part(data: Audited, classes: Array, split: Split, part: str) -> Named:
    if data.card.labels == "classes":
        return _classes(data, classes, split)
    if data.card.labels == "tasks":
        return _tasks(data, classes, split.train, getattr(split, part))
    return _numbers(data, classes, split, part)


def _classes(data: Audited, classes: Array, split: Split) -> Named:
    y, train, test = data.y, split.train, split.test
    copied = majority(classes[train], y[train], int(classes.max()) + 1)[classes[test]]
    found = int((copied >= 0).sum())
    right = int((copied == y[test]).sum())
    most = int(np.bincount(y[train]).argmax())
    yield "test graphs with a train twin", found, "count"
    yield "test graphs with a train twin, share", 100 * found / len(test), "%"
    yield "copied right", right, "count"
    if found:
        yield "copy the twin", 100 * right / found, "%"
    answers = np.where(copied >= 0, copied, most)
    yield "table lookup", 100 * int((answers == y[test]).sum()) / len(test), "%"


def _tasks(data: Audited, classes: Array, train: Array, ids: Array) -> Named:
    y = data.y[ids]
    means, has_twin = twin_means(classes, data.y, train, ids)
    found = int(has_twin.sum())
    yield "graphs with a train twin", found, "count"
    if found:
        # Rounded as the reference does: a half is an even number, 0, and the smaller label.
        same = (np.rint(means) == y) | np.isnan(y)
        yield "copied right", int(same[has_twin].all(axis=1).sum()), "count"
        if y.shape[1] == 1:
            positive = int((y[has_twin] == 1).sum())
            yield "positives among graphs with a train twin", positive, "count"
    is_known = ~np.isnan(data.y[train])
    rate = (data.y[train] == 1).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    answers = np.where(np.isnan(means), rate, means)
    value = score(data.card.metric, answers, y)
    if not np.isnan(value):
        yield "table lookup", value, UNITS[data.card.metric]


def _numbers(data: Audited, classes: Array, split: Split, part: str) -> Named:
    ids = getattr(split, part)
    for other in ("train",) if part == "valid" else ("train", "valid"):
        means, has_twin = twin_means(classes, data.y, getattr(split, other), ids)
        yield f"graphs with a twin in {other}", int(has_twin.sum()), "count"
        if has_twin.any():
            error = np.abs(means - data.y[ids])[has_twin]
            if (known := ~np.isnan(error)).any():
                yield f"MAE of copying the twin in {other}", float(error[known].mean()), "MAE"


def twin_means(classes: Array, y: Array, train: Array, ids: Array) -> tuple[Array, Array]:
    """The mean label of each graph's training twins, NaN without, and whether it has a twin.

    Shapes: classes (G,), y (G, T) → (ids, T), (ids,) bool.
    """
    width = int(classes.max()) + 1
    means = np.full((len(ids), y.shape[1]), np.nan)
    for task, values in enumerate(y.T):
        known = train[~np.isnan(values[train])]
        sums = np.bincount(classes[known], values[known], width)
        counts = np.bincount(classes[known], minlength=width)
        has = counts[classes[ids]] > 0
        means[has, task] = (sums / np.maximum(counts, 1))[classes[ids][has]]
    has_twin: Array = np.bincount(classes[train], minlength=width)[classes[ids]] > 0
    return means, has_twin
