"""Metrics of resampled items, many resamples at once: an item drawn twice has the weight 2.

Each function takes what one run says of T items and returns a function of weights (S, T) that
gives the metric of each of S resamples, (S,), NaN where it is undefined in one. With every weight 1
it is the metric itself (gbench/train/metrics.py), which the tests hold it against.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gbench.predictions.predictions import Predictions

Array = np.ndarray[Any, Any]
Weighted = Callable[[Array], Array]


def weighted(said: Predictions) -> Weighted:
    """The metric of the dataset, as fast as there is a way for it."""
    match said.metric:
        case "accuracy":
            return _ratio(said.is_right)
        case "mae":
            return _ratio(_row_sums(np.abs(said.residual)), _row_sums(said.is_labelled))
        case "rmse":
            return _rmse(said.residual)
        case "rocauc" | "ap":
            of_column = rocauc if said.metric == "rocauc" else average_precision
            return _mean([of_column(truth, score) for truth, score in _columns(said)])
    if said.metric.startswith("hits@"):
        return hits(said.true[:, 0] > 0, said.scores[:, 0], int(said.metric.removeprefix("hits@")))
    return repeated(said)


def columns_read(said: Predictions) -> int:
    """How many rankings of all items its metric is made of: 1 of those that rank nothing."""
    return said.scores.shape[1] if said.metric in ("rocauc", "ap") else 1


def _row_sums(values: Array) -> Array:
    return np.asarray(np.nansum(values, axis=1))


def _ratio(values: Array, counts: Array | None = None) -> Weighted:
    """Σ w v / Σ w n, n being 1 unless given."""

    def of(weights: Array) -> Array:
        total = weights.sum(1) if counts is None else weights @ counts
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(weights @ values / total)

    return of


def _rmse(residual: Array) -> Weighted:
    """The root of each target's mean square, and the mean of these."""
    known = ~np.isnan(residual)
    squares = np.where(known, residual, 0.0) ** 2

    def of(weights: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return _known_mean(np.sqrt(weights @ squares / (weights @ known)))

    return of


def _columns(said: Predictions) -> list[tuple[Array, Array]]:
    """Of each task or class whether it is the label, NaN where that is unknown, and its score."""
    if said.labels != "classes":
        return [*zip(said.true.T, said.scores.T, strict=True)]
    classes = range(said.scores.shape[1])
    return [((said.true == c).astype(float), said.scores[:, c]) for c in classes]


def _mean(columns: Sequence[Weighted]) -> Weighted:
    """The mean over the columns in which the metric is defined."""
    return lambda weights: _known_mean(np.stack([of(weights) for of in columns], axis=1))


def _known_mean(values: Array) -> Array:
    with warnings.catch_warnings():  # NumPy warns of a row of NaN, whose mean is NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=1))


def rocauc(truth: Array, score: Array) -> Weighted:
    """The area under the ROC curve: Σ_g P_g (N_<g + N_g / 2) / (P N) over groups g of equal scores.

    P and N are weights of what has the label and what has not. Shapes: truth (T,) of 0, 1 and NaN;
    score (T,).
    """
    order, starts, positive = _groups(truth, score)

    def of(weights: Array) -> Array:
        with_label, without = _by_group(weights, order, starts, positive)
        below = np.cumsum(without, axis=1) - without / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            area = (with_label * below).sum(1) / (with_label.sum(1) * without.sum(1))
        return np.asarray(area)

    return of


def average_precision(truth: Array, score: Array) -> Weighted:
    """Σ_g (R_g - R_{g-1}) P_g, recall and precision at each score from the largest down.

    Undefined, as in training, where all items that are known have one label. Shapes: as `rocauc`.
    """
    order, starts, positive = _groups(truth, -score)

    def of(weights: Array) -> Array:
        with_label, without = _by_group(weights, order, starts, positive)
        found = np.cumsum(with_label, axis=1)
        looked_at = found + np.cumsum(without, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(looked_at > 0, found / looked_at, 0.0)
            value = (with_label * precision).sum(1) / with_label.sum(1)
        return np.where(without.sum(1) > 0, value, np.nan)

    return of


def _groups(truth: Array, score: Array) -> tuple[Array, Array, Array]:
    """Positions of known items by ascending score, where each equal score begins, and labels."""
    known = np.flatnonzero(~np.isnan(truth))
    order = known[np.argsort(score[known], kind="stable")]
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(order) else order
    return order, starts, truth[order] > 0


def _by_group(weights: Array, order: Array, starts: Array, positive: Array) -> tuple[Array, Array]:
    """Of each resample and group the weight with the label, and without it. Shapes: (S, G)."""
    if not len(order):
        return np.zeros((len(weights), 1)), np.zeros((len(weights), 1))
    ranked = weights[:, order]
    with_label = np.add.reduceat(ranked * positive, starts, axis=1)
    return with_label, np.add.reduceat(ranked, starts, axis=1) - with_label


def hits(is_link: Array, score: Array, k: int) -> Weighted:
    """The share of links above the k-th best of the other pairs; none where there are fewer than k.

    Shapes: is_link (T,) bool; score (T,).
    """
    links, others = np.flatnonzero(is_link), np.flatnonzero(~is_link)
    others = others[np.argsort(-score[others], kind="stable")]
    links = links[np.argsort(score[links], kind="stable")]

    def of(weights: Array) -> Array:
        seen = np.cumsum(weights[:, others], axis=1)
        last = (seen < k).sum(1)
        enough = last < len(others)
        threshold = np.append(score[others], np.nan)[last]
        first = np.searchsorted(score[links], threshold, side="right")
        below = np.concatenate([np.zeros((len(weights), 1)), weights[:, links].cumsum(1)], axis=1)
        total = below[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (total - below[np.arange(len(weights)), first]) / total
        return np.where(enough, share, np.nan)

    return of


def repeated(said: Predictions) -> Weighted:
    """Any other metric, a function of the user's own as well: called once for each resample.

    Logits are those that have the run's probabilities: the model's own up to a number that is added
    to all of an item's.
    """
    import torch

    from gbench.metrics import find
    from gbench.train.metrics import value_of

    metric, scores = find(said.metric), said.scores
    if said.scale == "probability":
        with np.errstate(divide="ignore"):
            scores = np.log(scores) - (0 if said.labels == "classes" else np.log1p(-scores))
    logits, y = torch.from_numpy(scores), torch.from_numpy(said.true)

    def of(weights: Array) -> Array:
        positions = np.arange(len(scores))
        drawn = (torch.from_numpy(np.repeat(positions, row.astype(int))) for row in weights)
        return np.array([value_of(metric, logits[ids], y[ids]) for ids in drawn])

    return of
