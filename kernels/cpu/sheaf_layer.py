"""CPU, numba: a layer is one call each way, in one thread.

The pieces are those of the layer's own operations: on 183 nodes they take 0.1 ms together, the
calls of a dozen operations, their checks and allocations, twenty times as long.
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
    transposed_times,
)
from gbench.kernels.panel_width import panel_width
from gbench.kernels.sheaf_layer import kept_numbers


def sheaf_layer(
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    x: Tensor,
    seen: Tensor,
    sent: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    other_seed: Tensor | None,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_layer.py, with what its backward reads."""
    size = _size(col, x, of_maps, is_diagonal)
    kept = torch.empty(kept_numbers(x, col.size(0), of_maps.size(0), is_diagonal), dtype=x.dtype)
    out = torch.empty(x.shape, dtype=x.dtype)
    drawn = [torch.empty(0 if seed is None else x.shape, dtype=x.dtype) for _ in range(2)]
    _forward(
        (0.0,) * panel_width(x.size(2)),
        size,
        *(array(part) for part in (rowptr, col, reverse, x, seen, sent, of_maps)),
        array(of_maps[:0] if of_weights is None else of_weights),
        *(array(part) for part in (left, right, epsilon)),
        *_seeds(seed, other_seed),
        rate,
        by_degree,
        *(array(part) for part in (kept, out)),
        *(array(part.view(-1)) for part in drawn),
    )
    return out, *drawn, kept


def sheaf_layer_backward(
    x: Tensor,
    grad: Tensor | None,
    grad_seen: Tensor | None,
    grad_sent: Tensor | None,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    seen: Tensor,
    sent: Tensor,
    of_maps: Tensor,
    of_weights: Tensor | None,
    left: Tensor,
    right: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    other_seed: Tensor | None,
    kept: Tensor,
    rate: float,
    is_diagonal: bool,
    by_degree: bool,
) -> tuple[Tensor, ...]:
    """The gradients of gbench/kernels/sheaf_layer.py."""
    none = of_maps[:0] if of_weights is None else of_weights
    given = (x, seen, sent, of_maps, none, left, right, epsilon)
    made = [torch.empty(part.shape, dtype=x.dtype) for part in given]
    nothing = x.new_empty(0)
    grads = [nothing if part is None else part.reshape(-1) for part in (grad, grad_seen, grad_sent)]
    _backward(
        (0.0,) * panel_width(x.size(2)),
        _size(col, x, of_maps, is_diagonal),
        *(array(part) for part in (rowptr, col, reverse, *given, *grads)),
        *_seeds(seed, other_seed),
        rate,
        by_degree,
        *(array(part) for part in (kept, *made)),
    )
    return tuple(made)


def _seeds(*seeds: Tensor | None) -> tuple[int, ...]:
    return tuple(0 if seed is None else int(seed) for seed in seeds)


def _size(col: Tensor, x: Tensor, of_maps: Tensor, is_diagonal: bool) -> tuple[int, ...]:
    """N, E, C, F, parameters of a map, columns of a map, and roots of a node."""
    nodes, channels, width = x.shape
    columns, roots = (1, channels) if is_diagonal else (channels, 1)
    return nodes, col.size(0), channels, width, of_maps.size(0), columns, roots


@compiled
def _parts(size: Any, kept: Any) -> Any:
    """What forward leaves to backward, cut from one array, for each array costs some µs to make."""
    nodes, entries, channels, width, numbers, columns, roots = size
    rows, of_map = nodes * channels, channels * columns
    ends = numpy.array(
        [
            rows * width,
            rows * width,
            rows * width,
            nodes * roots,
            nodes * roots,
            entries * numbers,
            entries * of_map,
            entries * of_map,
            entries,
            entries,
        ]
    ).cumsum()
    return (
        kept[: ends[0]].reshape((rows, width)),  # (I ⊗ W_1) sent
        kept[ends[0] : ends[1]].reshape((rows, width)),  # that times W_2ᵀ
        kept[ends[1] : ends[2]].reshape((rows, width)),  # elu(Δ of that)
        kept[ends[2] : ends[3]].reshape((nodes, roots)),  # size
        kept[ends[3] : ends[4]].reshape((nodes, roots)),  # r
        kept[ends[4] : ends[5]].reshape((entries, numbers)),  # tanh
        kept[ends[5] : ends[6]].reshape((entries, channels, columns)),  # maps
        kept[ends[6] : ends[7]].reshape((entries, channels, columns)),  # blocks
        kept[ends[7] : ends[8]],  # weight
        kept[ends[8] : ends[9]],  # what one end says of it
    )


@compiled
def _forward(
    lanes: Any,
    size: Any,
    rowptr: Any,
    col: Any,
    reverse: Any,
    x: Any,
    seen: Any,
    sent: Any,
    of_maps: Any,
    of_weights: Any,
    left: Any,
    right: Any,
    epsilon: Any,
    seed: int,
    other_seed: int,
    rate: float,
    by_degree: bool,
    kept: Any,
    out: Any,
    next_seen: Any,
    next_sent: Any,
) -> int:
    nodes, entries, channels, width, numbers, columns, _ = size
    inner, mixed, elu, sums, root, angles, maps, blocks, weight, there = _parts(size, kept)
    flat = (nodes * channels, width)
    stalks = seen.reshape(flat)

    z = numpy.empty((nodes, 2 * numbers + 2), x.dtype)
    said(lanes, 2 * numbers, of_maps.reshape((-1, width)), stalks, channels, z, 0)
    if len(of_weights):
        said(lanes, 2, of_weights.reshape((-1, width)), stalks, channels, z, 2 * numbers)
    of_pairs(rowptr, col, z, len(of_weights) > 0, angles, there)
    tanh_each(angles.reshape(-1))
    for e in range(uint64(entries)):
        weight[e] = there[e] * there[uint64(reverse[e])]
    if columns == 1:
        maps.reshape(-1)[:] = angles.reshape(-1)
    else:
        reflections(0, 1, 1, angles, maps)
    blocks_of(rowptr, reverse, maps, blocks)
    sizes(rowptr, maps, weight, by_degree, sums, root)

    mix_channels(lanes, left, sent.reshape(flat), inner)
    times(lanes, inner, numpy.ascontiguousarray(right.T), mixed)
    apply(lanes, rowptr, col, weight, blocks, sums, root, mixed, elu)
    elu_each(elu.reshape(-1))
    residual(lanes, x.reshape(flat), elu, epsilon, out.reshape(flat))
    if len(next_seen):
        drop_each(0, 1, 1, out.reshape(-1), seed, rate, next_seen)
        drop_each(0, 1, 1, out.reshape(-1), other_seed, rate, next_sent)
    return 0


@compiled
def _backward(
    lanes: Any,
    size: Any,
    rowptr: Any,
    col: Any,
    reverse: Any,
    x: Any,
    seen: Any,
    sent: Any,
    of_maps: Any,
    of_weights: Any,
    left: Any,
    right: Any,
    epsilon: Any,
    grad: Any,
    grad_seen: Any,
    grad_sent: Any,
    seed: int,
    other_seed: int,
    rate: float,
    by_degree: bool,
    kept: Any,
    to_x: Any,
    to_seen: Any,
    to_sent: Any,
    to_maps: Any,
    to_weights: Any,
    to_left: Any,
    to_right: Any,
    to_epsilon: Any,
) -> int:
    nodes, entries, channels, width, numbers, columns, _ = size
    inner, mixed, elu, sums, root, angles, maps, blocks, weight, there = _parts(size, kept)
    flat = (nodes * channels, width)
    stalks, to_stalks = seen.reshape(flat), to_seen.reshape(flat)

    total = grad.copy() if len(grad) else numpy.zeros(nodes * channels * width, x.dtype)
    drawn = numpy.empty(len(total), x.dtype)
    if len(grad_seen):
        drop_each(0, 1, 1, grad_seen, seed, rate, drawn)
        total += drawn
    if len(grad_sent):
        drop_each(0, 1, 1, grad_sent, other_seed, rate, drawn)
        total += drawn
    above = total.reshape(flat)
    of_residual(lanes, x.reshape(flat), above, epsilon, to_x.reshape(flat), to_epsilon)
    of_elu(total, elu.reshape(-1))

    before = drawn.reshape(flat)
    apply(lanes, rowptr, col, weight, blocks, sums, root, above, before)
    of_map, of_weight = numpy.empty(maps.shape, x.dtype), numpy.empty(entries, x.dtype)
    slopes(
        lanes, rowptr, col, reverse, maps, weight, by_degree, blocks, sums, root, mixed, above,
        of_map, of_weight,
    )  # fmt: skip
    transposed_times(lanes, before, inner, to_right)
    times(lanes, before, right, above)
    of_channels(lanes, above, sent.reshape(flat), to_left)
    mix_channels(lanes, numpy.ascontiguousarray(left.T), above, to_sent.reshape(flat))

    slope = of_map.reshape((entries, -1)) if columns == 1 else numpy.empty(angles.shape, x.dtype)
    if columns > 1:
        reflections_backward(0, 1, 1, of_map, angles, maps, slope)
    z = numpy.empty((nodes, 2 * numbers + 2), x.dtype)
    to_ends(rowptr, reverse, angles, slope, weight, there, of_weight, z)
    own, to_own = of_maps.reshape((-1, width)), to_maps.reshape((-1, width))
    to_speakers(lanes, 2 * numbers, own, stalks, channels, z, 0, False, to_stalks, to_own)
    if len(of_weights):
        own, to_own = of_weights.reshape((-1, width)), to_weights.reshape((-1, width))
        to_speakers(lanes, 2, own, stalks, channels, z, 2 * numbers, True, to_stalks, to_own)
    return 0
