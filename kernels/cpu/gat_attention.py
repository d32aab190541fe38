"""CPU, numba: as edge_softmax.py, on scores that are made of two numbers per node, block by block.

A block's entries, the nodes' own among them, are written side by side with their scores and draws,
forward and backward again. The weights and the scores' gradients of all entries stand in arrays
(E + N) × H between the two walks of the backward pass: entry e of row i at e + i, then its own.
"""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import scratch
from gbench.kernels.cpu.gat_entries import entries_of, node_scores
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.cpu.vector_parts import first as part_of
from gbench.kernels.cpu.vector_parts import put, sloped, spread
from gbench.kernels.cpu.vectors import load, store
from gbench.kernels.cpu.weighted import Layout, dots, layout_of, weighted_sums
from gbench.kernels.cpu.weights import block_end, block_room, lanes_of, slopes, weights_of
from gbench.kernels.csr import Graph
from gbench.kernels.gat_attention import SLOPE


def gat_attention(
    graph: Graph,
    longest: int,
    x: Tensor,
    own: Tensor,
    other: Tensor,
    seed: Tensor | None,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/gat_attention.py."""
    rowptr, col, *_ = graph
    num_rows, (_, heads, width) = rowptr.numel() - 1, x.shape
    wide = torch.promote_types(x.dtype, torch.float32)
    out = unset((num_rows, heads, width), x.dtype)
    scores = torch.empty(2, x.size(0), heads, dtype=wide)
    log_sum = torch.empty(num_rows, heads, dtype=wide)
    layout, chunks = layout_of(heads, width), _chunks(col, x)
    given, made = layout.view(x), array(scores)
    run(node_scores, chunks, tuple(layout), given, *_pair(layout, own, other), made)
    ends = (given, made, _number(seed), rate, layout.view(out), array(log_sum))
    run(_forward, chunks, tuple(layout), lanes_of(heads), array(rowptr), array(col), *ends)
    return out, scores, log_sum


def gat_attention_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    own: Tensor,
    other: Tensor,
    seed: Tensor | None,
    scores: Tensor,
    log_sum: Tensor,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gat_attention.py."""
    rowptr, col, rowptr_t, col_t, perm_t = (array(part) for part in graph)
    _, heads, width = x.shape
    layout, chunks = layout_of(heads, width), _chunks(graph[1], x)
    shape = (len(col) + len(log_sum), heads)
    weight, slope = array(unset(shape, scores.dtype)), array(unset(shape, scores.dtype))
    left = array(torch.empty_like(log_sum))
    features, grads, lanes = layout.view(x), layout.view(grad), lanes_of(heads)
    given = (features, array(scores), _number(seed), rate, array(log_sum), grads)
    run(_row_walk, chunks, tuple(layout), lanes, rowptr, col, *given, weight, slope, left)
    grad_x = unset(x.shape, x.dtype)
    sums = torch.zeros(chunks, 2, heads, width, dtype=scores.dtype)
    parts = array(sums).reshape(2 * chunks * layout.groups, -1)
    ends = (features, *_pair(layout, own, other), grads, weight, slope, left)
    transpose = (rowptr, rowptr_t, col_t, perm_t)
    run(_column_walk, chunks, tuple(layout), lanes, *transpose, *ends, layout.view(grad_x), parts)
    grad_own, grad_other = sums.sum(0).to(x.dtype)
    return grad_x, grad_own, grad_other


def _chunks(col: Tensor, x: Tensor) -> int:
    _, heads, width = x.shape
    return count_chunks((col.numel() + x.size(0)) * heads * (width + 8))


def _pair(layout: Layout, own: Tensor, other: Tensor) -> tuple[Any, Any]:
    return layout.view(own), layout.view(other)


def _number(seed: Tensor | None) -> int:
    return 0 if seed is None else int(seed.item())


@compiled
def _room(x: Any, rowptr: Any, begin: int, end: int, heads: int) -> Any:
    """Room for the entries of any block: rows' begins, nodes, scores, two more of these, draws."""
    room = block_room(rowptr, begin, end, heads)
    start, near = numpy.empty(room + 1, numpy.int64), numpy.empty(room, numpy.int64)
    score, one = scratch(x, (room, heads)), scratch(x, (room, heads))
    two, draws = scratch(x, (room, heads)), scratch(x, room * heads)
    return start, near, score, one, two, draws


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    layout: Any,
    score_lanes: Any,
    rowptr: Any,
    col: Any,
    x: Any,
    scores: Any,
    seed: Any,
    rate: float,
    out: Any,
    log_sum: Any,
) -> int:
    i, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    lanes, parts, groups = layout
    score_lanes, by_head = score_lanes
    heads = log_sum.shape[1]
    start, near, score, scale, weight, factor = _room(x, rowptr, i, end, heads)
    while i < end:
        stop = block_end(rowptr, i, end, heads)
        made = (start, near, score, factor)
        entries_of(by_head, i, stop, rowptr, col, scores, seed, rate, *made)
        given = (score, factor, weight, scale, log_sum[i:stop])
        weights_of(score_lanes, by_head, 0, stop - i, start, *given)
        part = out[i * groups : stop * groups]
        given_sums = (start, near, None, weight, scale, x, part)
        weighted_sums(lanes, parts, groups, 0, stop - i, *given_sums)
        i = stop
    return 0


@compiled
def _row_walk(
    first: int,
    last: int,
    num_chunks: int,
    layout: Any,
    score_lanes: Any,
    rowptr: Any,
    col: Any,
    x: Any,
    scores: Any,
    seed: Any,
    rate: float,
    log_sum: Any,
    grad: Any,
    weight: Any,
    slope: Any,
    left: Any,
) -> int:
    """Weights with their factors, gradients of scores before the ReLU, and their sums by row."""
    i, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    lanes, parts, groups = layout
    score_lanes, by_head = score_lanes
    heads = log_sum.shape[1]
    start, near, score, dot, alpha, factor = _room(x, rowptr, i, end, heads)
    while i < end:
        stop, at = block_end(rowptr, i, end, heads), rowptr[i] + i
        made = (start, near, score, factor)
        count = entries_of(by_head, i, stop, rowptr, col, scores, seed, rate, *made)
        part, slopes_of = weight[at : at + count], slope[at : at + count]
        dots(lanes, parts, groups, 0, stop - i, start, near, grad[i * groups :], x, dot)
        given = (score, factor, log_sum[i:stop], dot, alpha, part, slopes_of)
        slopes(score_lanes, by_head, 0, stop - i, start, *given)
        for k in range(stop - i):
            for h in range(0, heads, len(by_head)):
                size = min(len(by_head), heads - h)
                total = part_of(by_head, left, 0, 0, 0.0)
                for e in range(start[k], start[k + 1]):
                    given_score = part_of(by_head, score, e * heads + h, size, 0.0)
                    value = part_of(by_head, slopes_of, e * heads + h, size, 0.0)
                    value = sloped(value, given_score, SLOPE)
                    put(value, slopes_of, e * heads + h, size)
                    total += value
                put(total, left, (i + k) * heads + h, size)
        i = stop
    return 0


@compiled
def _column_walk(
    first: int,
    last: int,
    num_chunks: int,
    layout: Any,
    score_lanes: Any,
    rowptr: Any,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    x: Any,
    own: Any,
    other: Any,
    grad: Any,
    weight: Any,
    slope: Any,
    left: Any,
    grad_x: Any,
    sums: Any,
) -> int:
    """The gradient of x, and of each chunk those of `own` and `other`."""
    lanes, parts, groups = layout
    _, by_head = score_lanes
    rows, heads = left.shape
    begin, end = chunk_start(rowptr_t, first, num_chunks), chunk_start(rowptr_t, last, num_chunks)
    room = block_room(rowptr_t, begin, end, heads)
    start, near = numpy.empty(room + 1, numpy.int64), numpy.empty(room, numpy.int64)
    place, right = numpy.empty(room, numpy.int64), numpy.empty((2, heads), left.dtype)
    for chunk in range(first, last):
        j, end = (
            chunk_start(rowptr_t, chunk, num_chunks),
            chunk_start(rowptr_t, chunk + 1, num_chunks),
        )
        while j < end:
            stop, at = block_end(rowptr_t, j, end, heads), 0
            for k in range(j, stop):
                start[k - j] = at
                for t in range(rowptr_t[k], rowptr_t[k + 1]):
                    near[at], place[at] = col_t[t], perm_t[t] + col_t[t]
                    at += 1
                if k < rows:
                    near[at], place[at] = k, rowptr[k + 1] + k
                    at += 1
            start[stop - j] = at
            part = grad_x[j * groups : stop * groups]
            given = (start, near, place, weight, None, grad, part)
            weighted_sums(lanes, parts, groups, 0, stop - j, *given)
            for k in range(stop - j):
                for h in range(0, heads, len(by_head)):
                    size = min(len(by_head), heads - h)
                    total = part_of(by_head, left, 0, 0, 0.0)
                    for t in range(start[k], start[k + 1]):
                        total += part_of(by_head, slope, place[t] * heads + h, size, 0.0)
                    put(total, right, heads + h, size)
                    count = size if j + k < rows else 0
                    put(part_of(by_head, left, (j + k) * heads + h, count, 0.0), right, h, size)
                for g in range(groups):
                    head = g * len(parts)
                    a = spread(lanes, part_of(parts, right, head, len(parts), 0.0))
                    b = spread(lanes, part_of(parts, right, heads + head, len(parts), 0.0))
                    for column in range(0, x.shape[1], len(lanes)):
                        total_x = load(lanes, part, k * groups + g, column)
                        total_x += a * load(lanes, own, g, column)
                        total_x += b * load(lanes, other, g, column)
                        store(total_x, part, k * groups + g, column)
                        value = load(lanes, x, (j + k) * groups + g, column)
                        mine, others = 2 * chunk * groups + g, (2 * chunk + 1) * groups + g
                        store(load(lanes, sums, mine, column) + a * value, sums, mine, column)
                        store(load(lanes, sums, others, column) + b * value, sums, others, column)
            j = stop
    return 0
