import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gbench.board.student import f_tail, quantile, tail


@given(
    # closer to 0 scipy itself loses digits: sf(1e-9, 1) is 0.5 there, and 0.5 - 1e-9 / π in truth
    t=st.one_of(st.just(0.0), st.floats(0.01, 6), st.floats(6, 1e3), st.floats(-50, -0.01)),
    freedom=st.one_of(st.integers(1, 400).map(float), st.floats(0.3, 1e3)),
)
def test_the_tail_is_scipys(t, freedom):
    assert tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-10, abs=1e-300)


def test_the_tail_of_many_degrees_of_freedom_is_scipys():
    for freedom in (1e4, 1e5, 1e6):
        assert tail(1.96, freedom) == pytest.approx(stats.t.sf(1.96, freedom), rel=1e-7)


@pytest.mark.parametrize("freedom", [0.5, 1, 2, 3, 4, 7.3, 9, 30, 99, 1000])
@pytest.mark.parametrize("upper", [0.4, 0.05, 0.025, 0.005, 1e-6])
def test_the_quantile_is_scipys(upper, freedom):
    assert quantile(upper, freedom) == pytest.approx(stats.t.isf(upper, freedom), rel=1e-10)


@given(
    f=st.floats(1e-6, 1e4),
    upper=st.integers(1, 120),
    lower=st.integers(1, 120),
)
def test_the_tail_of_f_is_scipys(f, upper, lower):
    expected = stats.f.sf(f, upper, lower)
    assert f_tail(f, upper, lower) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert (f_tail(0, upper, lower), f_tail(math.inf, upper, lower)) == (1, 0)


def test_closed_forms():
    # one degree of freedom is Cauchy's distribution, two are algebraic
    for t in (1e-9, 0.1, 1.0, 5.0):
        assert tail(t, 1) == pytest.approx(0.5 - math.atan(t) / math.pi, rel=1e-13)
        assert tail(t, 2) == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)), rel=1e-12)
    assert (tail(0, 5), tail(math.inf, 5), tail(-math.inf, 5)) == (0.5, 0, 1)


def test_what_is_no_distribution_has_no_tail():
    assert math.isnan(tail(math.nan, 5))
    assert math.isnan(tail(1.0, 0))
    assert math.isnan(tail(1.0, math.nan))
