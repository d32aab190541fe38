"""CPU, numba: hop by hop over panels (panels.py), whose column F holds the scores of the gates.

The nodes that are asked about are the first ones: gates, sums and what is kept are theirs alone,
and hop k is made of the first reach[K - k] rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.gated_rows import (
    add_gated,
    add_grad,
    add_products,
    add_slopes,
    gates_of,
    pack,
    unpack,
    unpack_grad,
)
from gbench.kernels.cpu.panels import hop, inverse_root, steps_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.csr import Graph
from gbench.kernels.panel_width import padded, panel_width


def gcn_gated_sum(
    graph: Graph,
    longest: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    hops: int,
    reach: Sequence[int],
    keeps: bool,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/gcn_gated_sum.py."""
    rowptr, col, *_ = graph
    width, counts = x.size(1), _counts(reach, x, hops)
    scale = inverse_root(array(rowptr)[: x.size(0) + 1], array(x))
    lanes, (count, lane_count) = _panels(width)
    asked = counts[0]
    kept = unset(((hops + 1) * asked * count * lane_count if keeps else 0,), _type_of(scale))
    panels = numpy.empty((2, count, x.size(0), lane_count), scale.dtype)
    total = numpy.empty((count, asked, lane_count), scale.dtype)
    gate = numpy.empty(asked, scale.dtype)
    out = unset((asked, width), x.dtype)
    by_hop = array(kept).reshape(hops + 1, count, asked, lane_count) if keeps else None
    buffers = (panels, total, gate, by_hop, array(out))
    work = (col.numel() + x.size(0)) * width
    for steps in steps_of(hops + 1, work):
        given = (lanes, array(rowptr), array(col), scale, array(x), array(weight).reshape(1, -1))
        run(_forward, count_chunks(work), *given, float(bias), counts, *buffers, *steps)
    return out, kept


def gcn_gated_sum_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    hops: int,
    reach: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_gated_sum.py."""
    rowptr, _, rowptr_t, col_t, *_ = graph
    (num_nodes, width), counts = x.shape, _counts(reach, x, hops)
    scale = inverse_root(array(rowptr)[: num_nodes + 1], array(hidden))
    lanes, (count, lane_count) = _panels(width)
    kept = array(hidden).reshape(hops + 1, count, counts[0], lane_count)
    sums = numpy.zeros((2, count, rowptr_t.numel() - 1, lane_count), scale.dtype)
    gates = numpy.empty((2, counts[0]), scale.dtype)
    work = 2 * (col_t.numel() + num_nodes) * width
    chunks = count_chunks(work)
    weights = numpy.zeros((chunks, count * lane_count), scale.dtype)
    biases = numpy.zeros(chunks, scale.dtype)
    grad_x = unset(x.shape, x.dtype)
    results = (weights, biases, array(grad_x))
    for steps in steps_of(hops + 1, work):
        given = (lanes, array(rowptr_t), array(col_t), scale, array(grad))
        gated = (array(weight).reshape(1, -1), float(bias), counts)
        run(_backward, chunks, *given, *gated, kept, sums, gates, *results, *steps)
    grad_weight = torch.from_numpy(weights.sum(0)[:width]).to(weight.dtype)
    return grad_x, grad_weight, torch.from_numpy(biases).sum().to(bias.dtype)


def _type_of(scale: Any) -> torch.dtype:
    return torch.float64 if scale.dtype == numpy.float64 else torch.float32


def _counts(reach: Sequence[int], x: Tensor, hops: int) -> Any:
    """How many rows are made at a distance of 0, 1, … K."""
    return numpy.array(reach or [x.size(0)] * (hops + 1))


def _panels(width: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The vectors of panels for width + 1 columns, and how many panels of how many lanes."""
    lanes = panel_width(width + 1)
    return (0,) * lanes, (padded(width + 1) // lanes, lanes)


@compiled
def _share(rowptr: Any, rows: int, chunk: int, num_chunks: int) -> Any:
    """The first row of a chunk of the first `rows` rows."""
    return chunk_start(rowptr[: rows + 1], chunk, num_chunks)


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    rowptr: Any,
    col: Any,
    scale: Any,
    x: Any,
    weight: Any,
    bias: float,
    counts: Any,
    panels: Any,
    total: Any,
    gate: Any,
    kept: Any,
    out: Any,
    step: int,
    end_step: int,
) -> int:
    """Steps of a chunk of the rows: step k makes H_k and adds its part to the sum."""
    _, count, _, width = panels.shape
    hops, between = len(counts) - 1, scale * scale
    lane, offset = x.shape[1] - (count - 1) * width, scale.dtype.type(bias)
    for k in range(step, end_step):
        before, here, rows = panels[(k - 1) % 2], panels[k % 2], counts[hops - k]
        begin, end = _share(rowptr, rows, first, num_chunks), _share(rowptr, rows, last, num_chunks)
        if k == 0:
            pack(lanes, begin, end, x, weight, scale, here, lane)
        else:
            for p in range(count):
                hop(lanes, begin, end, rowptr, col, between, before[p], None, False, here[p], 0)
        begin, end = min(begin, counts[0]), min(end, counts[0])
        asked = scale[begin:end]
        gates_of(here[count - 1, begin:end, lane], asked, offset, gate[begin:end])
        for p in range(count):
            add_gated(lanes, begin, end, here[p], gate, k == 0, total[p])
            if kept is not None:
                kept[k, p, begin:end] = here[p, begin:end]
            if k == hops:
                unpack(lanes, begin, end, total[p], scale, out, p * width)
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    rowptr: Any,
    col: Any,
    scale: Any,
    grad: Any,
    weight: Any,
    bias: float,
    counts: Any,
    kept: Any,
    sums: Any,
    gates: Any,
    weights: Any,
    biases: Any,
    grad_x: Any,
    step: int,
    end_step: int,
) -> int:
    """Steps of some chunks of the rows: step t adds the gradient of H_k, k = K - t, to the walk's.

    It adds to the rows alone that were asked about. The walk takes it t edges further: what lies
    beyond is 0, as both buffers were. Each chunk has a sum of the gate's gradients of its own.
    """
    slots, count, _, width = kept.shape
    between, gate, slope = scale * scale, gates[0], gates[1]
    lane, offset = grad.shape[1] - (count - 1) * width, scale.dtype.type(bias)
    for t in range(step, end_step):
        hidden, before, here = kept[slots - 1 - t], sums[(t - 1) % 2], sums[t % 2]
        rows = counts[t]
        for chunk in range(first, last):
            begin = _share(rowptr, rows, chunk, num_chunks)
            end = _share(rowptr, rows, chunk + 1, num_chunks)
            if t > 0:
                for p in range(count):
                    hop(lanes, begin, end, rowptr, col, between, before[p], None, False, here[p], 0)
            start, stop = min(begin, counts[0]), min(end, counts[0])
            asked = scale[start:stop]
            gates_of(hidden[count - 1, start:stop, lane], asked, offset, gate[start:stop])
            slope[start:stop] = 0
            for p in range(count):
                given = (grad, p * width, hidden[p], gate, scale)
                add_grad(lanes, start, stop, *given, here[p], slope)
            biases[chunk] += add_slopes(start, stop, gate, scale, slope, here[count - 1], lane)
            for p in range(count):
                add_products(lanes, start, stop, hidden[p], slope, weights, chunk, p * width)
            if t == slots - 1:
                unpack_grad(lanes, begin, end, here, lane, weight, scale, grad_x)
    return 0
