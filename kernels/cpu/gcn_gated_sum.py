"""CPU, numba: hop by hop over panels (panels.py), whose column F holds the scores of the gates."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import widen
from gbench.kernels.cpu.panels import hop, inverse_root, pack, steps_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.cpu.sigmoid import sigmoid
from gbench.kernels.cpu.vectors import load, row, store, total_of
from gbench.kernels.csr import Graph
from gbench.kernels.panel_width import padded, panel_width


def gcn_gated_sum(
    graph: Graph,
    longest: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    hops: int,
    keeps: bool,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/gcn_gated_sum.py."""
    rowptr, col, *_ = graph
    num_nodes, width = x.shape
    x = x.contiguous()  # BLAS adds up a strided x in another order
    wide = torch.promote_types(x.dtype, torch.float32)
    score = x.to(wide) @ weight.to(wide).contiguous()
    slots = hops + 1 if keeps else min(hops + 1, 2)
    hidden = unset((slots * num_nodes * padded(width + 1),), score.dtype)
    out = unset(x.shape, x.dtype)
    scale = inverse_root(array(rowptr), array(score))
    lanes, panels = _panels(hidden, slots, num_nodes, width)
    graph = (array(rowptr), array(col), scale, scale * scale, 1 / scale)
    buffers = (panels, numpy.empty_like(panels[0]), numpy.empty_like(scale), array(out))
    work = (col.numel() + num_nodes) * width
    for steps in steps_of(hops + 1, work):
        given = (lanes, graph, array(x), array(score), float(bias), *buffers, hops, *steps)
        run(_forward, count_chunks(work), *given)
    return out, hidden if keeps else hidden.new_empty(0)


def gcn_gated_sum_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    hops: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_gated_sum.py."""
    rowptr, _, rowptr_t, col_t, *_ = graph
    num_nodes, width = grad.shape
    scale = inverse_root(array(rowptr), array(hidden))
    lanes, kept = _panels(hidden, hops + 1, num_nodes, width)
    graph = (array(rowptr_t), array(col_t), scale, scale * scale, 1 / scale)
    slopes = torch.zeros(num_nodes, dtype=hidden.dtype)
    sums = numpy.empty((2, *kept.shape[1:]), scale.dtype)
    rows = _reached(array(grad))
    gates = (numpy.empty(len(rows), scale.dtype), numpy.empty(len(rows), scale.dtype))
    buffers = (kept, sums, rows, *gates, array(slopes))
    grad_x = torch.empty(grad.shape, dtype=grad.dtype)
    grad_score = torch.empty(num_nodes, dtype=hidden.dtype)
    results = (array(grad_x), array(grad_score))
    work = 2 * (col_t.numel() + num_nodes) * width
    for steps in steps_of(hops + 1, work):
        given = (lanes, graph, array(grad), float(bias), *buffers, *results, *steps)
        run(_backward, count_chunks(work), *given)
    wide_x, wide_weight = x.contiguous().to(hidden.dtype), weight.to(hidden.dtype).contiguous()
    grad_x += torch.outer(grad_score, wide_weight).to(x.dtype)
    grad_weight = wide_x.t().mv(grad_score).to(weight.dtype)
    return grad_x, grad_weight, slopes.sum().to(bias.dtype)


def _panels(memory: Tensor, slots: int, num_nodes: int, width: int) -> tuple[tuple[int, ...], Any]:
    """The memory as panels (slots, panels, N, P) that hold width + 1 columns."""
    lanes = panel_width(width + 1)
    panels = array(memory).reshape(slots, padded(width + 1) // lanes, num_nodes, lanes)
    return (0,) * lanes, panels


@compiled
def _gates(score: Any, root: Any, bias: Any, gate: Any) -> None:
    """σ(score + bias) of each row, whose score comes times D^-1/2.

    Over slices, from 0 on: an index that may be negative is a branch, and LLVM makes no vectors.
    """
    for i in range(len(gate)):
        gate[i] = score[i] * root[i] + bias
    for i in range(len(gate)):
        gate[i] = sigmoid(gate[i])


@compiled
def _put_scores(begin: int, end: int, score: Any, scale: Any, panel: Any, lane: int) -> None:
    for i in range(uint64(begin), uint64(end)):
        panel[i, lane] = score[i] * scale[i]


@compiled
def _add_gated(
    lanes: Any, begin: int, end: int, panel: Any, gate: Any, is_first: bool, total: Any
) -> None:
    for i in range(uint64(begin), uint64(end)):
        part = row(lanes, panel, i) * gate[i]
        store(part if is_first else part + row(lanes, total, i), total, i, 0)


@compiled
def _unpack(
    lanes: Any, begin: int, end: int, panel: Any, factor: Any, out: Any, column: int
) -> None:
    for i in range(uint64(begin), uint64(end)):
        store(row(lanes, panel, i) * factor[i], out, i, column)


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    graph: Any,
    x: Any,
    score: Any,
    bias: float,
    panels: Any,
    total: Any,
    gate: Any,
    out: Any,
    hops: int,
    step: int,
    end_step: int,
) -> int:
    """Steps of a chunk of the rows: step k makes H_k and adds its part to the sum."""
    rowptr, col, scale, between, root = graph
    begin, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    slots, count, _, width = panels.shape
    lane, offset = x.shape[1] - (count - 1) * width, scale.dtype.type(bias)
    for k in range(step, end_step):
        before, here = panels[(k - 1) % slots], panels[k % slots]
        for p in range(count):
            if k == 0:
                pack(lanes, begin, end, x, p * width, scale, here[p])
            else:
                hop(lanes, begin, end, rowptr, col, between, before[p], None, False, here[p], 0)
        if k == 0:
            _put_scores(begin, end, score, scale, here[count - 1], lane)
        _gates(here[count - 1, begin:end, lane], root[begin:end], offset, gate[begin:end])
        for p in range(count):
            _add_gated(lanes, begin, end, here[p], gate, k == 0, total[p])
            if k == hops:
                _unpack(lanes, begin, end, total[p], root, out, p * width)
    return 0


@compiled
def _reached(grad: Any) -> Any:
    """The rows that are not all zeros, in their order: a loss reads few of a graph's nodes."""
    rows = numpy.empty(grad.shape[0], numpy.int32)
    count = uint64(0)
    for i in range(uint64(grad.shape[0])):
        is_reached = False
        for column in range(uint64(grad.shape[1])):
            is_reached |= widen(grad[i, column]) != 0
        rows[count] = i
        count += uint64(is_reached)
    return rows[:count]


@compiled
def _gates_of(rows: Any, panel: Any, lane: int, root: Any, bias: Any, gate: Any) -> None:
    """As _gates, of these rows of a panel."""
    for a in range(len(gate)):
        i = uint64(rows[a])
        gate[a] = panel[i, lane] * root[i] + bias
    for a in range(len(gate)):
        gate[a] = sigmoid(gate[a])


@compiled
def _add_grad(
    lanes: Any,
    rows: Any,
    grad: Any,
    column: int,
    hidden: Any,
    gate: Any,
    scale: Any,
    total: Any,
    product: Any,
) -> None:
    """Add the gated gradient to the walk's sum, and its product with H_k to `product`."""
    for a in range(len(product)):
        i = uint64(rows[a])
        value = load(lanes, grad, i, column)
        product[a] += total_of(value * row(lanes, hidden, i))
        store(value * (gate[a] * scale[i]) + row(lanes, total, i), total, i, 0)


@compiled
def _add_slopes(
    rows: Any,
    gate: Any,
    scale: Any,
    root: Any,
    slope: Any,
    panel: Any,
    lane: int,
    slopes: Any,
) -> None:
    """The gradient of each score, ⟨ȳ, H_k⟩ σ', to the walk's sum and to the bias's."""
    for a in range(len(slope)):
        i = uint64(rows[a])
        one = slope[a] * root[i] * gate[a] * (1 - gate[a])
        panel[i, lane] += one * scale[i]
        slopes[i] += one


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    graph: Any,
    grad: Any,
    bias: float,
    kept: Any,
    sums: Any,
    reached: Any,
    gates: Any,
    products: Any,
    slopes: Any,
    grad_x: Any,
    grad_score: Any,
    step: int,
    end_step: int,
) -> int:
    """Steps of a chunk of the rows: step t adds the gradient of H_k, k = K - t, to the walk's.

    It adds to the rows alone that the gradient reaches; the walk takes it to all others.
    """
    rowptr, col, scale, between, root = graph
    begin, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    slots, count, _, width = kept.shape
    lane, offset = grad.shape[1] - (count - 1) * width, scale.dtype.type(bias)
    start, stop = numpy.searchsorted(reached, begin), numpy.searchsorted(reached, end)
    rows, gate, slope = reached[start:stop], gates[start:stop], products[start:stop]
    for t in range(step, end_step):
        hidden, before, here = kept[slots - 1 - t], sums[(t - 1) % 2], sums[t % 2]
        _gates_of(rows, hidden[count - 1], lane, root, offset, gate)
        slope[:] = 0
        for p in range(count):
            if t == 0:
                here[p, begin:end] = 0
            else:
                hop(lanes, begin, end, rowptr, col, between, before[p], None, False, here[p], 0)
            _add_grad(lanes, rows, grad, p * width, hidden[p], gate, scale, here[p], slope)
        _add_slopes(rows, gate, scale, root, slope, here[count - 1], lane, slopes)
        if t == slots - 1:
            for p in range(count):
                _unpack(lanes, begin, end, here[p], root, grad_x, p * width)
            for i in range(uint64(begin), uint64(end)):
                grad_score[i] = here[count - 1, i, lane] * root[i]
    return 0
