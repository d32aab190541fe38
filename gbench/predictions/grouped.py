"""Scores of items by what surrounds them: by degree, by size, by how alike their neighbours are.

Legend: T items.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

QUANTILES = 5  # bins of about as many items
WIDTHS = 5  # bins of equal width, of shares


class Measure(NamedTuple):
    """A number of each item, NaN where it has none. Shapes: values (T,)."""

    name: str
    definition: str
    values: Array
    is_share: bool = False  # from 0 to 1, in bins of equal width; else by quantiles


class Bin(NamedTuple):
    """The items whose number is in it, with the score of the runs' answers about them."""

    label: str
    items: int
    answers: int
    score: float


class Group(NamedTuple):
    """All bins of one measure that have items."""

    name: str
    definition: str
    bins: list[Bin]


def grouped(measure: Measure, total: Array, count: Array) -> Group:
    """The mean score in each bin. Shapes: total (T,), the sum over an item's answers; count (T,).

    Quantiles: five bins of about as many items each, equal numbers in one bin, which has no others
    where they are a fifth of all; where there are no more than five different numbers, each is one.
    Shares: [0, 0.2], (0.2, 0.4], ..., (0.8, 1].
    """
    values, asked = measure.values, count > 0
    known = ~np.isnan(values) & asked
    bins = []
    for low, high in _bounds(values[known], measure.is_share):
        inside = known & (values > low) & (values <= high)
        if inside.any():
            found = values[inside]
            label = _told(found.min(), found.max())
            if measure.is_share:
                label = f"{max(low, 0):g} to {high:g}"
            bins.append(_bin(label, inside, total, count))
    if (rest := np.isnan(values) & asked).any():
        bins.append(_bin("none", rest, total, count))
    return Group(measure.name, measure.definition, bins)


def _bounds(values: Array, is_share: bool) -> list[tuple[float, float]]:
    """Ranges (low, high] that together hold all values."""
    if not values.size:
        return []
    if is_share:
        ends = [round(k / WIDTHS, 10) for k in range(1, WIDTHS + 1)]
    else:
        different = np.unique(values)
        if different.size > QUANTILES:
            shares = np.arange(1, QUANTILES + 1) / QUANTILES
            found = np.unique(np.quantile(values, shares, method="inverted_cdf"))
            # a number that fills a bin by itself has it for itself
            heavy = [v for v in found if (values == v).sum() * QUANTILES >= values.size]
            below = [values[values < v].max() for v in heavy if (values < v).any()]
            different = np.unique([*found, *below])
        ends = different.tolist()
    return [*zip([-np.inf, *ends[:-1]], ends, strict=True)]


def _bin(label: str, inside: Array, total: Array, count: Array) -> Bin:
    answers = int(count[inside].sum())
    return Bin(label, int(inside.sum()), answers, float(total[inside].sum() / answers))


def _told(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
