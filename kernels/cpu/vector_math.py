"""exp and log of vectors (vectors.py), by series: straight lines of products and sums, no calls.

numba without SVML calls the C library once for each number, 5 to 20 ns; a vector of 8 takes 5 ns.
For loops over numbers, which LLVM widens by itself, there is expm1 of exponentials.py: vectors are
for kernels that hold them in registers before and after.

    exp(x) = 2^n exp(r),           n = round(x / ln 2), |r| ≤ ln 2 / 2, Taylor's series of exp(r)
    log(x) = k ln 2 + 2 artanh(s), s = (m - 1) / (m + 1), m = x / 2^k from √½ to √2

Errors: of exp less than 1 unit in the last place, 1.1 where the processor does not fuse products
and sums, of log 3. exp ends as it should: in inf above, in
denormal numbers and 0 below, and NaN is NaN; log is of normal numbers above 0, and of NaN. elu is
less than 3 off.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, NamedTuple

import numpy
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from gbench.kernels.cpu.vectors import FUSE, every

LN2 = Decimal(2).ln()
NOTHING = -60.0  # e^x is nothing beside 1


class Format(NamedTuple):
    """What the series need to know of a type of numbers."""

    mantissa: int  # bits of it that are stored
    bias: int  # of the exponent
    low: float  # exp of it is less than half of the smallest number
    high: float  # exp of it is more than the largest
    terms: int  # of exp(r)
    odd_terms: int  # of artanh(s)
    split: int  # bits of ln 2 such that n · they is exact


SINGLE = Format(23, 127, -104.0, 89.0, 8, 5, 15)
DOUBLE = Format(52, 1023, -746.0, 710.0, 14, 12, 40)


class _Lines:
    """The instructions that both series are written with, for one type of vector."""

    def __init__(self, builder: Any, kind: Any) -> None:
        self.builder, self.kind = builder, kind.registers
        self.format = DOUBLE if kind.dtype == types.float64 else SINGLE
        self.bits = ir.VectorType(ir.IntType(64 if self.format is DOUBLE else 32), kind.count)

    def number(self, value: float) -> Any:
        return every(self.kind, value)

    def integer(self, value: int) -> Any:
        return every(self.bits, value)

    def bits_of(self, value: float) -> Any:
        """The bits of a number, in every lane."""
        wide = self.format is DOUBLE
        kind, whole = (numpy.float64, numpy.int64) if wide else (numpy.float32, numpy.int32)
        return self.integer(int(kind(value).view(whole)))

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """The product of a and b, and c more."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=FUSE), c, flags=FUSE)

    def as_it_is(self, value: Any) -> Any:
        """The value, whose sums and products are not drawn together with those that follow.

        Kernels are compiled with leave to reorder sums: see rows.py.
        """
        kind = "f64" if self.format is DOUBLE else "f32"
        name = f"llvm.arithmetic.fence.v{self.kind.count}{kind}"
        function_type = ir.FunctionType(self.kind, [self.kind])
        function = cgutils.get_or_insert_function(self.builder.module, function_type, name)
        return self.builder.call(function, [value])

    def series(self, x: Any, factors: list[float]) -> Any:
        """Σ of factors[k] · x^k."""
        *others, last = factors
        total = self.number(last)
        for factor in reversed(others):
            total = self.fused(total, x, self.number(factor))
        return total

    def not_below(self, x: Any, low: float) -> tuple[Any, Any]:
        """With 0 in place of what is less than `low`, and where that is.

        A product too small for a normal number takes a processor 100 times as long as another.
        """
        is_below = self.builder.fcmp_ordered("<", x, self.number(low))
        return self.builder.select(is_below, self.number(0.0), x), is_below

    def reduced(self, x: Any) -> tuple[Any, Any]:
        """The r and n of x = n ln 2 + r."""
        # Adding 1.5 · 2^mantissa rounds to a whole number, and leaves it in the lower bits.
        magic = self.number(1.5 * 2.0**self.format.mantissa)
        moved = self.as_it_is(self.fused(x, self.number(float(1 / LN2)), magic))
        n = self.builder.sub(
            self.builder.bitcast(moved, self.bits), self.bits_of(1.5 * 2.0**self.format.mantissa)
        )
        rounded = self.as_it_is(self.builder.fsub(moved, magic))
        for part in self.split_ln2():
            x = self.as_it_is(self.fused(rounded, self.number(-part), x))
        return x, n

    def split_ln2(self) -> tuple[float, float]:
        """The logarithm of 2 as a number of few bits, and what is left."""
        high = round(float(LN2) * 2.0**self.format.split) / 2.0**self.format.split
        return high, float(LN2 - Decimal(high))

    def power_of_2(self, n: Any) -> Any:
        exponent = self.builder.add(n, self.integer(self.format.bias))
        shifted = self.builder.shl(exponent, self.integer(self.format.mantissa))
        return self.builder.bitcast(shifted, self.kind)


@intrinsic
def exp(typing: Any, a: Any) -> Any:
    """e^x in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lines = _Lines(builder, a)
        zero, high = lines.number(0.0), lines.number(lines.format.high)
        x = builder.select(builder.fcmp_ordered(">", args[0], high), high, args[0])
        x, is_below = lines.not_below(x, lines.format.low)
        r, n = lines.reduced(x)
        value = lines.series(r, [1 / math.factorial(k) for k in range(lines.format.terms)])
        # 2^n in two steps: n may be beyond the exponents on both sides.
        half = builder.ashr(n, lines.integer(1))
        for part in (half, builder.sub(n, half)):
            value = lines.as_it_is(builder.fmul(value, lines.power_of_2(part)))
        return builder.select(is_below, zero, value)

    return a(a), generate


@intrinsic
def elu(typing: Any, a: Any) -> Any:
    """Above 0 x, e^x - 1 elsewhere, without loss where that is small: 2^n (e^r - 1) + (2^n - 1)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lines, (x,) = _Lines(builder, a), args
        zero, one = lines.number(0.0), lines.number(1.0)
        is_above = builder.fcmp_ordered(">", x, zero)
        lower, is_below = lines.not_below(builder.select(is_above, zero, x), NOTHING)
        r, n = lines.reduced(lower)
        series = lines.series(r, [1 / math.factorial(k + 1) for k in range(lines.format.terms)])
        power = lines.power_of_2(n)
        value = lines.fused(builder.fmul(r, series), power, builder.fsub(power, one))
        value = builder.select(is_below, lines.number(-1.0), value)
        return builder.select(is_above, x, value)

    return a(a), generate


@intrinsic
def log(typing: Any, a: Any) -> Any:
    """The natural logarithm in every lane: of normal numbers above 0 and NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lines, x = _Lines(builder, a), args[0]
        bits, mantissa = builder.bitcast(x, lines.bits), lines.integer(lines.format.mantissa)
        k = builder.ashr(builder.sub(bits, lines.bits_of(math.sqrt(0.5))), mantissa)
        m = builder.bitcast(builder.sub(bits, builder.shl(k, mantissa)), lines.kind)
        one = lines.number(1.0)
        s = builder.fdiv(builder.fsub(m, one), builder.fadd(m, one))
        factors = [2 / (2 * term + 1) for term in range(lines.format.odd_terms)]
        value = builder.fmul(s, lines.series(builder.fmul(s, s), factors))
        for part in reversed(lines.split_ln2()):
            term = lines.fused(builder.sitofp(k, lines.kind), lines.number(part), value)
            value = lines.as_it_is(term)
        return builder.select(builder.fcmp_ordered("ord", x, x), value, x)

    return a(a), generate
