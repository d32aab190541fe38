"""bfloat16 in numba, which has no such type: stored as its 16 bits, computed with as float32.

rows.array gives a bfloat16 tensor as an array of uint16, so that one source serves all types:

    total = zero_of(x)                      # float32 for bits, else x's own type
    total += widen(x[j, f])                 # every value that is read from a tensor
    out[i, f] = narrow(total, out)          # every value that is written to one
    row = scratch(x, shape)                 # an array of sums: float32 for bits

A bfloat16 is the upper half of a float32, so widening is a shift and rounding an addition; both
vectorise, and memory sees 2 bytes per value. Sums made in an output would be rounded at each
entry: make them in `total` or in `row`, and write once.
"""

from __future__ import annotations

from typing import Any

import numpy
from numba import types, uint16, uint32
from numba.extending import overload


def widen(value: Any) -> Any:
    """The number that an element of an array stands for."""


def narrow(value: Any, out: Any) -> Any:
    """The element of `out` that stands for the number: the nearest, of two the even one."""


def zero_of(x: Any) -> Any:
    """0 in the type that sums of x are made in."""


def scratch(x: Any, shape: Any) -> Any:
    """An unset array of the type that sums of x are made in."""


# numba compares an implementation's signature with that of its overload, annotations included, so
# that these have none: a lambda cannot.


@overload(widen)
def _widen(value):  # type: ignore[no-untyped-def]
    if value == types.uint16:
        return lambda value: numpy.uint32(uint32(value) << uint32(16)).view(numpy.float32)
    return lambda value: value


@overload(narrow)
def _narrow(value, out):  # type: ignore[no-untyped-def]
    if out.dtype == types.uint16:
        return _round
    return lambda value, out: out.dtype.type(value)


def _round(value, out):  # type: ignore[no-untyped-def]
    bits = numpy.float32(value).view(numpy.uint32)
    half = uint32(0x7FFF) + ((bits >> uint32(16)) & uint32(1))
    # A NaN would carry into the sign, or into the exponent of an infinity: its quiet form stays.
    rounded = bits + half if value == value else bits | uint32(0x400000)
    return uint16(rounded >> uint32(16))


@overload(zero_of)
def _zero_of(x):  # type: ignore[no-untyped-def]
    if x.dtype == types.uint16:
        return lambda x: numpy.float32(0)
    return lambda x: x.dtype.type(0)


@overload(scratch)
def _scratch(x, shape):  # type: ignore[no-untyped-def]
    if x.dtype == types.uint16:
        return lambda x, shape: numpy.empty(shape, numpy.float32)
    return lambda x, shape: numpy.empty(shape, x.dtype)
