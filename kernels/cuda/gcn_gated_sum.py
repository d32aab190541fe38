"""CUDA: gcn_propagate's walk over rows padded with the score; each hop gates and adds as it writes.

The rows of H_k are padded to whole panels (panel_width.py), which also makes each begin at a
multiple of 32 bytes: rows of 8 numbers for 7 classes are read in pairs of 128 bits.

A graph of few rows and no hub takes one launch for all hops, in each direction: its programs wait
for each other between two hops (together.py). Another takes a launch for each hop, of the same
code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.gcn_propagate import hop_of, neighbour_sum
from gbench.kernels.cuda.rows import NOTHING, WHOLE, gather, kernel, portion, put, tiling, wide
from gbench.kernels.cuda.together import launch_together, wait_for_all
from gbench.kernels.panel_width import padded

MAX_TILES = 4096  # of one launch: beyond, a hop fills the device better than waiting costs


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
    """The forward of gbench/kernels/gcn_gated_sum.py, of all nodes: `reach` is empty."""
    rowptr, col, *_ = graph
    num_nodes, width = x.shape
    slots = hops + 1 if keeps else min(hops + 1, 2)
    hidden = x.new_empty(slots, num_nodes, padded(width + 1), dtype=wide(x.dtype))
    out = x.new_empty(num_nodes, width)
    total = out if out.dtype is hidden.dtype else hidden.new_empty(num_nodes, width)
    given = (rowptr, col, x.contiguous(), weight.contiguous(), bias, hidden, total, out)
    _walk(_forward, _all_forward, longest, hidden, range(hops + 1), given, {"SLOTS": slots}, width)
    return out, hidden.view(-1) if keeps else hidden.new_empty(0)


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
    num_nodes, width = grad.shape
    kept = hidden.view(hops + 1, num_nodes, padded(width + 1))
    sums = kept.new_empty(2, *kept.shape[1:])
    walked, slopes = kept.new_empty(2, num_nodes)
    grad_x = grad.new_empty(grad.shape)
    given = (rowptr_t, col_t, rowptr, grad.contiguous(), weight.contiguous(), bias)
    results = (kept, sums, walked, slopes, grad_x)
    _walk(
        _backward, _all_backward, longest, kept, range(hops, -1, -1), (*given, *results), {}, width
    )
    grad_weight = kept[0].t().mv(walked)[:width]
    return grad_x, grad_weight.to(weight.dtype), slopes.sum().to(bias.dtype)


def _walk(
    one: Any,
    together: Any,
    longest: int,
    hidden: Tensor,
    hops: range,
    given: tuple[Tensor, ...],
    flags: dict[str, int],
    features: int,
) -> None:
    """Launch all hops `together`, or `one` by one with FIRST for the one that walks no entries."""
    num_nodes, last = hidden.size(1), len(hops) - 1
    tiles = tiling(num_nodes, num_nodes, given[1].numel(), longest, hidden[0])
    flags = {**flags, "FEATURES": features}
    number = tiles.row_programs * tiles.blocks
    if tiles.num_slots == 0 and number <= MAX_TILES and last > 0:
        sizes = {"WIDTH": tiles.width, "ROWS": tiles.rows, "COLUMNS": tiles.columns}
        launch_together(together, number, *given, num_nodes, last, **flags, **sizes, UNROLL=4)
        return
    for hop in hops:
        tiles.launch(one, *given, hop, last, **flags, FIRST=hop == hops[0])


@triton.jit
def _sigmoid(value: tl.tensor) -> tl.tensor:
    return 1.0 / (1.0 + tl.exp(-value))


@triton.jit
def _at(tile: tl.tensor, column: tl.tensor, place: tl.constexpr) -> tl.tensor:
    """The tile's column `place`, of each row."""
    return tl.sum(tl.where((column == place)[None, :], tile, 0.0), 1)


@triton.jit
def _slot(memory: tl.tensor, slot: tl.tensor, num_rows: tl.tensor, WIDTH: tl.constexpr) -> Any:
    """Where the matrix of this number begins."""
    return memory + (num_rows.to(tl.int64) * slot) * WIDTH


@triton.jit
def _hop_forward(
    row: tl.tensor,
    begin: tl.tensor,
    length: tl.tensor,
    target: tl.tensor,
    column: tl.tensor,
    hop: tl.tensor,
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    hidden: tl.tensor,
    total: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_hops: tl.tensor,
    FIRST: tl.constexpr,
    SLOTS: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """H_hop of a tile from all of H_hop-1, and what its gates add to the sum."""
    whole = target == WHOLE
    here = _slot(hidden, hop % SLOTS, num_rows, WIDTH)
    if FIRST:
        score = tl.zeros([row.shape[0]], hidden.dtype.element_ty)
        for start in range(0, FEATURES, COLUMNS):
            part = start + tl.arange(0, COLUMNS)
            value = gather(x, row, whole, part, FEATURES, 0.0).to(score.dtype)
            weights = tl.load(weight + part, mask=part < FEATURES, other=0.0).to(score.dtype)
            score += tl.sum(value * weights[None, :], 1)
        walked = gather(x, row, whole, column, FEATURES, 0.0).to(score.dtype)
        final = tl.where((column == FEATURES)[None, :], score[:, None], walked)
    else:
        before = _slot(hidden, (hop - 1) % SLOTS, num_rows, WIDTH)
        walked = neighbour_sum(
            col, rowptr, before, begin, length, partial, column, WIDTH, UNROLL, MERGE
        )
        final = hop_of(walked, before, rowptr, row, whole, column, WIDTH)
        if COLUMNS >= WIDTH:
            score = _at(final, column, FEATURES)
        else:
            last = FEATURES + tl.arange(0, 1)
            scores = neighbour_sum(
                col, rowptr, before, begin, length, partial, last, WIDTH, UNROLL, MERGE
            )
            score = tl.sum(hop_of(scores, before, rowptr, row, whole, last, WIDTH), 1)
    put(walked, final, row, target, column, here, partial, WIDTH, MERGE)
    gate = _sigmoid(score + tl.load(bias).to(score.dtype))
    added = gate[:, None] * final
    mask = whole[:, None] & (column < FEATURES)[None, :]
    place = row.to(tl.int64)[:, None] * FEATURES + column[None, :]
    if not FIRST:
        added += tl.load(total + place, mask=mask, other=0.0)
    if hop == num_hops:
        tl.store(out + place, added.to(out.dtype.element_ty), mask=mask)
    else:
        tl.store(total + place, added, mask=mask)


@kernel
def _forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    hidden: tl.tensor,
    total: tl.tensor,
    out: tl.tensor,
    num_done: tl.tensor,
    num_hops: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    FIRST: tl.constexpr,
    SLOTS: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """One hop."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    _hop_forward(
        row, begin, length, target, column, num_done,
        rowptr, col, x, weight, bias, hidden, total, out, partial, num_rows, num_hops,
        FIRST, SLOTS, FEATURES, WIDTH, COLUMNS, UNROLL, MERGE,
    )  # fmt: skip


@kernel
def _all_forward(
    rowptr: tl.tensor,
    col: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    hidden: tl.tensor,
    total: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_hops: tl.tensor,
    counter: tl.tensor,
    num_tiles: tl.tensor,
    SLOTS: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    UNROLL: tl.constexpr,
) -> None:
    """All hops, of a graph without hubs."""
    for tile in range(tl.program_id(0), num_tiles, tl.num_programs(0)):
        row, begin, length, target, column = _tile(rowptr, tile, num_rows, WIDTH, ROWS, COLUMNS)
        _hop_forward(
            row, begin, length, target, column, 0,
            rowptr, col, x, weight, bias, hidden, total, out, hidden, num_rows, num_hops,
            True, SLOTS, FEATURES, WIDTH, COLUMNS, UNROLL, False,
        )  # fmt: skip
    for hop in range(1, num_hops + 1):
        wait_for_all(counter, hop)
        for tile in range(tl.program_id(0), num_tiles, tl.num_programs(0)):
            row, begin, length, target, column = _tile(rowptr, tile, num_rows, WIDTH, ROWS, COLUMNS)
            _hop_forward(
                row, begin, length, target, column, hop,
                rowptr, col, x, weight, bias, hidden, total, out, hidden, num_rows, num_hops,
                False, SLOTS, FEATURES, WIDTH, COLUMNS, UNROLL, False,
            )  # fmt: skip


@triton.jit
def _tile(
    rowptr: tl.tensor,
    tile: tl.tensor,
    num_rows: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> Any:
    """What `portion` gives of the tile of this number, and its columns."""
    blocks: tl.constexpr = (WIDTH + COLUMNS - 1) // COLUMNS
    row = tile // blocks * ROWS + tl.arange(0, ROWS)
    mask = row < num_rows
    begin = tl.load(rowptr + row, mask=mask, other=0)
    length = tl.load(rowptr + row + 1, mask=mask, other=0) - begin
    target = tl.where(mask, WHOLE, NOTHING)
    return row, begin, length, target, tile % blocks * COLUMNS + tl.arange(0, COLUMNS)


@triton.jit
def _hop_backward(
    row: tl.tensor,
    begin: tl.tensor,
    length: tl.tensor,
    target: tl.tensor,
    column: tl.tensor,
    hop: tl.tensor,
    col: tl.tensor,
    rowptr: tl.tensor,
    grad: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    kept: tl.tensor,
    sums: tl.tensor,
    walked: tl.tensor,
    slopes: tl.tensor,
    grad_x: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    FIRST: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """Of a tile: what hop + 1's walk brings back, plus what the gates of H_hop got.

    The scores' gradients are a feature beside x's, and are added up over the hops for the bias's.
    """
    whole = target == WHOLE
    hidden = _slot(kept, hop, num_rows, WIDTH)
    wide_row = row.to(tl.int64)
    score = tl.load(hidden + wide_row * WIDTH + FEATURES, mask=whole, other=0.0)
    gate = _sigmoid(score + tl.load(bias).to(score.dtype))
    product = tl.zeros([row.shape[0]], score.dtype)
    for start in range(0, FEATURES, COLUMNS):
        part = start + tl.arange(0, COLUMNS)
        value = gather(grad, row, whole, part, FEATURES, 0.0).to(score.dtype)
        inside = whole[:, None] & (part < FEATURES)[None, :]
        place = wide_row[:, None] * WIDTH + part[None, :]
        product += tl.sum(value * tl.load(hidden + place, mask=inside, other=0.0), 1)
    slope = product * gate * (1.0 - gate)
    of_score, leads = slope, whole
    if COLUMNS < WIDTH:
        leads = whole & (tl.min(column, 0) == 0)
    final = gate[:, None] * gather(grad, row, whole, column, FEATURES, 0.0).to(score.dtype)
    final = tl.where((column == FEATURES)[None, :], slope[:, None], final)
    total = tl.zeros_like(final)
    if not FIRST:
        slope += tl.load(slopes + row, mask=leads, other=0.0)
        before = _slot(sums, (hop + 1) % 2, num_rows, WIDTH)
        total = neighbour_sum(
            col, rowptr, before, begin, length, partial, column, WIDTH, UNROLL, MERGE
        )
        final += hop_of(total, before, rowptr, row, whole, column, WIDTH)
        if COLUMNS < WIDTH:
            last = FEATURES + tl.arange(0, 1)
            scores = neighbour_sum(
                col, rowptr, before, begin, length, partial, last, WIDTH, UNROLL, MERGE
            )
            of_score += tl.sum(hop_of(scores, before, rowptr, row, whole, last, WIDTH), 1)
    tl.store(slopes + row, slope, mask=leads)
    here = _slot(sums, hop % 2, num_rows, WIDTH)
    put(total, final, row, target, column, here, partial, WIDTH, MERGE)
    if hop == 0:
        if COLUMNS >= WIDTH:
            of_score = _at(final, column, FEATURES)
        tl.store(walked + row, of_score, mask=leads)
        weights = tl.load(weight + column, mask=column < FEATURES, other=0.0).to(score.dtype)
        final += of_score[:, None] * weights[None, :]
        place = wide_row[:, None] * FEATURES + column[None, :]
        mask = whole[:, None] & (column < FEATURES)[None, :]
        tl.store(grad_x + place, final.to(grad_x.dtype.element_ty), mask=mask)


@kernel
def _backward(
    walk: tl.tensor,
    col: tl.tensor,
    rowptr: tl.tensor,
    grad: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    kept: tl.tensor,
    sums: tl.tensor,
    walked: tl.tensor,
    slopes: tl.tensor,
    grad_x: tl.tensor,
    num_ahead: tl.tensor,
    num_hops: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    FIRST: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """One hop."""
    row, begin, length, target = portion(walk, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    _hop_backward(
        row, begin, length, target, column, num_ahead,
        col, rowptr, grad, weight, bias, kept, sums, walked, slopes, grad_x, partial, num_rows,
        FIRST, FEATURES, WIDTH, COLUMNS, UNROLL, MERGE,
    )  # fmt: skip


@kernel
def _all_backward(
    walk: tl.tensor,
    col: tl.tensor,
    rowptr: tl.tensor,
    grad: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    kept: tl.tensor,
    sums: tl.tensor,
    walked: tl.tensor,
    slopes: tl.tensor,
    grad_x: tl.tensor,
    num_rows: tl.tensor,
    num_hops: tl.tensor,
    counter: tl.tensor,
    num_tiles: tl.tensor,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    UNROLL: tl.constexpr,
) -> None:
    """All hops, of a graph without hubs."""
    for tile in range(tl.program_id(0), num_tiles, tl.num_programs(0)):
        row, begin, length, target, column = _tile(walk, tile, num_rows, WIDTH, ROWS, COLUMNS)
        _hop_backward(
            row, begin, length, target, column, num_hops,
            col, rowptr, grad, weight, bias, kept, sums, walked, slopes, grad_x, kept, num_rows,
            True, FEATURES, WIDTH, COLUMNS, UNROLL, False,
        )  # fmt: skip
    for done in range(1, num_hops + 1):
        wait_for_all(counter, done)
        for tile in range(tl.program_id(0), num_tiles, tl.num_programs(0)):
            row, begin, length, target, column = _tile(walk, tile, num_rows, WIDTH, ROWS, COLUMNS)
            _hop_backward(
                row, begin, length, target, column, num_hops - done,
                col, rowptr, grad, weight, bias, kept, sums, walked, slopes, grad_x, kept, num_rows,
                False, FEATURES, WIDTH, COLUMNS, UNROLL, False,
            )  # fmt: skip
