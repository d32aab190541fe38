"""Whether answers are right as often as their probabilities say.

The bins are those of gbench's metric `ece`: 15 of equal width, (0, 1/15], ..., (14/15, 1], of the
confidence, the largest probability of an answer; of tasks and links max(p, 1 - p) of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

BINS = 15
Array = np.ndarray[Any, Any]


class Bin(NamedTuple):
    """Answers with a confidence in (low, high]; NaN means of none."""

    low: float
    high: float
    answers: int
    confidence: float  # their mean
    accuracy: float


class Calibration(NamedTuple):
    """The expected calibration error, Σ_b (n_b / n) |accuracy_b - confidence_b|, and its bins.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """

    ece: float
    bins: list[Bin]


def calibration(confidence: Array, is_right: Array) -> Calibration:
    """Of answers that have a label. Shapes: (T,) in (0, 1], (T,) bool."""
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    sure = np.bincount(place, confidence, minlength=BINS)
    right = np.bincount(place, is_right, minlength=BINS)
    return from_sums(counts.tolist(), sure.tolist(), right.tolist())


def from_sums(counts: list[int], sure: list[float], right: list[float]) -> Calibration:
    """From the number, summed confidences and right answers of each bin."""
    bins = [
        Bin(k / BINS, (k + 1) / BINS, n, s / n if n else float("nan"), r / n if n else float("nan"))
        for k, (n, s, r) in enumerate(zip(counts, sure, right, strict=True))
    ]
    total = sum(counts)
    gaps = sum(abs(r - s) for s, r in zip(sure, right, strict=True))
    return Calibration(gaps / total if total else float("nan"), bins)
