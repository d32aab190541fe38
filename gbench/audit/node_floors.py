"""What a node's label is worth without a network: one answer for all, features alone, labels alone.

Nothing here is chosen: settings are stated, and training labels are all that is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gbench.audit.fact import Fact
from gbench.audit.node_fits import (
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
from gbench.audit.node_labels import classes_of, num_classes_of, tasks_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from gbench.audit.audited import Audited

SPREAD = "label propagation"
# the units of facts in a metric that has them, beside accuracy
_SCORES = {"rocauc": ("ROC-AUC", "ratio"), "ap": ("AP", "AP")}
_ERRORS = {"mae": "MAE", "rmse": "RMSE", "r2": "R2"}

_LOGISTIC = (
    "scikit-learn LogisticRegression(C=1, L2, lbfgs), features as stored (no scaling; of "
    "categories one column each), trained on train alone"
)
_SPREAD = (
    "50 rounds of F <- 0.9 D^-1/2 A D^-1/2 F + 0.1 Y, no features (Zhou et al. 2004); nodes never "
    "reached: training majority"
)
DEFINITIONS = {
    "constant baseline": "test accuracy of the label most frequent in train (ties: smallest)",
    "constant score": "of one score for all test nodes; average precision is then the positive "
    "rate, ROC-AUC a half; mean over tasks",
    "median baseline": "mean absolute error of the median of train",
    "mean baseline": "error (RMSE, R²) of the mean of train",
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
    """Floors in each fold; none where labels are tasks judged by a metric that has none here."""
    scores = linear_scores(data)
    joined = adjacency(data.structure)
    for fold in range(len(data.splits)):
        if classes_of(data) is not None:
            yield from in_accuracy(data, fold, None if scores is None else scores[fold])
            yield from from_neighbours(data, fold, joined)
        if data.card.metric in _SCORES:
            yield from in_scores(data, fold, None if scores is None else scores[fold])
        if data.card.metric in _ERRORS:
            yield from in_errors(data, fold, None if scores is None else scores[fold])


def in_accuracy(data: Audited, fold: int, scores: np.ndarray | None) -> Iterator[Fact]:
    """The majority of train, and logistic regression on features. Shapes: scores (T, C)."""
    y, test = classes_of(data), data.splits[fold].test
    assert y is not None
    _, usual = shown_to(data, fold)
    yield _percent(data, fold, "constant baseline", y[test] == usual)
    if scores is not None:
        yield _percent(data, fold, LINEAR, chosen(data, scores) == y[test])


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
        value = ranking("rocauc", share[:, None], tasks_of(data)[test])
        if np.isfinite(value):
            yield Fact(*data.place(fold), f"{SPREAD}, ROC-AUC", value, "ratio")


def in_scores(data: Audited, fold: int, scores: np.ndarray | None) -> Iterator[Fact]:
    """Areas under curves, of tasks or of each class against all others. Shapes: scores (T, C)."""
    name, unit = _SCORES[data.card.metric]
    y = tasks_of(data)[data.splits[fold].test]
    said = {"constant score": np.zeros(y.shape)}
    if scores is not None:
        said[f"{LINEAR}, {name}"] = scores[:, -y.shape[1] :]  # of two classes the second
    for fact, values in said.items():
        value = ranking(data.card.metric, values, y)
        if np.isfinite(value):
            yield Fact(*data.place(fold), fact, value, unit)


def in_errors(data: Audited, fold: int, scores: np.ndarray | None) -> Iterator[Fact]:
    """Of numbers: the median or the mean of train, and ridge regression. Shapes: scores (T, K)."""
    metric, split = data.card.metric, data.splits[fold]
    y = tasks_of(data)[split.test]
    shown = tasks_of(data)[split.train]
    middle, name = (np.nanmedian, "median") if metric == "mae" else (np.nanmean, "mean")
    said = {f"{name} baseline": np.tile(middle(shown, axis=0), (len(y), 1))}
    if scores is not None:
        said["ridge on features"] = scores
    for fact, values in said.items():
        value = error(metric, values, y)
        if np.isfinite(value):
            yield Fact(*data.place(fold), fact, value, _ERRORS[metric])


def ranking(metric: str, scores: np.ndarray, y: np.ndarray) -> float:
    """ROC-AUC or average precision, mean over the columns with both labels; NaN without any.

    Shapes: scores and y (T, K), y of 0, 1 and NaN.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    function = {"rocauc": roc_auc_score, "ap": average_precision_score}[metric]
    known = ~np.isnan(y)
    found = [
        float(function(y[known[:, k], k], scores[known[:, k], k]))
        for k in range(y.shape[1])
        if len(np.unique(y[known[:, k], k])) == 2
    ]
    return sum(found) / len(found) if found else float("nan")


def error(metric: str, values: np.ndarray, y: np.ndarray) -> float:
    """MAE or RMSE over the entries with a target; R², mean over columns. Shapes: (T, K), (T, K)."""
    gap = (values - y)[~np.isnan(y)]
    if metric == "mae":
        return float(np.abs(gap).mean()) if gap.size else float("nan")
    if metric == "rmse":
        return float(np.sqrt((gap**2).mean())) if gap.size else float("nan")
    spread = np.nansum((y - np.nanmean(y, axis=0)) ** 2, axis=0)
    missed = np.nansum((values - y) ** 2, axis=0)
    known = spread > 0
    return float((1 - missed[known] / spread[known]).mean()) if known.any() else float("nan")


def _percent(data: Audited, fold: int, name: str, right: np.ndarray) -> Fact:
    """The share of test nodes whose class is right."""
    return Fact(*data.place(fold), name, 100 * float(right.mean()), "%")
