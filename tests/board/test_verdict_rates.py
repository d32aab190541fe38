"""How often a verdict is wrong, and how often it finds a difference, by simulation.

`pytest -s` prints the tables.
"""

import math

import numpy as np
import pytest
from scipy import stats

from gbench.board.statistics import verdict

DRAWS = 40_000
SIZES = [(ours, paper) for ours in (3, 5, 10) for paper in (10, 100)]
RATIOS = (0.5, 0.7, 1.0, 1.4, 1.7, 2.0)  # our deviation over the paper's


def draw(n, paper_n, ratio, difference=0.0):
    """Difference of means and the two variances; the paper's deviation is 1."""
    dice = np.random.default_rng([n, paper_n])
    d = dice.normal(difference, math.sqrt(ratio**2 / n + 1 / paper_n), DRAWS)
    a = ratio**2 * dice.chisquare(n - 1, DRAWS) / (n - 1)
    return d, a, dice.chisquare(paper_n - 1, DRAWS) / (paper_n - 1)


def welch(d, a, b, n, paper_n):
    """Whether Welch's test tells the means apart."""
    u, v = a / n, b / paper_n
    freedom = (u + v) ** 2 / (u * u / (n - 1) + v * v / (paper_n - 1))
    grid = np.linspace(1, n + paper_n, 2000)
    return abs(d) / np.sqrt(u + v) > np.interp(freedom, grid, stats.t.isf(0.025, grid))


def pooled(d, a, b, n, paper_n):
    s2 = ((n - 1) * a + (paper_n - 1) * b) / (n + paper_n - 2)
    critical = stats.t.isf(0.025, n + paper_n - 2)
    return abs(d) / np.sqrt(s2 * (1 / n + 1 / paper_n)) > critical


def told_apart(d, a, b, n, paper_n):
    """The rule of `verdict` for all draws at once."""
    low, high = stats.f.ppf([0.01, 0.625], n - 1, paper_n - 1)
    compatible = (low < a / b) & (a / b < high)
    return np.where(compatible, pooled(d, a, b, n, paper_n), welch(d, a, b, n, paper_n))


@pytest.mark.parametrize(("n", "paper_n"), SIZES)
def test_the_rule_for_all_draws_is_that_of_the_verdict(n, paper_n):
    unit = stats.zscore(np.arange(n), ddof=1)
    for ratio in (0.5, 2.0):
        draws = draw(n, paper_n, ratio, difference=0.8)
        said = told_apart(*draws, n, paper_n)
        for k in range(60):
            d, a, b = (float(x[k]) for x in draws)
            word = verdict(list(d + math.sqrt(a) * unit), 0.0, math.sqrt(b), paper_n).word
            assert word == "agrees" or (word in ("above", "below")) is bool(said[k])


def test_equal_means_are_seldom_told_apart():
    print("\nequal means told apart, %, by our deviation over the paper's")
    print("our runs  the paper's", *(f"{ratio:6}" for ratio in RATIOS))
    for n, paper_n in SIZES:
        rates = [100 * told_apart(*draw(n, paper_n, ratio), n, paper_n).mean() for ratio in RATIOS]
        print(f"{n:8}  {paper_n:11}", *(f"{rate:6.1f}" for rate in rates))
        assert max(rates) <= 8
        assert rates[RATIOS.index(1.0)] <= 5


def test_a_difference_of_one_deviation_is_found_more_often_than_by_welch():
    draws = draw(3, 100, 1.0, difference=1.0)
    ours, theirs = told_apart(*draws, 3, 100).mean(), welch(*draws, 3, 100).mean()
    print(f"\na difference of one deviation, 3 runs against 100: found in {100 * ours:.1f} %")
    print(f"by Welch in {100 * theirs:.1f} %")
    assert ours > 1.1 * theirs


def test_no_test_within_these_bounds_finds_half_as_much_again_as_welch():
    """By weak duality, over all tests that treat both directions alike.

    With f_ρ the density of what is seen under equal means and g that under a difference of one
    deviation, any test that tells at most b_ρ of equal means apart finds at most
    Σ λ_ρ b_ρ + ∫ max(g - Σ λ_ρ f_ρ, 0), whatever the weights λ ≥ 0.
    """
    d, step = np.linspace(-14, 14, 561, retstep=True)
    s, log_step = np.linspace(math.log(1e-3), math.log(9), 300, retstep=True)
    variance = np.exp(2 * s)

    def density(ratio, difference):
        """Of the difference of means and the deviation of 3 runs; the paper's σ may be known."""
        of_d = stats.norm.pdf(d, difference, math.sqrt(ratio**2 / 3 + 1 / 100)) * step
        q = 2 * variance / ratio**2
        return np.outer(stats.chi2.pdf(q, 2) * 2 * q * log_step, of_d)

    found = (density(1, 1) + density(1, -1)) / 2
    assert found.sum() == pytest.approx(1, abs=1e-4)
    excess = found - 0.4 * density(1, 0) - 2.3 * density(1.6, 0)
    bound = 0.4 * 0.05 + 2.3 * 0.08 + excess.clip(min=0).sum()
    theirs = welch(*draw(3, 100, 1.0, difference=1.0), 3, 100).mean()
    print(f"\nno test finds more than {100 * bound:.1f} %, {bound / theirs:.2f} times Welch's")
    assert 0.25 < bound < 0.3 < 1.5 * theirs
