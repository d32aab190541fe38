"""Random numbers from where they are needed: a hash of the seed and the element's place.

The same as in gbench/kernels/cpu/draws.py.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def mix(word: tl.tensor) -> tl.tensor:
    """A bijection of 32-bit words with low bias."""
    word = (word ^ (word >> 16)) * 0x7FEB352D
    word = (word ^ (word >> 15)) * 0x846CA68B
    return word ^ (word >> 16)


@triton.jit
def row_key(seed: tl.tensor, row: tl.tensor) -> tl.tensor:
    """What the draws of each row begin with."""
    return mix(mix((row + seed).to(tl.uint32)) ^ (seed >> 32).to(tl.uint32))


@triton.jit
def dropped(
    value: tl.tensor,
    key: tl.tensor,
    feature: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
) -> tl.tensor:
    """Divided by 1 - RATE where the draw is at least LIMIT, 2³² times the rate, else 0."""
    draw = mix(key + feature.to(tl.uint32) * 0x9E3779B9)
    grow = tl.full([], 1.0 / (1.0 - RATE), value.dtype)
    return tl.where(draw.to(tl.int64) >= LIMIT, value * grow, 0.0)


@triton.jit
def dropped_in_order(
    value: tl.tensor,
    seed: tl.tensor,
    place: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
) -> tl.tensor:
    """`dropped` as gbench/kernels/dropout.py draws: SPAN elements in order are a row."""
    key = row_key(seed, place // SPAN)
    return dropped(value, key, (place % SPAN).to(tl.int32), RATE, LIMIT)
