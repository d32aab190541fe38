"""CPU, numba: weights of a block of rows by vectors of scores, then sums by vectors of features.

Backward: the products of ȳ with a block's x and y, from them the scores' gradient, and, over the
transpose, the sums of ȳ with weights that stand in an E × H array until the call ends.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import scratch
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.cpu.weighted import dots, layout_of, weighted_sums
from gbench.kernels.cpu.weights import (
    block_end,
    block_room,
    lanes_of,
    slopes,
    stretch_of,
    weights_of,
)
from gbench.kernels.csr import Graph


def edge_softmax(
    graph: Graph,
    longest: int,
    score: Tensor,
    x: Tensor,
    factor: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/edge_softmax.py."""
    rowptr, col, *_ = graph
    _, heads, width = x.shape
    out = unset((rowptr.numel() - 1, heads, width), x.dtype)
    wide = torch.promote_types(x.dtype, torch.float32)
    log_sum = torch.empty(rowptr.numel() - 1, heads, dtype=wide)
    if not out.numel():
        return out, log_sum
    layout = layout_of(heads, width)
    run(
        _forward,
        _chunks(col, heads, width),
        tuple(layout),
        lanes_of(heads),
        array(rowptr),
        array(col),
        array(score),
        layout.view(x),
        None if factor is None else array(factor),
        layout.view(out),
        array(log_sum),
    )
    return out, log_sum


def edge_softmax_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    score: Tensor,
    x: Tensor,
    factor: Tensor | None,
    out: Tensor,
    log_sum: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/edge_softmax.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    _, heads, width = x.shape
    grad_score, grad_x = unset(score.shape, score.dtype), unset(x.shape, x.dtype)
    if not grad_x.numel():
        return grad_score, grad_x
    weight = array(unset(score.shape, log_sum.dtype))
    layout, chunks = layout_of(heads, width), _chunks(col, heads, width)
    grads = layout.view(grad)
    run(
        _grad_score,
        chunks,
        tuple(layout),
        lanes_of(heads),
        array(rowptr),
        array(col),
        array(score),
        layout.view(x),
        None if factor is None else array(factor),
        array(log_sum),
        grads,
        array(grad_score),
        weight,
    )
    given = (array(rowptr_t), array(col_t), array(perm_t), weight, grads, layout.view(grad_x))
    run(_grad_x, chunks, tuple(layout), *given)
    return grad_score, grad_x


def _chunks(col: Tensor, heads: int, width: int) -> int:
    return count_chunks(col.numel() * heads * (width + 8))  # an exponential costs as 8 features


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    layout: Any,
    score_lanes: Any,
    rowptr: Any,
    col: Any,
    score: Any,
    x: Any,
    factor: Any,
    out: Any,
    log_sum: Any,
) -> int:
    i, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    lanes, parts, groups = layout
    score_lanes, by_head = score_lanes
    heads = score.shape[1]
    room = block_room(rowptr, i, end, heads)
    weight, scale = scratch(x, (room, heads)), scratch(x, (room, heads))
    while i < end:
        stop = block_end(rowptr, i, end, heads)
        a, b = rowptr[i], rowptr[stop]
        factors = stretch_of(factor, a, b)
        given = (rowptr, score[a:b], factors, weight, scale, log_sum)
        weights_of(score_lanes, by_head, i, stop, *given)
        weighted_sums(lanes, parts, groups, i, stop, rowptr, col, None, weight, scale, x, out)
        i = stop
    return 0


@compiled
def _grad_score(
    first: int,
    last: int,
    num_chunks: int,
    layout: Any,
    score_lanes: Any,
    rowptr: Any,
    col: Any,
    score: Any,
    x: Any,
    factor: Any,
    log_sum: Any,
    grad: Any,
    grad_score: Any,
    weight: Any,
) -> int:
    i, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    lanes, parts, groups = layout
    score_lanes, by_head = score_lanes
    heads = score.shape[1]
    room = block_room(rowptr, i, end, heads)
    dot, alpha = scratch(x, (room, heads)), scratch(x, (room, heads))
    while i < end:
        stop = block_end(rowptr, i, end, heads)
        a, b = rowptr[i], rowptr[stop]
        factors = stretch_of(factor, a, b)
        part = weight[a:b]
        alphas = part if factor is None else alpha
        dots(lanes, parts, groups, i, stop, rowptr, col, grad, x, dot)
        given = (rowptr, score[a:b], factors, log_sum, dot, alphas, part, grad_score[a:b])
        slopes(score_lanes, by_head, i, stop, *given)
        i = stop
    return 0


@compiled
def _grad_x(
    first: int,
    last: int,
    num_chunks: int,
    layout: Any,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    weight: Any,
    grad: Any,
    grad_x: Any,
) -> int:
    begin = chunk_start(rowptr_t, first, num_chunks)
    end = chunk_start(rowptr_t, last, num_chunks)
    lanes, parts, groups = layout
    given = (rowptr_t, col_t, perm_t, weight, None, grad, grad_x)
    weighted_sums(lanes, parts, groups, begin, end, *given)
    return 0
