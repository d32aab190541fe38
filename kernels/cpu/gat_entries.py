"""Scores, senders and draws of the entries of graph attention (gat_attention.py), in numba."""

from __future__ import annotations

import math
from typing import Any

from numba import uint64

from gbench.kernels.cpu.draws import draw, drop_rule, row_key
from gbench.kernels.cpu.rows import compiled
from gbench.kernels.cpu.vector_parts import first as part_of
from gbench.kernels.cpu.vector_parts import put, sloped, sums_of
from gbench.kernels.cpu.vectors import load, zero
from gbench.kernels.dropout import KEY_SPAN
from gbench.kernels.gat_attention import SLOPE


@compiled
def node_scores(
    first: int, last: int, num_chunks: int, layout: Any, x: Any, own: Any, other: Any, scores: Any
) -> int:
    """⟨a_h, x_ih⟩ and ⟨a'_h, x_ih⟩ of each node."""
    lanes, parts, groups = layout
    _, nodes, heads = scores.shape
    for i in range(nodes * first // num_chunks, nodes * last // num_chunks):
        for g in range(groups):
            left, right = zero(lanes, x), zero(lanes, x)
            for column in range(0, x.shape[1], len(lanes)):
                value = load(lanes, x, i * groups + g, column)
                left += value * load(lanes, own, g, column)
                right += value * load(lanes, other, g, column)
            at = i * heads + g * len(parts)
            put(sums_of(parts, left), scores, at, len(parts))
            put(sums_of(parts, right), scores, nodes * heads + at, len(parts))
    return 0


@compiled
def entries_of(
    by_head: Any,
    begin: int,
    end: int,
    rowptr: Any,
    col: Any,
    scores: Any,
    seed: Any,
    rate: float,
    start: Any,
    near: Any,
    score: Any,
    factor: Any,
) -> int:
    """The entries of rows begin..end - 1 and their own: senders, scores and factors."""
    _, nodes, heads = scores.shape
    drops, limit, grow = drop_rule(rate)
    if not drops:
        factor[:] = 1
    at = 0
    for i in range(begin, end):
        start[i - begin] = at
        for e in range(rowptr[i], rowptr[i + 1] + 1):
            is_own = e == rowptr[i + 1]
            j = i if is_own else col[e]
            near[at] = j
            for h in range(0, heads, len(by_head)):
                size = min(len(by_head), heads - h)
                there = size if is_own or j != i else 0  # a loop in the graph has -inf
                value = part_of(by_head, scores, i * heads + h, size, 0.0)
                value += part_of(by_head, scores, (nodes + j) * heads + h, there, -math.inf)
                put(sloped(value, value, SLOPE), score, at * heads + h, size)
            at += 1
        for part in range(2 if drops else 0):  # factors of the row's entries, then of its own
            k = heads * (len(col) + i if part else rowptr[i])
            stop = k + heads if part else heads * rowptr[i + 1]
            to = uint64(heads * (at - 1 if part else start[i - begin]))
            while k < stop:
                key, place = row_key(seed, k // KEY_SPAN), k % KEY_SPAN
                span = min(stop - k, KEY_SPAN - place)
                for t in range(uint64(span)):
                    kept = draw(key, place + t) >= limit
                    factor[to + t] = grow if kept else 0.0
                k, to = k + span, to + uint64(span)
    start[end - begin] = at
    return at
