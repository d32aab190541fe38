"""The best score that a function of codes can reach: equal codes have one answer.

Codes stand for all that is seen of an item, a colour or a feature row. Each function says how.

Legend: T items, C classes, K tasks or numbers of an item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gbench.audits.rows import majority
from gbench.audits.scores import score
from gbench.data.spec import DataCard

Array = np.ndarray


class Best(NamedTuple):
    """The best value of one metric; `function` is of (codes (T,), labels), NaN where undefined."""

    name: str  # of the fact, as in "test ROC-AUC ceiling at depth 1"
    unit: str
    function: Callable[[Array, Array], float]


def accuracy(codes: Array, y: Array) -> float:
    """Percent, by the most frequent label of each code. Shapes: y (T,) int64, -1 left out."""
    codes, y = codes[y >= 0], y[y >= 0]
    if not len(y):
        return float("nan")
    best = majority(codes, y, int(codes.max()) + 1)
    return 100 * int((best[codes] == y).sum()) / len(y)


def roc_auc(codes: Array, y: Array) -> float:
    """By the share of positive labels that each code has; the mean over tasks with both labels.

    No score that is constant on codes orders more pairs: of two codes that with the larger share
    must come first. Shapes: y (T, K) of 0, 1 and NaN.
    """
    return _mean_of_tasks(_roc_auc, codes, y)


def average_precision(codes: Array, y: Array) -> float:
    """Of the same score; the mean over tasks with both labels. Shapes: y (T, K).

    Not quite the highest: of four codes another order scores up to 0.035 more, where it has a large
    code before a small one of a higher share. To find the best order is a search over all.
    """
    from sklearn.metrics import average_precision_score

    def of_task(codes: Array, y: Array) -> float:
        return float(average_precision_score(y, _shares(codes, y)[codes]))

    return _mean_of_tasks(of_task, codes, y)


def absolute_error(codes: Array, y: Array) -> float:
    """MAE by the median of each code, over all entries. Shapes: y (T, K), NaN left out."""
    return score("mae", _by_code(_medians, codes, y), y)


def squared_error(codes: Array, y: Array) -> float:
    """RMSE by the mean of each code, the mean over columns. Shapes: y (T, K), NaN left out."""
    return score("rmse", _by_code(_means, codes, y), y)


def determination(codes: Array, y: Array) -> float:
    """R² by the mean of each code, the mean over columns. Shapes: y (T, K), NaN left out."""
    return score("r2", _by_code(_means, codes, y), y)


ACCURACY = Best("ceiling", "%", accuracy)
_OF_METRICS = {
    "rocauc": Best("ROC-AUC ceiling", "ratio", roc_auc),
    "ap": Best("AP ceiling", "AP", average_precision),
    "mae": Best("MAE floor", "MAE", absolute_error),
    "rmse": Best("RMSE floor", "RMSE", squared_error),
    "r2": Best("R2 ceiling", "R2", determination),
}


def in_metric(card: DataCard) -> Sequence[Best]:
    """What is exact in the dataset's own metric, beside accuracy; nothing for other metrics."""
    return [_OF_METRICS[card.metric]] if card.metric in _OF_METRICS else []


def _mean_of_tasks(function: Callable[[Array, Array], float], codes: Array, y: Array) -> float:
    found = []
    for task in y.T:
        known = ~np.isnan(task)
        label = task[known].astype(np.int64)
        if 0 < label.sum() < len(label):
            found.append(function(codes[known], label))
    return sum(found) / len(found) if found else float("nan")


def _roc_auc(codes: Array, y: Array) -> float:
    positive = np.bincount(codes, y)
    negative = np.bincount(codes) - positive
    order = np.argsort(_shares(codes, y), kind="stable")
    positive, negative = positive[order], negative[order]
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def _shares(codes: Array, y: Array) -> Array:
    """The share of positive labels of each code; 0 for codes that do not occur."""
    shares: Array = np.bincount(codes, y) / np.maximum(np.bincount(codes), 1)
    return shares


def _by_code(function: Callable[[Array, Array], Array], codes: Array, y: Array) -> Array:
    """A number for each code and column from its labels, at each item. Shapes: → (T, K)."""
    found = np.full(y.shape, np.nan)
    for column, values in enumerate(y.T):
        known = ~np.isnan(values)
        found[known, column] = function(codes[known], values[known])
    return found


def _means(codes: Array, values: Array) -> Array:
    """The mean of each item's code. Shapes: (T,), (T,) → (T,)."""
    means: Array = np.bincount(codes, values) / np.maximum(np.bincount(codes), 1)
    found: Array = means[codes]
    return found


def _medians(codes: Array, values: Array) -> Array:
    """The median of each item's code. Shapes: (T,), (T,) → (T,)."""
    ordered = values[np.lexsort((values, codes))]
    counts = np.bincount(codes)
    first = np.cumsum(counts) - counts
    low, high = first + (counts - 1) // 2, first + counts // 2
    low[counts == 0] = high[counts == 0] = 0
    medians: Array = (ordered[low] + ordered[high]) / 2 if len(ordered) else values
    found: Array = medians[codes]
    return found
