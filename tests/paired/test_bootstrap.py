"""The paired bootstrap against closed forms, and against drawing items one resample at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from gbench.paired.bootstrap import Pair, bootstrap
from gbench.paired.weighted import weighted
from gbench.predictions.predictions import Predictions

Said = Callable[..., Predictions]


def share(right: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda weights: weights @ right / weights.sum(1)


def test_the_interval_of_one_discordant_kind_is_the_binomials() -> None:
    """Of T items A alone is right on m: the difference of a resample is Binomial(T, m / T) / T."""
    right = np.arange(50) < 10
    found = bootstrap([Pair(np.arange(50), share(right), share(np.zeros(50)))])
    assert (found.difference, found.a, found.b) == (0.2, 0.2, 0.0)
    assert found.resamples == 10_000
    low, high = binom.ppf([0.025, 0.975], 50, 0.2) / 50
    assert found.low == pytest.approx(low, abs=0.021)
    assert found.high == pytest.approx(high, abs=0.021)


def test_the_width_is_that_of_the_paired_differences() -> None:
    """±1.96 s / √T, s the deviation of the items' differences: not that of two samples."""
    rng = np.random.default_rng(3)
    a = rng.random(2000) < 0.8
    b = np.where(rng.random(2000) < 0.9, a, ~a)
    found = bootstrap([Pair(np.arange(2000), share(a), share(b))])
    s = (a.astype(float) - b).std()
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * s / 2000**0.5, rel=0.05)
    unpaired = ((a.std() ** 2 + b.std() ** 2) / 2000) ** 0.5
    assert (found.high - found.low) / 2 < 0.7 * 1.96 * unpaired


def test_the_same_rows_differ_by_nothing_and_the_same_seed_repeats(said: Said) -> None:
    rng = np.random.default_rng(5)
    one = said("rocauc", "tasks", rng.integers(0, 2, (60, 1)).astype(float), rng.random((60, 1)))
    other = said("rocauc", "tasks", one.true, rng.random((60, 1)))
    pair = Pair(one.items, weighted(one), weighted(one))
    found = bootstrap([pair], resamples=200)
    assert (found.low, found.difference, found.high) == (0, 0, 0)
    pair = Pair(one.items, weighted(one), weighted(other))
    assert bootstrap([pair], 200) == bootstrap([pair], 200)
    assert bootstrap([pair], 200) != bootstrap([pair], 200, seed=1)
    back = bootstrap([Pair(one.items, weighted(other), weighted(one))], 200)
    assert back.low == pytest.approx(-bootstrap([pair], 200).high)


def test_seeds_of_the_same_items_are_no_more_items() -> None:
    right = np.arange(40) < 8
    pair = Pair(np.arange(40), share(right), share(np.zeros(40)))
    assert bootstrap([pair] * 3, 500)[:3] == pytest.approx(bootstrap([pair], 500)[:3])


def test_folds_are_drawn_together_and_averaged() -> None:
    """Two disjoint folds of 20 and 30 items: the mean of the two shares, not the share of all."""
    first = Pair(np.arange(20), share(np.ones(20)), share(np.zeros(20)))
    second = Pair(np.arange(20, 50), share(np.arange(30) < 15), share(np.zeros(30)))
    found = bootstrap([first, second], 1000)
    assert found.difference == 0.75
    assert found.low < 0.75 < found.high


def test_resamples_without_a_value_are_left_out_and_counted(said: Said) -> None:
    true = np.zeros((12, 1))
    true[0] = 1
    one = said("rocauc", "tasks", true, np.linspace(0, 1, 12)[:, None])
    found = bootstrap([Pair(one.items, weighted(one), weighted(one))], 1000)
    assert found.undefined / 1000 == pytest.approx((1 - 1 / 12) ** 12, abs=0.05)
    assert found.low == found.high == 0


def test_large_parts_are_drawn_less_often() -> None:
    calls = []

    def none(weights: np.ndarray) -> np.ndarray:
        calls.append(len(weights))
        return np.zeros(len(weights))

    found = bootstrap([Pair(np.arange(3), none, none, columns=10**9)])
    assert found.resamples == 1000
    assert sum(calls) == 2 * (1000 + 1)
