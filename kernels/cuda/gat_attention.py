"""CUDA: the scores of nodes, then one walk over each row's entries with the softmax as it goes.

A row's walk keeps the highest score so far, the sum of exp(score - highest) and the features so
weighted, and scales both sums down where a higher score comes (Milakov and Gimelshein, 2018). Two
walks backward: over the rows for the receivers' scores, over the columns for all else. Hubs are
shared among programs (rows.py), which leave the highest score and the sum beside their features.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.draws import dropped_in_order
from gbench.kernels.cuda.rows import (
    NOTHING,
    WHOLE,
    Tiling,
    cdiv,
    gather,
    kernel,
    launch,
    portion,
    put,
    tile_columns,
    tiling,
)
from gbench.kernels.dropout import KEY_SPAN
from gbench.kernels.gat_attention import SLOPE

LOWEST: tl.constexpr = tl.constexpr(-3.0e38)  # below any score; finite, for -inf - -inf is NaN


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
    x = x.contiguous()
    num_rows, (num_cols, heads, width) = rowptr.numel() - 1, x.shape
    wide = torch.promote_types(x.dtype, torch.float32)
    scores = x.new_empty(2, num_cols, heads, dtype=wide)
    log_sum = x.new_empty(num_rows, heads, dtype=wide)
    out = x.new_empty(num_rows, heads, width)
    if x.numel():
        columns = tile_columns(width)
        rows = max(1, min(32, 128 // columns))
        sizes = {"HEADS": heads, "WIDTH": width, "ROWS": rows, "COLUMNS": columns}
        grid = (cdiv(num_cols * heads, rows),)
        weights = (own.contiguous(), other.contiguous())
        launch(_scores, grid, x, *weights, scores, num_cols, **sizes, num_warps=1)
    tiles = tiling(num_rows, num_cols, col.numel(), longest, x, heads)
    given = (rowptr, col, x, scores, seed, log_sum, out, _stats(tiles))
    tiles.launch(_attend, *given, num_cols, col.numel(), **_draws(seed, rate), HEADS=heads)
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
    rowptr, col, rowptr_t, col_t, perm_t = graph
    grad, x = grad.contiguous(), x.contiguous()
    num_rows, (num_cols, heads, _) = rowptr.numel() - 1, x.shape
    options = {**_draws(seed, rate), "HEADS": heads}
    along = log_sum.new_empty(num_rows, heads)
    grad_scores = log_sum.new_empty(2, heads, num_cols)
    if num_cols > num_rows:
        grad_scores[0, :, num_rows:] = 0
    tiles = tiling(num_rows, num_cols, col.numel(), longest, x, heads)
    given = (rowptr, col, x, scores, seed, log_sum, grad, along, grad_scores, _stats(tiles))
    tiles.launch(_grad_own, *given, num_cols, col.numel(), **options)
    grad_x = x.new_empty(x.shape)
    tiles = tiling(num_cols, num_rows, col.numel(), longest, x, heads)
    entries, shared = (rowptr_t, col_t, perm_t), (x, scores, seed, log_sum, grad, along)
    weights = (own.contiguous(), other.contiguous())
    results = (grad_scores, *weights, grad_x, _stats(tiles))
    sizes = (num_rows, col.numel())
    tiles.launch(_grad_x, *entries, *shared, *results, *sizes, **options)
    by_head = x.to(grad_scores.dtype).transpose(0, 1)  # (H, M, F)
    grad_own, grad_other = (torch.bmm(each[:, None], by_head)[:, 0] for each in grad_scores)
    return grad_x, grad_own.to(x.dtype), grad_other.to(x.dtype)


def _draws(seed: Tensor | None, rate: float) -> dict[str, Any]:
    rate = 0.0 if seed is None else rate
    return {"RATE": rate, "LIMIT": int(rate * 2**32), "SPAN": KEY_SPAN, "SLOPE": SLOPE}


def _stats(tiles: Tiling) -> Tensor:
    """Three numbers for each slot of a hub and head."""
    slots = tiles.num_slots * tiles.heads
    return tiles.partial.new_empty(slots, 3) if slots else tiles.partial


@kernel
def _scores(
    x: tl.tensor,
    own: tl.tensor,
    other: tl.tensor,
    scores: tl.tensor,
    num_cols: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """⟨own, x⟩ and ⟨other, x⟩ of each node and head, which are rows of x."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    number = num_cols.to(tl.int64) * HEADS
    here = row < number
    left = tl.zeros([ROWS], scores.dtype.element_ty)
    right = tl.zeros([ROWS], scores.dtype.element_ty)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        value = gather(x, row, here, column, WIDTH, 0.0).to(left.dtype)
        left += tl.sum(value * gather(own, row % HEADS, here, column, WIDTH, 0.0).to(left.dtype), 1)
        right += tl.sum(
            value * gather(other, row % HEADS, here, column, WIDTH, 0.0).to(left.dtype), 1
        )
    tl.store(scores + row, left, mask=here)
    tl.store(scores + number + row, right, mask=here)


@triton.jit
def _leaky(sum: tl.tensor, SLOPE: tl.constexpr) -> tl.tensor:
    return tl.where(sum > 0, sum, sum * tl.full([], SLOPE, sum.dtype))


@kernel
def _attend(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    scores: tl.tensor,
    seed: tl.tensor,
    log_sum: tl.tensor,
    out: tl.tensor,
    stats: tl.tensor,
    num_cols: tl.tensor,
    num_entries: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SLOPE: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    head, block = tl.program_id(1) % HEADS, tl.program_id(1) // HEADS
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    place = row.to(tl.int64) * HEADS + head
    total = tl.zeros([ROWS, COLUMNS], scores.dtype.element_ty)
    weights = tl.zeros([ROWS], scores.dtype.element_ty)
    highest = tl.full([ROWS], LOWEST, scores.dtype.element_ty)
    if MERGE:
        for step in range(tl.max(length)):
            here = step < length
            slot = (begin + step).to(tl.int64) * HEADS + head
            top = tl.load(stats + 3 * slot, mask=here, other=LOWEST)
            weight = tl.load(stats + 3 * slot + 1, mask=here, other=0.0)
            new = tl.maximum(highest, top)
            shrink, grow = tl.exp(highest - new), tl.exp(top - new)
            value = gather(partial, slot, here, column, WIDTH, 0.0)
            total = total * shrink[:, None] + grow[:, None] * value
            weights = weights * shrink + grow * weight
            highest = new
    else:
        start = 0
        if seed is not None:
            start = tl.load(seed)
        others = scores + num_cols.to(tl.int64) * HEADS
        left = tl.load(scores + place, mask=target > NOTHING, other=0.0)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                source = tl.load(col + entry, mask=here, other=0).to(tl.int64) * HEADS + head
                here &= source != place  # a node's own comes once, below
                right = tl.load(others + source, mask=here, other=0.0)
                score = tl.where(here, _leaky(left + right, SLOPE), LOWEST)
                new = tl.maximum(highest, score)
                shrink = tl.exp(highest - new)
                weight = tl.where(here, tl.exp(score - new), 0.0)
                weights = weights * shrink + weight
                if seed is not None:
                    at = entry.to(tl.int64) * HEADS + head
                    weight = dropped_in_order(weight, start, at, RATE, LIMIT, SPAN)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                total = total * shrink[:, None] + weight[:, None] * value
                highest = new
        # the program that has a row's first entries has its own
        is_row = target > NOTHING
        here = is_row & (begin == tl.load(rowptr + row, mask=is_row, other=-1))
        right = tl.load(others + place, mask=here, other=0.0)
        score = tl.where(here, _leaky(left + right, SLOPE), LOWEST)
        new = tl.maximum(highest, score)
        shrink = tl.exp(highest - new)
        weight = tl.where(here, tl.exp(score - new), 0.0)
        weights = weights * shrink + weight
        if seed is not None:
            at = place + num_entries.to(tl.int64) * HEADS
            weight = dropped_in_order(weight, start, at, RATE, LIMIT, SPAN)
        value = gather(x, place, here, column, WIDTH, 0.0).to(total.dtype)
        total = total * shrink[:, None] + weight[:, None] * value
        highest = new
    final = total / weights[:, None]
    leads = block == 0
    tl.store(log_sum + place, highest + tl.log(weights), mask=(target == WHOLE) & leads)
    target = tl.where(target >= 0, target * HEADS + head, target)
    if not MERGE:
        slot = 3 * target.to(tl.int64)
        tl.store(stats + slot, highest, mask=(target >= 0) & leads)
        tl.store(stats + slot + 1, weights, mask=(target >= 0) & leads)
    put(total, final, place, target, column, out, partial, WIDTH, MERGE)


@kernel
def _grad_own(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    scores: tl.tensor,
    seed: tl.tensor,
    log_sum: tl.tensor,
    grad: tl.tensor,
    along: tl.tensor,
    grad_scores: tl.tensor,
    stats: tl.tensor,
    num_cols: tl.tensor,
    num_entries: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SLOPE: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """The gradient of each receiver's score; ⟨ȳ, y⟩ of each row goes to `along`.

    With d = m ⟨ȳ, x⟩ and the slope l of each entry these are Σ α d l - Σ α d · Σ α l and Σ α d.
    """
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    head, leads = tl.program_id(1) % HEADS, tl.program_id(1) // HEADS == 0
    place = row.to(tl.int64) * HEADS + head
    total = tl.zeros([ROWS], scores.dtype.element_ty)
    sloped = tl.zeros([ROWS], scores.dtype.element_ty)
    slopes = tl.zeros([ROWS], scores.dtype.element_ty)
    if MERGE:
        for step in range(tl.max(length)):
            here = step < length
            slot = 3 * ((begin + step).to(tl.int64) * HEADS + head)
            total += tl.load(stats + slot, mask=here, other=0.0)
            sloped += tl.load(stats + slot + 1, mask=here, other=0.0)
            slopes += tl.load(stats + slot + 2, mask=here, other=0.0)
    else:
        start = 0
        if seed is not None:
            start = tl.load(seed)
        is_row = target > NOTHING
        others = scores + num_cols.to(tl.int64) * HEADS
        left = tl.load(scores + place, mask=is_row, other=0.0)
        norm = tl.load(log_sum + place, mask=is_row, other=0.0)
        column = tl.arange(0, COLUMNS)
        first = gather(grad, place, is_row, column, WIDTH, 0.0).to(total.dtype)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                source = tl.load(col + entry, mask=here, other=0).to(tl.int64) * HEADS + head
                here &= source != place
                raw = left + tl.load(others + source, mask=here, other=0.0)
                alpha = tl.exp(_leaky(raw, SLOPE) - norm)
                dot = _dot(first, grad, place, x, source, here, WIDTH, COLUMNS)
                if seed is not None:
                    at = entry.to(tl.int64) * HEADS + head
                    dot = dropped_in_order(dot, start, at, RATE, LIMIT, SPAN)
                slope = alpha * tl.where(raw > 0, 1.0, tl.full([], SLOPE, total.dtype))
                total += tl.where(here, alpha * dot, 0.0)
                sloped += tl.where(here, slope * dot, 0.0)
                slopes += tl.where(here, slope, 0.0)
        here = is_row & (begin == tl.load(rowptr + row, mask=is_row, other=-1))
        raw = left + tl.load(others + place, mask=here, other=0.0)
        alpha = tl.exp(_leaky(raw, SLOPE) - norm)
        dot = _dot(first, grad, place, x, place, here, WIDTH, COLUMNS)
        if seed is not None:
            at = place + num_entries.to(tl.int64) * HEADS
            dot = dropped_in_order(dot, start, at, RATE, LIMIT, SPAN)
        slope = alpha * tl.where(raw > 0, 1.0, tl.full([], SLOPE, total.dtype))
        total += tl.where(here, alpha * dot, 0.0)
        sloped += tl.where(here, slope * dot, 0.0)
        slopes += tl.where(here, slope, 0.0)
    whole = (target == WHOLE) & leads
    tl.store(along + place, total, mask=whole)
    at_row = grad_scores + head.to(tl.int64) * num_cols + row
    tl.store(at_row, sloped - total * slopes, mask=whole)
    if not MERGE:
        slot = 3 * (target.to(tl.int64) * HEADS + head)
        tl.store(stats + slot, total, mask=(target >= 0) & leads)
        tl.store(stats + slot + 1, sloped, mask=(target >= 0) & leads)
        tl.store(stats + slot + 2, slopes, mask=(target >= 0) & leads)


@triton.jit
def _dot(
    first: tl.tensor,
    x: tl.tensor,
    row: tl.tensor,
    y: tl.tensor,
    source: tl.tensor,
    here: tl.tensor,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> tl.tensor:
    """⟨x[row], y[source]⟩, of which `first` is x[row] up to COLUMNS."""
    column = tl.arange(0, COLUMNS)
    dot = tl.sum(first * gather(y, source, here, column, WIDTH, 0.0).to(first.dtype), 1)
    for start in range(COLUMNS, WIDTH, COLUMNS):
        value = gather(x, row, here, start + column, WIDTH, 0.0).to(first.dtype)
        other = gather(y, source, here, start + column, WIDTH, 0.0).to(first.dtype)
        dot += tl.sum(value * other, 1)
    return dot


@kernel
def _grad_x(
    rowptr_t: tl.tensor,
    col_t: tl.tensor,
    perm_t: tl.tensor,
    x: tl.tensor,
    scores: tl.tensor,
    seed: tl.tensor,
    log_sum: tl.tensor,
    grad: tl.tensor,
    along: tl.tensor,
    grad_scores: tl.tensor,
    own: tl.tensor,
    other: tl.tensor,
    grad_x: tl.tensor,
    stats: tl.tensor,
    num_receivers: tl.tensor,
    num_entries: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
    SLOPE: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """The gradient of each node's features, the scores' share included, and of its other score.

    Here the rows are the transpose's: a row is a node that sends, num_rows are all columns.
    """
    row, begin, length, target = portion(
        rowptr_t, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    head, block = tl.program_id(1) % HEADS, tl.program_id(1) // HEADS
    column = block * COLUMNS + tl.arange(0, COLUMNS)
    place = row.to(tl.int64) * HEADS + head
    total = tl.zeros([ROWS, COLUMNS], scores.dtype.element_ty)
    score = tl.zeros([ROWS], scores.dtype.element_ty)
    if MERGE:
        for step in range(tl.max(length)):
            here = step < length
            slot = (begin + step).to(tl.int64) * HEADS + head
            total += gather(partial, slot, here, column, WIDTH, 0.0)
            score += tl.load(stats + slot, mask=here, other=0.0)
    else:
        start = 0
        if seed is not None:
            start = tl.load(seed)
        is_row = target > NOTHING
        others = scores + num_rows.to(tl.int64) * HEADS
        right = tl.load(others + place, mask=is_row, other=0.0)
        first = gather(x, place, is_row, tl.arange(0, COLUMNS), WIDTH, 0.0).to(total.dtype)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                receiver = tl.load(col_t + entry, mask=here, other=0).to(tl.int64) * HEADS + head
                here &= receiver != place
                raw = right + tl.load(scores + receiver, mask=here, other=0.0)
                norm = tl.load(log_sum + receiver, mask=here, other=0.0)
                alpha = tl.where(here, tl.exp(_leaky(raw, SLOPE) - norm), 0.0)
                weight = alpha
                value = gather(grad, receiver, here, column, WIDTH, 0.0).to(total.dtype)
                if WIDTH <= COLUMNS:
                    dot = tl.sum(first * value, 1)
                else:
                    dot = _dot(first, x, place, grad, receiver, here, WIDTH, COLUMNS)
                if seed is not None:
                    at = tl.load(perm_t + entry, mask=here, other=0).to(tl.int64) * HEADS + head
                    weight = dropped_in_order(alpha, start, at, RATE, LIMIT, SPAN)
                apart = weight * dot - alpha * tl.load(along + receiver, mask=here, other=0.0)
                score += apart * tl.where(raw > 0, 1.0, tl.full([], SLOPE, score.dtype))
                total += weight[:, None] * value
        begins = begin == tl.load(rowptr_t + row, mask=is_row, other=-1)
        here = is_row & begins & (row < num_receivers)
        raw = right + tl.load(scores + place, mask=here, other=0.0)
        norm = tl.load(log_sum + place, mask=here, other=0.0)
        alpha = tl.where(here, tl.exp(_leaky(raw, SLOPE) - norm), 0.0)
        weight = alpha
        dot = _dot(first, x, place, grad, place, here, WIDTH, COLUMNS)
        if seed is not None:
            at = place + num_entries.to(tl.int64) * HEADS
            weight = dropped_in_order(alpha, start, at, RATE, LIMIT, SPAN)
        apart = weight * dot - alpha * tl.load(along + place, mask=here, other=0.0)
        score += apart * tl.where(raw > 0, 1.0, tl.full([], SLOPE, score.dtype))
        value = gather(grad, place, here, column, WIDTH, 0.0).to(total.dtype)
        total += weight[:, None] * value
    whole, leads = target == WHOLE, block == 0
    at_row = grad_scores + head.to(tl.int64) * num_rows + row
    received = tl.load(at_row, mask=whole, other=0.0)
    tl.store(at_row + num_rows.to(tl.int64) * HEADS, score, mask=whole & leads)
    inside = column < WIDTH
    left = tl.load(own + head * WIDTH + column, mask=inside, other=0.0).to(total.dtype)
    right = tl.load(other + head * WIDTH + column, mask=inside, other=0.0).to(total.dtype)
    final = total + received[:, None] * left[None, :] + score[:, None] * right[None, :]
    target = tl.where(target >= 0, target * HEADS + head, target)
    if not MERGE:
        tl.store(stats + target.to(tl.int64), score, mask=(target >= 0) & leads)
    put(total, final, place, target, column, grad_x, partial, WIDTH, MERGE)
