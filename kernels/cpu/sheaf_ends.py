"""From what nodes say of their edges to numbers of entries, and back: see sheaf_layers.py.

Column 2p of z is what a node says as the row of an entry, 2p + 1 as its column; two more are of
the edges' weights.
"""

from __future__ import annotations

from typing import Any

import numpy
from numba import uint64

from gbench.kernels.cpu.rows import compiled


@compiled
def of_pairs(rowptr: Any, col: Any, z: Any, has_weights: bool, angles: Any, there: Any) -> None:
    """What both ends say of an entry's map, and the sigmoid of what they say of its weight."""
    one = z.dtype.type(1)
    numbers = uint64(angles.shape[1])
    last = numbers + numbers
    for v in range(uint64(len(z))):
        for e in range(uint64(rowptr[v]), uint64(rowptr[v + uint64(1)])):
            u = uint64(col[e])
            for p in range(numbers):
                angles[e, p] = z[v, p + p] + z[u, p + p + uint64(1)]
            there[e] = one
            if has_weights:
                value = z[v, last] + z[u, last + uint64(1)]
                there[e] = one / (one + numpy.exp(-value))


@compiled
def to_ends(
    rowptr: Any,
    reverse: Any,
    angles: Any,
    slope: Any,
    weight: Any,
    there: Any,
    of_weight: Any,
    z: Any,
) -> None:
    """The gradients for what each node says, by those for tanh's and edges' weights."""
    one = z.dtype.type(1)
    numbers = uint64(angles.shape[1])
    last = numbers + numbers
    z[:] = 0
    for v in range(uint64(len(z))):
        for e in range(uint64(rowptr[v]), uint64(rowptr[v + uint64(1)])):
            back = uint64(reverse[e])
            for p in range(numbers):
                z[v, p + p] += slope[e, p] * (one - angles[e, p] * angles[e, p])
                other = slope[back, p] * (one - angles[back, p] * angles[back, p])
                z[v, p + p + uint64(1)] += other
            z[v, last] += of_weight[e] * weight[e] * (one - there[e])
            z[v, last + uint64(1)] += of_weight[e] * weight[e] * (one - there[back])
