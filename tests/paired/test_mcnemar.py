"""McNemar's tables and test, against statsmodels, closed forms and counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from gbench.paired.mcnemar import Table, by_item, exact, summed, table


@pytest.mark.parametrize("only_a", [0, 1, 3, 7, 40, 500])
@pytest.mark.parametrize("only_b", [0, 1, 4, 7, 61, 400])
def test_the_exact_p_is_statsmodels(only_a: int, only_b: int) -> None:
    theirs = statsmodels_mcnemar([[5, only_a], [only_b, 9]], exact=True).pvalue
    assert exact(only_a, only_b) == pytest.approx(theirs, rel=1e-9)


def test_closed_forms() -> None:
    assert exact(0, 0) == 1
    assert exact(0, 5) == exact(5, 0) == pytest.approx(2 / 2**5)
    assert exact(1, 4) == pytest.approx(2 * (1 + 5) / 2**5)
    assert exact(3, 3) == 1


def test_a_table_counts_the_four_kinds_of_items() -> None:
    a = np.array([1, 1, 1, 0, 0, 0, 0, 1], dtype=bool)
    b = np.array([1, 0, 0, 1, 0, 0, 0, 1], dtype=bool)
    assert table(a, b) == Table(both=2, only_a=2, only_b=1, neither=3)
    assert table(a, b).p == 1
    assert summed([Table(1, 2, 3, 4), Table(10, 20, 30, 40)]) == Table(11, 22, 33, 44)


def test_each_item_counts_once_however_many_runs_answered_it() -> None:
    """The same answers by five seeds are one answer: their summed table would be too sure."""
    rng = np.random.default_rng(0)
    items, a, b = np.arange(60), rng.random(60) < 0.8, rng.random(60) < 0.5
    once = table(a, b)
    assert by_item([items] * 5, [a] * 5, [b] * 5) == once
    assert summed([once] * 5).p < once.p / 10
    assert by_item([items], [a], [b]) == once


def test_items_of_folds_are_put_together_by_their_positions() -> None:
    items = [np.array([4, 7, 9]), np.array([9, 2])]
    a = [np.array([True, False, True]), np.array([True, False])]
    b = [np.array([False, False, True]), np.array([False, True])]
    # 4 is A's, 7 nobody's, 9 A's (2 against 1), 2 B's
    assert by_item(items, a, b) == Table(both=0, only_a=2, only_b=1, neither=1)


def test_a_sum_over_seeds_is_wrong_where_models_are_equal_and_items_are_shared() -> None:
    """Two equal models, whose seeds agree with themselves: 5 % of tests may find a difference."""
    rng, found = np.random.default_rng(1), {"once": 0, "summed": 0}
    items = np.arange(100)
    for _ in range(300):
        a, b = rng.random(100) < 0.7, rng.random(100) < 0.7
        flips = rng.random((8, 2, 100)) < 0.05
        pairs = [(a ^ flip[0], b ^ flip[1]) for flip in flips]
        right = [*zip(*pairs, strict=True)]
        found["once"] += by_item([items] * 8, *right).p <= 0.05
        found["summed"] += summed([table(*pair) for pair in pairs]).p <= 0.05
    assert found["once"] <= 0.05 * 300 + 3 * (0.05 * 0.95 * 300) ** 0.5
    assert found["summed"] > 100
