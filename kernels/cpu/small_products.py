"""Products of tall matrices with small ones, in vector registers (vectors.py).

A call of BLAS costs as much as all of such a product on a graph of a few hundred nodes. Rows of
stalks are one matrix: x is (N · C, F), and the row of node v's channel c is v · C + c.

Legend: N nodes, C channels, F features, J numbers that are learned of a node.
"""

from __future__ import annotations

from typing import Any

from numba import uint64

from gbench.kernels.cpu.rows import compiled
from gbench.kernels.cpu.vectors import load, store, total_of, zero


@compiled
def times(lanes: Any, a: Any, b: Any, out: Any) -> None:
    """A B, two rows at a time. Shapes: a (N, K), b (K, F) → out (N, F)."""
    count, depth = uint64(a.shape[0]), uint64(a.shape[1])
    for column in range(0, b.shape[1], len(lanes)):
        i = uint64(0)
        while i + uint64(1) < count:
            one, two = zero(lanes, b), zero(lanes, b)
            for k in range(depth):
                values = load(lanes, b, k, column)
                one += values * a[i, k]
                two += values * a[i + uint64(1), k]
            store(one, out, i, column)
            store(two, out, i + uint64(1), column)
            i += uint64(2)
        if i < count:
            one = zero(lanes, b)
            for k in range(depth):
                one += load(lanes, b, k, column) * a[i, k]
            store(one, out, i, column)


@compiled
def mix_channels(lanes: Any, left: Any, x: Any, out: Any) -> None:
    """(I ⊗ left) x. Shapes: left (C, C), x (N · C, F) → out (N · C, F)."""
    channels = uint64(left.shape[0])
    for first in range(uint64(0), uint64(x.shape[0]), channels):
        for c in range(channels):
            for column in range(0, x.shape[1], len(lanes)):
                total = zero(lanes, x)
                for d in range(channels):
                    total += load(lanes, x, first + d, column) * left[c, d]
                store(total, out, first + c, column)


@compiled
def of_channels(lanes: Any, grad: Any, x: Any, out: Any) -> None:
    """Σ_v Σ_f ȳ_vc x_vd. Shapes: grad and x (N · C, F) → out (C, C)."""
    channels = uint64(out.shape[0])
    for c in range(channels):
        for d in range(channels):
            total = zero(lanes, x)
            for first in range(uint64(0), uint64(x.shape[0]), channels):
                for column in range(0, x.shape[1], len(lanes)):
                    values = load(lanes, grad, first + c, column)
                    total += values * load(lanes, x, first + d, column)
            out[c, d] = total_of(total)


@compiled
def said(lanes: Any, count: int, weight: Any, x: Any, channels: int, out: Any, first: int) -> None:
    """W x_v to columns first.. of out: of all C · F numbers, or of their sums over the channels.

    Shapes: weight (J · C, F) or (J, F) with J = count, x (N · C, F) → J columns of out (N, ...).
    """
    rows = weight.shape[0] // count
    for v in range(out.shape[0]):
        for j in range(count):
            total = zero(lanes, x)
            for column in range(0, x.shape[1], len(lanes)):
                for c in range(channels):
                    values = load(lanes, weight, j * rows + c % rows, column)
                    total += load(lanes, x, v * channels + c, column) * values
            out[v, first + j] = total_of(total)


@compiled
def to_speakers(
    lanes: Any,
    count: int,
    weight: Any,
    x: Any,
    channels: int,
    grad: Any,
    first: int,
    adds: bool,
    grad_x: Any,
    grad_weight: Any,
) -> None:
    """The gradients of `said` by that of its columns; `adds` to what grad_x holds, or sets it."""
    rows = weight.shape[0] // count
    for v in range(grad.shape[0]):
        for c in range(channels):
            for column in range(0, x.shape[1], len(lanes)):
                total = zero(lanes, x)
                if adds:
                    total += load(lanes, grad_x, v * channels + c, column)
                for j in range(count):
                    values = load(lanes, weight, j * rows + c % rows, column)
                    total += values * grad[v, first + j]
                store(total, grad_x, v * channels + c, column)
    for j in range(count):
        for row in range(rows):
            for column in range(0, x.shape[1], len(lanes)):
                total = zero(lanes, x)
                for v in range(grad.shape[0]):
                    for c in range(row, channels, rows):
                        total += load(lanes, x, v * channels + c, column) * grad[v, first + j]
                store(total, grad_weight, j * rows + row, column)
