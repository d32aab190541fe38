"""What a node's label is worth without a network: by features alone, by labels alone.

Nothing here is chosen: settings are stated, and training labels are all that is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gbench.audits.fact import Fact
from gbench.audits.item_labels import classes_of, num_classes_of, tasks_of
from gbench.audits.node_fits import (
    LINEAR,
    MOST_SECONDS,
    adjacency,
    chosen,
    labelled_neighbours,
    linear_scores,
    propagated,
    propagation_seconds,
    shown_to,
)
from gbench.audits.scores import UNITS, score

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from gbench.audits.audited import Audited

SPREAD = "label propagation"
# the units of facts in a metric that has them, beside accuracy
_SCORES = {"rocauc": ("ROC-AUC", "ratio"), "ap": ("AP", "AP")}
_OF_NUMBERS = ("mae", "rmse", "r2")

_LOGISTIC = (
    "scikit-learn LogisticRegression(C=1, L2, lbfgs), features as stored (no scaling; of "
    "categories one column each), trained on train alone"
)
_SPREAD = (
    "50 rounds of F <- 0.9 D^-1/2 A D^-1/2 F + 0.1 Y, no features (Zhou et al. 2004); nodes never "
    "reached: training majority"
)
DEFINITIONS = {
    LINEAR: f"test accuracy; {_LOGISTIC}",
    f"{LINEAR}, {{metric}}": "the same model's test ROC-AUC or average precision, mean over tasks",
    "ridge on features": "test error; scikit-learn Ridge(alpha=1), features as stored, trained on "
    "train alone",
    "majority of labelled neighbours": "test accuracy of the most frequent label among training "
    "neighbours (undirected; ties: smallest; none: training majority)",
    SPREAD: f"test accuracy; {_SPREAD}",
    f"{SPREAD}, ROC-AUC": "test ROC-AUC of its share for the second class, at nodes never reached "
    "the training share",
}


def facts(data: Audited) -> Iterator[Fact]:
    """Floors of each fold, beside a constant answer, which gbench/audits/parts.py tells."""
    scores = linear_scores(data)
    if scores is not None:
        for fold, said in enumerate(scores):
            yield from from_features(data, fold, said)
    if classes_of(data) is not None:
        joined = adjacency(data.structure)
        for fold in range(len(data.splits)):
            yield from from_neighbours(data, fold, joined)


def from_features(data: Audited, fold: int, scores: np.ndarray) -> Iterator[Fact]:
    """What a linear model of features scores: accuracy, and in the dataset's metric if it has one.

    Areas under curves are of tasks, or of each class against all others. Shapes: scores (T, C).
    """
    y, labels = classes_of(data), tasks_of(data)[data.splits[fold].test]
    metric = data.card.metric
    if y is not None:
        yield _percent(data, fold, LINEAR, chosen(data, scores) == y[data.splits[fold].test])
    if metric in _SCORES:
        name, unit = _SCORES[metric]
        area = score(metric, scores[:, -labels.shape[1] :], labels)  # of two classes the second
        if np.isfinite(area):
            yield Fact(*data.place(fold), f"{LINEAR}, {name}", area, unit)
    if metric in _OF_NUMBERS:
        gap = score(metric, scores, labels)
        if np.isfinite(gap):
            yield Fact(*data.place(fold), "ridge on features", gap, UNITS[metric])


def from_neighbours(data: Audited, fold: int, joined: csr_array) -> Iterator[Fact]:
    """What the labels of training nodes say through the graph, without features."""
    y, test = classes_of(data), data.splits[fold].test
    assert y is not None
    num_classes = num_classes_of(y)
    shown, usual = shown_to(data, fold)
    votes = labelled_neighbours(joined, shown, num_classes)[test]
    answer = np.where(votes.any(axis=1), votes.argmax(axis=1), usual)
    yield _percent(data, fold, "majority of labelled neighbours", answer == y[test])
    seconds = len(data.splits) * propagation_seconds(joined.nnz, num_classes)
    if seconds > MOST_SECONDS:
        data.skipped[SPREAD] = f"it would take about {seconds / 60:.0f} minutes"
        return
    spread = propagated(joined, shown, num_classes)[test]
    answer = np.where(spread.any(axis=1), spread.argmax(axis=1), usual)
    yield _percent(data, fold, SPREAD, answer == y[test])
    if data.card.metric == "rocauc" and data.card.labels == "tasks":
        total = spread.sum(axis=1)
        rate = float((shown == 1).sum() / max((shown >= 0).sum(), 1))
        share = np.where(total > 0, spread[:, -1] / np.where(total > 0, total, 1), rate)
        value = score("rocauc", share[:, None], tasks_of(data)[test])
        if np.isfinite(value):
            yield Fact(*data.place(fold), f"{SPREAD}, ROC-AUC", value, "ratio")


def _percent(data: Audited, fold: int, name: str, right: np.ndarray) -> Fact:
    """The share of test nodes whose class is right."""
    return Fact(*data.place(fold), name, 100 * float(right.mean()), "%")
