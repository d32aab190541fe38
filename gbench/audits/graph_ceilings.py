"""The best that any function of a graph, or of its colours at some depth, can score.

Graphs that the function cannot tell apart have one answer. Two bounds are kept apart: of one rule
over all graphs of the dataset, and within the test part of each fold, where the rule may be another
in each fold: the second is the bound of a mean over folds, and is higher.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gbench.audits.audited import Audited
from gbench.audits.best import ACCURACY, Best, in_metric
from gbench.audits.fact import Fact
from gbench.audits.graph_classes import Graded, graded
from gbench.audits.graph_labels import judges_tasks
from gbench.audits.scores import UNITS
from gbench.audits.structure import Array

_WITHIN = "within the part: no model that sees only this scores more"
DEFINITIONS = {
    "ceiling at depth {k}, {labels}": "accuracy over all graphs of the best rule that sees only "
    "the multiset of 1-WL colours of depth k from these labels",
    "ceiling, {labels}": "accuracy over all graphs of the best rule that gives isomorphic graphs "
    "one label",
    "test ceiling at depth {k}, {labels}": f"majority label of each multiset of 1-WL colours "
    f"{_WITHIN}",
    "test ceiling, {labels}": f"majority label of each isomorphism class {_WITHIN}",
    "ROC-AUC ceiling at depth {k}, {labels}": "highest ROC-AUC of a score constant on each "
    "multiset of 1-WL colours of depth k within the part: the share of positive labels; mean over "
    "tasks",
    "ROC-AUC ceiling, {labels}": "the same on each isomorphism class",
    "AP ceiling at depth {k}, {labels}": "average precision within the part of the share of "
    "positive labels of each multiset of 1-WL colours of depth k; mean over tasks",
    "AP ceiling, 1-WL depth {k}, {labels}": "the same",
    "AP ceiling, {labels}": "the same on each isomorphism class",
    "MAE floor at depth {k}, {labels}": "median target of each multiset of 1-WL colours of depth k "
    "within the part: no model that sees only this has less; mean over targets",
    "MAE floor, {labels}": "the same of each isomorphism class",
    "RMSE floor at depth {k}, {labels}": "mean target of each multiset of 1-WL colours of depth k "
    "within the part: no model that sees only this has less; mean over targets",
    "RMSE floor, {labels}": "the same of each isomorphism class",
    "R2 ceiling at depth {k}, {labels}": "R² of the mean target of each multiset of 1-WL colours "
    "of depth k within the part; mean over targets",
    "R2 ceiling, {labels}": "the same of each isomorphism class",
    "test {metric} at depth {k}, {labels}": "within the test part of the fold",
    "test {metric}, {labels}": "within the test part of the fold",
}


def facts(data: Audited) -> Iterator[Fact]:
    """Ceilings (of errors: floors) in accuracy or else in the dataset's own metric."""
    if not data.labelled.any():
        return
    if data.card.labels == "classes":
        y = np.where(data.labelled, data.y, -1)
        for each in graded(data):
            for name, classes in _named(data, each, "ceiling"):
                yield Fact("", None, name, ACCURACY.function(classes, y), "%")
            for fold, split in enumerate(data.splits):
                for name, classes in _named(data, each, "test ceiling"):
                    value = ACCURACY.function(classes[split.test], y[split.test])
                    yield Fact(*data.place(fold), name, value, "%")
    is_one = data.card.num_folds == 1
    for best in in_metric(data.card):
        for each in graded(data):
            for fold, split in enumerate(data.splits):
                for part, ids in split._asdict().items():
                    if part == "test" or (is_one and _tells(data, part)):
                        yield from _of_part(data, each, best, fold, part, ids)


def _tells(data: Audited, part: str) -> bool:
    return part == "valid" or data.card.labels == "numbers"


def _of_part(
    data: Audited, each: Graded, best: Best, fold: int, part: str, ids: Array
) -> Iterator[Fact]:
    place = data.place(fold, part)
    prefix = "" if place[0] == part else "test "
    y = data.y[ids] if data.y.ndim == 2 else data.y[ids, None].astype(np.float64)
    unit = UNITS.get(data.card.metric, best.unit)
    for name, classes in _named(data, each, prefix + best.name):
        value = best.function(classes[ids], y)
        if not np.isnan(value):
            yield Fact(*place, name, value, unit)


def _named(data: Audited, each: Graded, name: str) -> Iterator[tuple[str, Array]]:
    for depth, classes in each.by_depth.items():
        if judges_tasks(data):
            yield f"{name}, 1-WL depth {depth}, {each.labels}", classes
        else:
            yield f"{name} at depth {depth}, {each.labels}", classes
    yield f"{name}, {each.labels}", each.exact
