"""The logistic function in numba: of float32 by a series, of which LLVM makes vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy
from numba import int32, types, uint32
from numba.extending import overload

F32 = numpy.float32


def sigmoid(value: Any) -> Any:
    """1 / (1 + exp(-value))."""


@overload(sigmoid, inline="always")
def _overload_sigmoid(value):  # type: ignore[no-untyped-def]
    return _fast_sigmoid if value == types.float32 else _exact_sigmoid


def _exact_sigmoid(value):  # type: ignore[no-untyped-def]
    return 1 / (1 + math.exp(-value))


def _fast_sigmoid(value):  # type: ignore[no-untyped-def]
    """To 1.4e-7 of the value, in instructions of which LLVM makes vectors, as of no call of exp.

    exp(t) = 2^n exp(r) with n whole and |r| ≤ ln(2) / 2, for which eight terms are exact enough.
    """
    t = F32(87) if value < F32(-87) else (F32(-87) if value > F32(87) else -value)
    n = numpy.floor(t * F32(1 / math.log(2)) + F32(0.5))
    r = t - n * F32(math.log(2))
    series = F32(1 / 5040) * r + F32(1 / 720)
    series = (series * r + F32(1 / 120)) * r + F32(1 / 24)
    series = (series * r + F32(1 / 6)) * r + F32(1 / 2)
    series = (series * r + F32(1)) * r + F32(1)
    exponent = uint32(int32(n) + int32(127)) << uint32(23)
    return F32(1) / (F32(1) + series * numpy.uint32(exponent).view(numpy.float32))
