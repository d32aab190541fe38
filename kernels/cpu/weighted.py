"""Weighted sums of rows of features with a weight for each head, and products of such rows.

Features (N, H, F) are seen as (N · G, W). Where F is smaller than a vector that the heads fill, as
8 heads of 8 features fill one of 64, W is the vector's lanes and such a row has several heads,
`parts` of them; else each head has a row of its own, G = H, walked a vector at a time, of which the
last may be ragged.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.rows import array, compiled
from gbench.kernels.cpu.vector_parts import first, put, spread, sums_of
from gbench.kernels.cpu.vectors import load, row, store, zero
from gbench.kernels.panel_width import panel_width


class Layout(NamedTuple):
    """How features are walked. `lanes` and `parts` say their numbers by their lengths."""

    lanes: tuple[int, ...]
    parts: tuple[int, ...]
    groups: int

    def view(self, x: Tensor) -> Any:
        """Features (N, H, F) as (N · G, W), or those of one node (H, F) as (G, W)."""
        *rows, heads, width = x.shape
        return array(x).reshape(math.prod(rows) * self.groups, heads * width // self.groups)


@cache
def layout_of(heads: int, width: int) -> Layout:
    """The layout of features of this shape."""
    for lanes in (64, 32, 16, 8):
        if 0 < width < lanes and lanes % width == 0 and heads * width % lanes == 0:
            return Layout((0,) * lanes, (0,) * (lanes // width), heads * width // lanes)
    return Layout((0,) * panel_width(width), (0,), heads)


@compiled
def weighted_sums(
    lanes: Any,
    parts: Any,
    groups: int,
    begin: int,
    end: int,
    rowptr: Any,
    col: Any,
    place: Any,
    weight: Any,
    scale: Any,
    x: Any,
    out: Any,
) -> None:
    """out[i] = Σ of weight[place[e]] · x[col[e]] over the entries of each row, times its scale.

    Without `place` the weights are those of the entries of rows begin..end - 1, in their order, as
    are the scales: (n, H) and (rows, H).
    """
    heads, shift = uint64(weight.shape[1]), uint64(rowptr[begin])
    for i in range(uint64(begin), uint64(end)):
        start, stop = uint64(rowptr[i]), uint64(rowptr[i + uint64(1)])
        for g in range(uint64(groups)):
            head = g * uint64(len(parts))
            for column in range(0, x.shape[1], len(lanes)):
                total = zero(lanes, x)
                for e in range(start, stop):
                    at = e - shift if place is None else uint64(place[e])
                    share = spread(lanes, first(parts, weight, at * heads + head, len(parts), 0.0))
                    j = uint64(col[e]) * uint64(groups) + g
                    if len(parts) > 1:
                        total += share * row(lanes, x, j)
                    else:
                        total += share * load(lanes, x, j, column)
                if scale is not None:
                    at = (i - uint64(begin)) * heads + head
                    total = total * spread(lanes, first(parts, scale, at, len(parts), 0.0))
                store(total, out, i * uint64(groups) + g, column)


@compiled
def dots(
    lanes: Any,
    parts: Any,
    groups: int,
    begin: int,
    end: int,
    rowptr: Any,
    col: Any,
    grad: Any,
    x: Any,
    dot: Any,
) -> None:
    """⟨grad[i, h], x[col[e], h]⟩ for the entries e of rows begin..end - 1, by order: (n, H)."""
    heads, shift = uint64(dot.shape[1]), uint64(rowptr[begin])
    for i in range(uint64(begin), uint64(end)):
        for e in range(uint64(rowptr[i]), uint64(rowptr[i + uint64(1)])):
            j = uint64(col[e])
            for g in range(uint64(groups)):
                a, b = i * uint64(groups) + g, j * uint64(groups) + g
                if len(parts) > 1:
                    total = row(lanes, grad, a) * row(lanes, x, b)
                else:
                    total = zero(lanes, x)
                    for column in range(0, x.shape[1], len(lanes)):
                        total += load(lanes, grad, a, column) * load(lanes, x, b, column)
                at = (e - shift) * heads + g * uint64(len(parts))
                put(sums_of(parts, total), dot, at, len(parts))
