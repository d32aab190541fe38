import math

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_ind

from gbench.board.statistics import compare, holm, interval, spread, verdict

A = [0.812, 0.820, 0.808, 0.815, 0.810, 0.818]
B = [0.806, 0.817, 0.807, 0.801, 0.809, 0.812]


def by_seed(values, first=0):
    return {(seed, 0): value for seed, value in enumerate(values, start=first)}


def test_rows_that_share_their_seeds_are_compared_in_pairs():
    said = compare(by_seed(A), dict(reversed(by_seed(B).items())))
    assert said.test == "paired t"
    assert said.p == pytest.approx(stats.ttest_rel(A, B).pvalue, rel=1e-10)


def test_only_what_is_shared_is_paired():
    said = compare(by_seed(A), by_seed(B, first=3))
    assert said.p == pytest.approx(stats.ttest_rel(A[3:], B[:3]).pvalue, rel=1e-10)
    folds = compare({(0, 1): 0.5, (0, 2): 0.7, (1, 1): 0.4}, {(0, 1): 0.4, (1, 1): 0.1, (1, 2): 0})
    assert folds.p == pytest.approx(stats.ttest_rel([0.5, 0.4], [0.4, 0.1]).pvalue, rel=1e-10)


@pytest.mark.parametrize("shared", [0, 1])
@pytest.mark.parametrize(("stretch", "test"), [(0.5, "pooled t"), (9.0, "Welch t")])
def test_rows_that_share_no_two_runs_are_compared_as_they_spread(shared, stretch, test):
    b = [0.81 + stretch * (x - 0.81) for x in B[:4]]
    said = compare(by_seed(A), by_seed(b, first=6 - shared))
    assert said.test == test
    equal = test == "pooled t"
    assert said.p == pytest.approx(stats.ttest_ind(A, b, equal_var=equal).pvalue, rel=1e-10)
    assert compare(by_seed(b, first=6 - shared), by_seed(A)) == pytest.approx(said)


def test_a_single_run_tells_nothing():
    for theirs in ({(9, 0): 0.79}, {(0, 0): 0.1}):  # one shared run is no pair of runs
        for said in (compare(by_seed(A), theirs), compare(theirs, {(0, 0): 0.9})):
            assert said.test == "none"
            assert math.isnan(said.p)


def test_runs_without_any_spread():
    same, higher = [0.5] * 4, [0.6] * 4
    assert compare(by_seed(same), by_seed(same)).p == 1
    assert compare(by_seed(same), by_seed(higher)).p == 0
    assert compare(by_seed(same), by_seed(same, first=4)).p == 1
    assert compare(by_seed(same), by_seed(higher, first=4)).p == 0


def test_a_constant_row_against_a_spread_one():
    said = compare(by_seed(A), by_seed([0.81] * 5, first=6))
    assert said.p == pytest.approx(stats.ttest_1samp(A, 0.81).pvalue, rel=1e-10)


def test_a_diverged_run_makes_no_p():
    for other in (by_seed(B), by_seed(B, first=6), {(9, 0): 0.5}):
        assert math.isnan(compare(by_seed([*A[:-1], math.nan]), other).p)


def test_tiny_and_huge_deviations_neither_vanish_nor_overflow():
    for scale in (1e-200, 1e200):
        said = compare(by_seed([scale * x for x in A]), by_seed([scale * x for x in B], first=6))
        expected = stats.ttest_ind(A, B).pvalue
        assert said.p == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "p_values",
    [
        [0.04],
        [0.01, 0.02, 0.03, 0.04],
        [0.04, 0.001, 0.03, 0.03, 0.5, 0.0],
        [0.9, 0.8, 1.0],
        [0.012, 0.013],
    ],
)
def test_holm_is_statsmodels(p_values):
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(expected), rel=1e-12)


def test_holm_counts_a_comparison_without_a_p():
    one, nothing, other = holm([0.01, math.nan, 0.02])
    assert (one, other) == (pytest.approx(0.03), pytest.approx(0.04))
    assert math.isnan(nothing)
    assert holm([]) == []


def test_the_interval_is_statsmodels():
    low, high = DescrStatsW(A).tconfint_mean(0.05)
    half = interval(spread(A), len(A))
    assert (spread(A).mean - half, spread(A).mean + half) == pytest.approx((low, high), rel=1e-12)
    assert interval(spread([0.5]), 1) is None
    assert interval(spread([0.5] * 3), 3) == 0
    assert math.isnan(interval(spread([0.5, math.nan]), 2))


def sample(mean, std, n):
    """n values with exactly this mean and sample deviation."""
    unit = [math.sin(i * i) for i in range(n)]
    m, s = spread(unit)
    return [mean + std * (x - m) / s for x in unit]


@pytest.mark.parametrize("difference", [-0.008, -0.004, -0.001, 0, 0.001, 0.004, 0.008])
@pytest.mark.parametrize(("n", "published_n"), [(5, 100), (10, 10), (100, 100)])
@pytest.mark.parametrize(("std", "usevar"), [(0.004, "pooled"), (0.009, "unequal")])
def test_the_verdict_is_statsmodels_tost_and_t_test(difference, n, published_n, std, usevar):
    theirs = sample(0.815, 0.005, published_n)
    ours = sample(0.815 + difference, std, n)
    said = verdict(ours, 0.815, 0.005, published_n)
    equal = ttost_ind(ours, theirs, -0.005, 0.005, usevar=usevar)[0]
    t, p, _ = DescrStatsW(ours).get_compare(DescrStatsW(theirs)).ttest_ind(usevar=usevar)
    assert said.difference == pytest.approx(difference, abs=1e-12)
    assert said.standard_errors == pytest.approx(t, rel=1e-7, abs=1e-9)
    if equal <= 0.05:
        assert (said.word, said.test) == ("agrees", "equivalence (TOST)")
        assert said.p == pytest.approx(equal, rel=1e-7)
    else:
        word = "inconclusive" if p > 0.05 else "below" if difference < 0 else "above"
        assert (said.word, said.test) == (word, "difference (t)")
        assert said.p == pytest.approx(p, rel=1e-7)


@pytest.mark.parametrize(
    ("ours", "n", "theirs", "published_n", "pooled"),
    [
        (0.12, 3, 0.5, 100, True),  # three runs that lie close by chance
        (0.04, 3, 0.5, 100, False),
        (0.5, 100, 0.4, 3, True),  # the larger sample is ours: a paper of few runs is tested
        (0.9, 3, 0.5, 100, False),  # more than the paper: the level is high
        (0.5, 3, 0.5, 100, True),
        (0.2, 10, 0.5, 100, False),
        (0.5, 5, 0.0, 10, False),
        (0.0, 5, 0.0, 10, True),
    ],
)
def test_deviations_are_pooled_where_they_are_compatible(ours, n, theirs, published_n, pooled):
    a, b = sample(0.58, ours, n), sample(0, theirs, published_n)
    said = verdict(a, 0.0, theirs, published_n)
    t = stats.ttest_ind(a, b, equal_var=pooled).statistic if ours or theirs else math.inf
    assert said.standard_errors == pytest.approx(t, rel=1e-7)


def test_three_runs_that_lie_close_do_not_stand_above_a_hundred():
    # Welch's t is 6.7 here
    said = verdict(sample(82.57, 0.12, 3), 82.0, 0.5, 100, resolution=0.1)
    assert (said.word, round(said.standard_errors, 1)) == ("inconclusive", 2.0)


def test_all_four_words_are_said():
    words = [
        verdict(sample(0.815 + d, 0.004, n), 0.815, 0.005, 100).word
        for d, n in [(0.0, 10), (-0.02, 10), (0.02, 10), (0.004, 3)]
    ]
    assert words == ["agrees", "below", "above", "inconclusive"]


def test_a_paper_without_a_deviation_is_taken_to_spread_as_ours():
    ours = sample(0.8152, 0.005, 100)
    said = verdict(ours, 0.815, None, 100)
    error = 0.005 * math.sqrt(1 / 100 + 1 / 100)
    assert said.standard_errors == pytest.approx(0.0002 / error, rel=1e-6)
    assert said.p == pytest.approx(stats.t.sf((0.005 - 0.0002) / error, 99), rel=1e-6)
    assert said.word == "agrees"


def test_our_single_run_is_taken_to_spread_as_the_papers():
    said = verdict([0.79], 0.815, 0.005, 100)
    t = 0.025 / (0.005 * math.sqrt(1 + 1 / 100))
    assert said.word == "below"
    assert said.p == pytest.approx(2 * stats.t.sf(t, 99), rel=1e-9)
    assert verdict([0.815], 0.815, 0.005, 100).word == "inconclusive"


def test_a_paper_that_does_not_say_its_runs_counts_as_one():
    ours = sample(0.815, 0.005, 10)
    assert verdict(ours, 0.81, None, None) == verdict(ours, 0.81, None, 1)
    error = 0.005 * math.sqrt(1 / 10 + 1)
    assert verdict(ours, 0.80, None, None).standard_errors == pytest.approx(0.015 / error)
    assert verdict([0.8], 0.81, None, None).word == "inconclusive"
    assert verdict([0.8], 0.81, 0.01, None).word == "inconclusive"


def test_rounding_alone_is_no_difference():
    # SGC on CiteSeer: 71.9 ± 0.1 in print, and 71.8 in every run of ours
    ours = [0.718] * 5
    assert verdict(ours, 0.719, 0.001, 10).word == "below"
    assert verdict(ours, 0.719, 0.001, 10, resolution=0.001).word == "inconclusive"
    assert verdict([0.717] * 5, 0.719, 0.001, 10, resolution=0.001).word == "below"


def test_a_paper_without_any_spread_allows_one_unit_of_its_last_digit():
    # SGC on Cora: 81.0 ± 0.0
    ours = sample(0.8104, 0.0003, 10)
    assert verdict(ours, 0.81, 0.0, 10, resolution=0.001).word == "agrees"
    assert verdict(ours, 0.81, 0.0, 10).word == "above"
    assert verdict([0.81] * 3, 0.81, 0.0, 10, resolution=0.001).word == "agrees"
    assert verdict([0.82] * 3, 0.81, None, 10, resolution=0.001).word == "above"


def test_a_diverged_run_has_no_verdict():
    said = verdict([0.81, math.nan], 0.81, 0.01, 10)
    assert said.word == "inconclusive"
    assert math.isnan(said.standard_errors)
