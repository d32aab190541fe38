"""exp and log of vectors, against numpy's in a wider type."""

from typing import Any

import numpy
import pytest

from gbench.kernels.cpu.rows import compiled
from gbench.kernels.cpu.vector_math import elu, exp, log
from gbench.kernels.cpu.vector_parts import first, put

LANES = (0,) * 8


@compiled
def exp_of(lanes: Any, x: Any, out: Any) -> None:
    for at in range(0, len(x), len(lanes)):
        count = min(len(lanes), len(x) - at)
        put(exp(first(lanes, x, at, count, 0.0)), out, at, count)


@compiled
def log_of(lanes: Any, x: Any, out: Any) -> None:
    for at in range(0, len(x), len(lanes)):
        count = min(len(lanes), len(x) - at)
        put(log(first(lanes, x, at, count, 1.0)), out, at, count)


@compiled
def elu_of(lanes: Any, x: Any, out: Any) -> None:
    for at in range(0, len(x), len(lanes)):
        count = min(len(lanes), len(x) - at)
        put(elu(first(lanes, x, at, count, 0.0)), out, at, count)


def units(found: Any, exact: Any) -> float:
    """The largest distance in units of the last place of the exact value."""
    unit = numpy.spacing(abs(exact).astype(found.dtype))
    return float((abs(found - exact) / unit).max())


types = pytest.mark.parametrize("dtype", [numpy.float32, numpy.float64])


@types
@pytest.mark.parametrize("span", [1e-3, 1.0, 20.0, None])
def test_exp_is_about_within_a_unit(dtype: Any, span: float | None) -> None:
    """None: as far as there are normal numbers."""
    info = numpy.finfo(dtype)
    low = float(numpy.log(info.tiny)) + 1e-2 if span is None else -span
    high = float(numpy.log(info.max)) - 1e-2 if span is None else span
    x = numpy.random.default_rng(0).uniform(low, high, 20_003).astype(dtype)
    out = numpy.empty_like(x)
    exp_of(LANES, x, out)
    assert units(out, numpy.exp(x.astype(numpy.longdouble))) < 1.1


@types
def test_exp_of_what_is_beyond_the_numbers(dtype: Any) -> None:
    most, least = (float(numpy.log(v)) for v in (numpy.finfo(dtype).max, numpy.finfo(dtype).tiny))
    x = [numpy.inf, -numpy.inf, numpy.nan, 0.0, -0.0, 1e30, -1e30]
    x += [most + 1, most + 0.02, most - 0.02, least - 1, least - 5, 2 * least, most + 3, least - 60]
    given = numpy.array(x, dtype)
    out = numpy.empty_like(given)
    exp_of(LANES, given, out)
    with numpy.errstate(over="ignore", under="ignore"):
        expected = numpy.exp(given)
    assert numpy.isinf(out[[0, 5, 7]]).all()
    assert (out[[1, 6, 12, 14]] == 0).all()
    smallest = float(numpy.finfo(dtype).smallest_subnormal)
    numpy.testing.assert_allclose(out, expected, rtol=1e-6, atol=1.01 * smallest)
    assert 0 < out[11] < out[10] < numpy.finfo(dtype).tiny


@types
def test_log_is_within_three_units(dtype: Any) -> None:
    generator = numpy.random.default_rng(0)
    far = numpy.exp(generator.uniform(-80, 80, 10_000))
    x = numpy.concatenate([generator.uniform(1, 2, 10_000), far, [1.0]]).astype(dtype)
    out = numpy.empty_like(x)
    log_of(LANES, x, out)
    exact = numpy.log(x.astype(numpy.longdouble))
    assert units(out[:-1], exact[:-1]) < 3
    assert out[-1] == 0
    nan = numpy.full(3, numpy.nan, dtype)
    log_of(LANES, nan, nan)
    assert numpy.isnan(nan).all()


@types
def test_elu_loses_nothing_near_0(dtype: Any) -> None:
    generator = numpy.random.default_rng(0)
    small = -numpy.exp(generator.uniform(-40, 0, 10_000))
    x = numpy.concatenate([small, generator.uniform(-70, 3, 10_000)]).astype(dtype)
    out = numpy.empty_like(x)
    elu_of(LANES, x, out)
    wide = x.astype(numpy.longdouble)
    assert units(out, numpy.where(wide > 0, wide, numpy.expm1(wide))) < 3
    given = numpy.array([numpy.inf, -numpy.inf, numpy.nan, 0.0, -1e30, 5.0], dtype)
    out = numpy.empty_like(given)
    elu_of(LANES, given, out)
    expected = numpy.array([numpy.inf, -1, numpy.nan, 0, -1, 5], dtype)
    numpy.testing.assert_array_equal(out, expected)
