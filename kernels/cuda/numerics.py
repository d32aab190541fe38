"""Functions that Triton has not, exact near 0 in both precisions."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def expm1(x: tl.tensor) -> tl.tensor:
    """exp(x) - 1 for x of at most 0, as Kahan's quotient: (p - 1) x / log p with p = exp(x)."""
    power = tl.exp(x)
    is_one, is_zero = power == 1, power == 0
    log = tl.log(tl.where(is_one | is_zero, 2.0, power).to(x.dtype))
    less = tl.where(is_one, x, tl.where(is_zero, -1.0, (power - 1) * x / log))
    return less.to(x.dtype)


@triton.jit
def tanh(x: tl.tensor) -> tl.tensor:
    """-t / (t + 2) with t = exp(-2 |x|) - 1."""
    less = expm1(-2 * tl.abs(x))
    size = -less / (less + 2)
    return tl.where(x < 0, -size, size).to(x.dtype)
