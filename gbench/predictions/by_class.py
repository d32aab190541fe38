"""Which classes are taken for which, and the scores of each class or task.

Legend: T answers (an item of a run), C classes, K tasks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Scores(NamedTuple):
    """Of one class or task; a share of nothing is 0, as in scikit-learn with zero_division=0."""

    name: str
    support: int  # answers whose label it is
    predicted: int  # answers that say it
    precision: float  # of what is answered so, the share that is so
    recall: float  # of what is so, the share that is answered so
    f1: float  # 2 TP / (2 TP + FP + FN)


def confusion(true: Array, predicted: Array, number: int) -> Array:
    """How often each class (a row) is answered by each (a column). Shapes: (T,), (T,) → (C, C)."""
    counts = np.bincount(true * number + predicted, minlength=number * number)
    return counts.reshape(number, number)


def scores(counts: Array, names: tuple[str, ...]) -> list[Scores]:
    """Of each class. Shapes: counts (C, C), rows the labels, columns the answers."""
    right, support, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    found = zip(names, right.tolist(), support.tolist(), predicted.tolist(), strict=True)
    return [of_counts(name, r, s, p) for name, r, s, p in found]


def of_counts(name: str, right: int, support: int, predicted: int) -> Scores:
    """From how many are so and answered so, are so, and are answered so."""
    return Scores(
        name,
        support,
        predicted,
        right / predicted if predicted else 0.0,
        right / support if support else 0.0,
        2 * right / (support + predicted) if support + predicted else 0.0,
    )
