"""The paired bootstrap: between which bounds the difference of two metrics lies over test sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gbench.paired.weighted import Weighted

Array = np.ndarray[Any, Any]

RESAMPLES = 10_000
LEAST = 1_000  # of very large test parts, where 10,000 would take many minutes
SEED = 0
LEVEL = 0.95
_WORK = 4_000_000_000  # weights that may be read in all
_AT_ONCE = 4_000_000  # weights in memory: 32 MB


class Pair(NamedTuple):
    """What two runs say of the same items, as their metric's functions of the items' weights."""

    items: Array  # (T,) int64, positions in the dataset
    a: Weighted
    b: Weighted
    columns: int = 1  # that the metric reads of each item


class Interval(NamedTuple):
    """The difference A - B of the metric, and its interval by percentiles of the resamples."""

    difference: float
    low: float
    high: float
    a: float  # the metric, the mean over the pairs
    b: float
    resamples: int
    undefined: int  # of them, in which the metric had no value: they are left out
    seed: int = SEED


def bootstrap(pairs: Sequence[Pair], resamples: int | None = None, seed: int = SEED) -> Interval:
    """Draw as many items as there are, with replacement, again and again (Efron, 1979).

    An item that several pairs were tested on (folds that overlap, several seeds) is drawn for all
    of them at once, so that it counts as one item. The difference is A - B of the same items, the
    mean over the pairs; the interval is from its 2.5 % to its 97.5 % quantile. Weights of the
    networks are as they are: what another training would give is not in it.
    """
    every, place = np.unique(np.concatenate([pair.items for pair in pairs]), return_inverse=True)
    places = np.split(place, np.cumsum([len(pair.items) for pair in pairs])[:-1])
    whole = _values(pairs, places, np.ones((1, len(every))))
    number = resamples or _number(pairs)
    drawn = [_values(pairs, places, weights) for weights in _weights(len(every), number, seed)]
    differences = np.concatenate([a - b for a, b in drawn])
    known = differences[~np.isnan(differences)]
    low, high = (
        np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(known) else (np.nan, np.nan)
    )
    a, b = (float(values[0]) for values in whole)
    undefined = number - len(known)
    return Interval(a - b, float(low), float(high), a, b, number, undefined, seed)


def _number(pairs: Sequence[Pair]) -> int:
    """How often to draw: 10,000 times, less often where that is too much work."""
    work = sum(2 * len(pair.items) * pair.columns for pair in pairs)
    return max(LEAST, min(RESAMPLES, _WORK // max(work, 1)))


def _weights(size: int, number: int, seed: int) -> Iterator[Array]:
    """How often each item is drawn, by resample. Shapes: (S, N), as many S as fit."""
    generator = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // size)
    for start in range(0, number, at_once):
        rows = min(at_once, number - start)
        drawn = generator.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * size)
        yield counts.reshape(rows, size).astype(np.float64)


def _values(pairs: Sequence[Pair], places: Sequence[Array], weights: Array) -> tuple[Array, Array]:
    """The mean over the pairs of either metric. Shapes: (S, N) → (S,), (S,)."""
    values = [
        (pair.a(chosen), pair.b(chosen))
        for pair, place in zip(pairs, places, strict=True)
        for chosen in [weights[:, place]]
    ]
    a, b = (np.mean(np.stack(of), axis=0) for of in zip(*values, strict=True))
    return a, b
