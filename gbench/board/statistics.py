"""Whether two rows differ, and whether a row agrees with a paper.

Means are compared by t tests at the level ALPHA. Runs are taken as independent draws. Folds of one
dataset share most of their training data and are not quite that: a difference over folds that is
barely significant is weaker than its p says (Nadeau and Bengio, Machine Learning 52, 2003).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from gbench.board.student import f_tail, quantile, tail

ALPHA = 0.05
POOLING = (  # for the notes under tables
    "one pooled deviation where ours and the paper's are compatible (F test), else Welch's"
)
_POOLED = (0.01, 0.375)  # of the F distribution: the tails in which two deviations differ
Run = tuple[int, int]  # its seed and its fold


class Spread(NamedTuple):
    """Mean and sample standard deviation over runs; no deviation for one run."""

    mean: float
    std: float | None


class Comparison(NamedTuple):
    """Two rows: by which test, and the two-sided p of no difference; NaN where nothing can tell."""

    test: Literal["paired t", "Welch t", "pooled t", "none"]
    p: float


class Verdict(NamedTuple):
    """A row against what a paper printed."""

    word: Literal["agrees", "below", "above", "inconclusive"]  # below: the smaller number
    difference: float  # of the means, ours minus the paper's
    standard_errors: float  # the difference in standard errors
    p: float  # of the test named, by which the word was chosen
    test: str


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation, sqrt(Σ (x - mean)² / (n - 1))."""
    # From the first value on, so that equal values have exactly their mean and no deviation.
    mean = values[0] + math.fsum(x - values[0] for x in values) / len(values)
    if not math.isfinite(mean):  # a diverged run, or finite values too far apart to average
        mean = math.nan
    if len(values) == 1:
        return Spread(mean, None)
    # hypot: the root of the sum of squares, without overflow
    return Spread(mean, math.hypot(*(x - mean for x in values)) / math.sqrt(len(values) - 1))


def median(values: Iterable[float]) -> float:
    """The median of the values that are known; NaN if none is."""
    known = sorted(x for x in values if not math.isnan(x))
    if not known:
        return math.nan
    middle = len(known) // 2
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2


def interval(sample: Spread, n: int) -> float | None:
    """Half the width of the 95 % interval of the mean, t(0.975, n - 1) s / √n; None for one run."""
    if sample.std is None:
        return None
    return quantile(ALPHA / 2, n - 1) * sample.std / math.sqrt(n)


def compare(ours: Mapping[Run, float], theirs: Mapping[Run, float]) -> Comparison:
    """Test that two rows have one mean, each given as its runs by (seed, fold).

    Where they share two or more of these, on the differences d of the shared ones, paired:
    t = mean(d) √n / s(d), ν = n - 1. Otherwise t = (m₁ - m₂) / SE by `_standard_error`. A single
    run has no deviation and tells nothing.
    """
    shared = [key for key in ours if key in theirs]
    if len(shared) > 1:
        mean, std = spread([ours[key] - theirs[key] for key in shared])
        assert std is not None
        return Comparison(
            "paired t", _two_sided(mean, std / math.sqrt(len(shared)), len(shared) - 1)
        )
    (m1, s1), (m2, s2) = spread([*ours.values()]), spread([*theirs.values()])
    if s1 is None or s2 is None:
        return Comparison("none", math.nan)
    test, error, freedom = _standard_error(s1, len(ours), s2, len(theirs))
    return Comparison(test, _two_sided(m1 - m2, error, freedom))


def apart(sample: Spread, n: int, value: float, resolution: float = 0.0) -> float:
    """The two-sided p that a printed mean of n runs is `value`, a fixed number.

    t = (|mean - value| - resolution / 2) √n / s, ν = n - 1: half a unit of the last digit is what
    rounding may have moved the mean by. NaN for one run, which has no deviation.
    """
    if sample.std is None or n < 2:
        return math.nan
    size = max(abs(sample.mean - value) - resolution / 2, 0.0)
    return _two_sided(size, sample.std / math.sqrt(n), n - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number m (Holm, 1979): the i-th smallest times m - i + 1.

    At least as large as the one before it, at most 1. One that is NaN counts as a comparison and
    stays NaN.
    """
    corrected = [math.nan] * len(p_values)
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        corrected[i] = largest
    return corrected


def verdict(
    values: Sequence[float],
    published_mean: float,
    published_std: float | None,
    published_n: int | None,
    resolution: float = 0.0,
) -> Verdict:
    """Whether runs reproduce a published mean.

    With d the difference of the means, SE its standard error and ν the degrees of freedom, both by
    `_standard_error`:

    - "agrees" by equivalence (TOST; Schuirmann, 1987): d lies within ± Δ, both one-sided tests of
      |d| ≥ Δ being rejected: t = (Δ - |d|) / SE. The margin Δ is the paper's own standard deviation
      σ, and at least one unit of the last digit it prints (`resolution`).
    - otherwise "below" or "above" if d differs from 0: t = (|d| - resolution / 2) / SE, two-sided.
      Half a unit is what rounding may have moved the printed mean by.
    - otherwise "inconclusive": more runs would tell.

    `published_std` is a sample deviation, as ours is.

    Where the paper prints no deviation, its runs are taken to spread as ours (σ = s, ν = n - 1),
    and ours as the paper's where there is one of ours only. A paper that does not say over how many
    runs it averaged counts as one run.
    """
    mean, s = spread(values)
    n, published_runs = len(values), published_n or 1
    difference = mean - published_mean
    sigma = published_std if published_std is not None else s
    if s is None and published_runs == 1:
        sigma = None  # a deviation of one run is none that ours could borrow
    if sigma is None or math.isnan(difference):
        return Verdict("inconclusive", difference, math.nan, math.nan, "none")
    if s is None:
        error, freedom = sigma * math.sqrt(1 + 1 / published_runs), float(published_runs - 1)
    elif published_std is None or published_runs == 1:
        error, freedom = math.hypot(s / math.sqrt(n), sigma / math.sqrt(published_runs)), n - 1.0
    else:
        _, error, freedom = _standard_error(s, n, sigma, published_runs)
    size, margin = abs(difference), max(sigma, resolution)
    gap = _ratio(difference, error)
    p = tail(_ratio(margin - size, error), freedom)
    if p <= ALPHA:
        return Verdict("agrees", difference, gap, p, "equivalence (TOST)")
    p = min(1.0, 2 * tail(_ratio(max(size - resolution / 2, 0.0), error), freedom))
    word: Literal["below", "above"] = "below" if difference < 0 else "above"
    return Verdict(word if p <= ALPHA else "inconclusive", difference, gap, p, "difference (t)")


def _standard_error(
    s1: float, n1: int, s2: float, n2: int
) -> tuple[Literal["pooled t", "Welch t"], float, float]:
    """Of a difference of means: by which test, the standard error and its degrees of freedom.

    Where the two deviations are compatible they are of one spread (pooled):

        SE = s √(1/n₁ + 1/n₂),  s² = ((n₁ - 1) s₁² + (n₂ - 1) s₂²) / ν,  ν = n₁ + n₂ - 2,

    else each stands for itself (Welch, Biometrika 34, 1947):

        SE = √(s₁²/n₁ + s₂²/n₂),  ν = SE⁴ / ((s₁²/n₁)² / (n₁ - 1) + (s₂²/n₂)² / (n₂ - 1)).

    They are compatible if F = s₁²/s₂², of the smaller sample over the larger, lies neither among
    the lowest 1 % nor among the highest 37.5 % of its distribution for equal spreads. To pool after
    such a test is Bancroft's (Annals of Mathematical Statistics 15, 1944). A few runs that spread
    more than the many make a pooled error too small, so there the level is of the size that
    Bozivich, Bancroft and Hartley advise (27, 1956: 25 to 50 %); if they spread less, pooling only
    hides a difference, and that three runs lie close by chance is no reason not to.

    With 3 to 10 runs against 10 or 100, at most 5 % of equal means are told apart at equal spreads
    and 8 % where one is up to twice the other. Welch's alone tells 7 % apart at equal spreads for 3
    against 100, pooling alone 30 % for runs of twice the paper's spread. A difference of one
    deviation is found there in 25 % of cases, by Welch's in 22 %; no test within these bounds finds
    30 % (tests/board/test_verdict_rates.py).
    """
    if _compatible(s1, n1, s2, n2) if n1 <= n2 else _compatible(s2, n2, s1, n1):
        freedom = n1 + n2 - 2
        pooled = math.hypot(s1 * math.sqrt((n1 - 1) / freedom), s2 * math.sqrt((n2 - 1) / freedom))
        return "pooled t", pooled * math.sqrt(1 / n1 + 1 / n2), float(freedom)
    a, b = s1 / math.sqrt(n1), s2 / math.sqrt(n2)
    error = math.hypot(a, b)
    # as shares of the whole, so that tiny and huge deviations neither vanish nor overflow
    u, v = (a / error) ** 2, (b / error) ** 2
    return "Welch t", error, 1 / (u * u / (n1 - 1) + v * v / (n2 - 1))


def _compatible(few: float, n_few: int, many: float, n_many: int) -> bool:
    """Whether the deviations of a smaller and a larger sample may be of one spread."""
    if many == 0:
        return few == 0
    if math.isnan(few) or math.isnan(many):
        return False
    ratio = few / many
    low, high = _POOLED
    return high < f_tail(ratio * ratio, n_few - 1, n_many - 1) < 1 - low


def _two_sided(difference: float, error: float, freedom: float) -> float:
    return 2 * tail(abs(_ratio(difference, error)), freedom)


def _ratio(difference: float, error: float) -> float:
    """The difference in standard errors; without an error any difference is infinitely many."""
    if error or math.isnan(difference):
        return difference / error if error else math.nan
    return math.copysign(math.inf, difference) if difference else 0.0
