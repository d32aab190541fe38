"""CPU, numba: all layers are one call each way, in one thread.

The pieces are those of a layer's own operations: on 183 nodes they take 0.1 ms together, the calls
of a dozen operations, their checks and allocations, many times as long.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.dropout import drop_each
from gbench.kernels.cpu.householder import reflections, reflections_backward
from gbench.kernels.cpu.rows import array, compiled
from gbench.kernels.cpu.sheaf_edges import apply, blocks_of, sizes, slopes
from gbench.kernels.cpu.sheaf_ends import of_pairs, to_ends
from gbench.kernels.cpu.sheaf_state import elu_each, of_elu, of_residual, residual, tanh_each
from gbench.kernels.cpu.small_products import (
    mix_channels,
    of_channels,
    said,
    times,
    to_speakers,
)
from gbench.kernels.panel_width import panel_width
from gbench.kernels.sheaf_layers import kept_shape


def sheaf_layers(
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    x: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_layers.py, with what its backward reads."""
    kept = torch.empty(kept_shape(x, col.size(0), of_maps, is_diagonal), dtype=x.dtype)
    out = torch.empty(x.shape, dtype=x.dtype)
    given = (x, of_maps, of_maps[:, :0] if of_weights is None else of_weights, left, right, epsilon)
    _forward(
        (0.0,) * panel_width(x.size(2)),
        _size(col, x, of_maps, is_diagonal),
        *(array(part) for part in (rowptr, col, reverse, *given)),
        _NO_SEEDS if seed is None else array(seed),
        rate,
        by_degree,
        array(kept),
        array(out),
    )
    return out, kept


def sheaf_layers_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    x: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    kept: Tensor,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> tuple[Tensor, ...]:
    """The gradients of gbench/kernels/sheaf_layers.py."""
    given = (of_maps, of_maps[:, :0] if of_weights is None else of_weights, left, right, epsilon)
    made = [torch.empty(part.shape, dtype=x.dtype) for part in (x, *given)]
    _backward(
        (0.0,) * panel_width(x.size(2)),
        _size(col, x, of_maps, is_diagonal),
        *(array(part) for part in (rowptr, col, reverse, *given, grad)),
        _NO_SEEDS if seed is None else array(seed),
        rate,
        by_degree,
        *(array(part) for part in (kept, *made)),
    )
    return tuple(made)


_NO_SEEDS = numpy.empty(0, numpy.int64)


def _size(col: Tensor, x: Tensor, of_maps: Tensor, is_diagonal: bool) -> tuple[int, ...]:
    """N, E, C, F, parameters of a map, columns of a map, and roots of a node."""
    nodes, channels, width = x.shape
    columns, roots = (1, channels) if is_diagonal else (channels, 1)
    return nodes, col.size(0), channels, width, of_maps.size(1), columns, roots


@compiled
def _parts(size: Any, kept: Any) -> Any:
    """What forward leaves of a layer, cut from one array, for each array costs some µs to make."""
    nodes, entries, channels, width, numbers, columns, roots = size
    rows, of_map = nodes * channels, channels * columns
    states, begin = kept[: 6 * rows * width].reshape((6, rows, width)), 6 * rows * width
    sums = kept[begin : begin + nodes * roots].reshape((nodes, roots))
    begin += nodes * roots
    root = kept[begin : begin + nodes * roots].reshape((nodes, roots))
    begin += nodes * roots
    angles = kept[begin : begin + entries * numbers].reshape((entries, numbers))
    begin += entries * numbers
    maps = kept[begin : begin + entries * of_map].reshape((entries, channels, columns))
    begin += entries * of_map
    blocks = kept[begin : begin + entries * of_map].reshape((entries, channels, columns))
    begin += entries * of_map
    weights = kept[begin : begin + 2 * entries].reshape((2, entries))
    return states, sums, root, angles, maps, blocks, weights[0], weights[1]


# The places of a layer's states: what it is given; (I ⊗ W_1) sent, that times W_2ᵀ, elu(Δ of that)
STATE, SEEN, SENT, INNER, MIXED, ELU = range(6)


@compiled
def _forward(
    lanes: Any,
    size: Any,
    rowptr: Any,
    col: Any,
    reverse: Any,
    x: Any,
    of_maps: Any,
    of_weights: Any,
    left: Any,
    right: Any,
    epsilon: Any,
    seeds: Any,
    rate: float,
    by_degree: bool,
    kept: Any,
    out: Any,
) -> int:
    nodes, entries, channels, width, numbers, columns, _ = size
    z = numpy.empty((nodes, 2 * numbers + 2), x.dtype)
    given, has_weights = x.reshape((nodes * channels, width)), of_weights.shape[1] > 0
    for layer in range(len(kept)):
        states, sums, root, angles, maps, blocks, weight, there = _parts(size, kept[layer])
        state, seen, sent = states[STATE], states[SEEN], states[SENT]
        state[:] = given
        _drop(given, seeds, 2 * layer - 1, rate if layer > 0 else 0.0, seen)
        _drop(given, seeds, 2 * layer, rate, sent)

        own = of_maps[layer].reshape((-1, width))
        said(lanes, 2 * numbers, own, seen, channels, z, 0)
        if has_weights:
            own = of_weights[layer].reshape((-1, width))
            said(lanes, 2, own, seen, channels, z, 2 * numbers)
        of_pairs(rowptr, col, z, has_weights, angles, there)
        tanh_each(angles.reshape(-1))
        for e in range(uint64(entries)):
            weight[e] = there[e] * there[uint64(reverse[e])]
        if columns == 1:
            maps.reshape(-1)[:] = angles.reshape(-1)
        else:
            reflections(0, 1, 1, angles, maps)
        blocks_of(rowptr, reverse, maps, blocks)
        sizes(rowptr, maps, weight, by_degree, sums, root)

        mix_channels(lanes, left[layer], sent, states[INNER])
        times(lanes, states[INNER], numpy.ascontiguousarray(right[layer].T), states[MIXED])
        elu = states[ELU]
        apply(lanes, rowptr, col, weight, blocks, sums, root, states[MIXED], elu)
        elu_each(elu.reshape(-1))
        given = out.reshape((nodes * channels, width))  # overwritten until the last layer
        residual(lanes, state, elu, epsilon[layer], given)
    return 0


@compiled
def _drop(x: Any, seeds: Any, place: int, rate: float, out: Any) -> None:
    if rate > 0:
        drop_each(0, 1, 1, x.reshape(-1), seeds[place], rate, out.reshape(-1))
    else:
        out[:] = x


@compiled
def _backward(
    lanes: Any,
    size: Any,
    rowptr: Any,
    col: Any,
    reverse: Any,
    of_maps: Any,
    of_weights: Any,
    left: Any,
    right: Any,
    epsilon: Any,
    grad: Any,
    seeds: Any,
    rate: float,
    by_degree: bool,
    kept: Any,
    to_x: Any,
    to_maps: Any,
    to_weights: Any,
    to_left: Any,
    to_right: Any,
    to_epsilon: Any,
) -> int:
    nodes, entries, channels, width, numbers, columns, _ = size
    flat = (nodes * channels, width)
    z = numpy.empty((nodes, 2 * numbers + 2), grad.dtype)
    of_map = numpy.empty((entries, channels, columns), grad.dtype)
    of_weight, of_angle = numpy.empty(entries, grad.dtype), numpy.empty((entries, numbers), z.dtype)
    before, to_seen = numpy.empty(flat, z.dtype), numpy.empty(flat, z.dtype)
    to_sent = numpy.empty(flat, z.dtype)
    total = to_x.reshape(flat)
    total[:] = grad.reshape(flat)
    for layer in range(len(kept) - 1, -1, -1):
        states, sums, root, angles, maps, blocks, weight, there = _parts(size, kept[layer])
        seen, above = states[SEEN], to_sent
        above[:] = total
        of_residual(lanes, states[STATE], above, epsilon[layer], total, to_epsilon[layer])
        of_elu(above.reshape(-1), states[ELU].reshape(-1))

        apply(lanes, rowptr, col, weight, blocks, sums, root, above, before)
        slopes(
            lanes, rowptr, col, reverse, maps, weight, by_degree, blocks, sums, root,
            states[MIXED], above, of_map, of_weight,
        )  # fmt: skip
        times(lanes, before.T, states[INNER], to_right[layer])
        times(lanes, before, right[layer], to_seen)
        of_channels(lanes, to_seen, states[SENT], to_left[layer])
        mix_channels(lanes, numpy.ascontiguousarray(left[layer].T), to_seen, to_sent)
        _drop(to_sent, seeds, 2 * layer, rate, before)
        total += before

        if columns == 1:
            of_angle.reshape(-1)[:] = of_map.reshape(-1)
        else:
            reflections_backward(0, 1, 1, of_map, angles, maps, of_angle)
        to_ends(rowptr, reverse, angles, of_angle, weight, there, of_weight, z)
        own, to_own = of_maps[layer].reshape((-1, width)), to_maps[layer].reshape((-1, width))
        to_speakers(lanes, 2 * numbers, own, seen, channels, z, 0, False, to_seen, to_own)
        if of_weights.shape[1] > 0:
            own, to_own = (
                of_weights[layer].reshape((-1, width)),
                to_weights[layer].reshape((-1, width)),
            )
            to_speakers(lanes, 2, own, seen, channels, z, 2 * numbers, True, to_seen, to_own)
        _drop(to_seen, seeds, 2 * layer - 1, rate if layer > 0 else 0.0, before)
        total += before
    return 0
