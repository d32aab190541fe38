"""CUDA: walks over rows for the signal, tiles of entries for the maps' gradient.

Diagonal maps treat each stalk coordinate as a head of its own. Full maps hold all S coordinates of
a tile of rows at once (padded to a power of two), so that each neighbour is gathered once. In both
gradients a row of features is gathered again for each pair of coordinates; it then is in cache.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import (
    NOTHING,
    WHOLE,
    add_partials,
    cdiv,
    gather,
    kernel,
    launch,
    portion,
    power_of_2,
    put,
    row_of,
    tiling,
)

ENTRIES = 16


def sheaf_laplacian(
    rowptr: Tensor, col: Tensor, reverse: Tensor, longest: int, maps: Tensor, x: Tensor
) -> Tensor:
    """The forward of gbench/kernels/sheaf_laplacian.py."""
    maps, x = maps.contiguous(), x.contiguous()
    num_nodes, stalk, _ = x.shape
    out = x.new_empty(x.shape)
    given = (rowptr, col, reverse, maps, x, out)
    if maps.dim() == 2:
        tiles = tiling(num_nodes, num_nodes, col.numel(), longest, x, heads=stalk)
        tiles.launch(_diagonal, *given, STALK=stalk)
    else:
        # A program holds all coordinates of its rows, so it holds fewer rows and columns.
        padded = power_of_2(stalk)
        tiles = tiling(num_nodes, num_nodes, col.numel(), longest, x, heads=stalk)
        columns = min(64, tiles.columns)
        rows = max(1, min(32, 512 // columns // padded))
        tiles = tiles._replace(columns=columns, rows=rows, heads=1)
        tiles.launch(_full, *given, STALK=stalk, PADDED=padded)
    return out


def sheaf_laplacian_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
) -> Tensor:
    """The maps' gradient of gbench/kernels/sheaf_laplacian.py."""
    maps, x, grad = maps.contiguous(), x.contiguous(), grad.contiguous()
    num_nodes, stalk, width = x.shape
    grad_maps = maps.new_empty(maps.shape)
    if maps.numel():
        is_diagonal = maps.dim() == 2
        padded = {} if is_diagonal else {"PADDED": power_of_2(stalk)}
        launch(
            _diagonal_maps if is_diagonal else _full_maps,
            (cdiv(col.numel(), ENTRIES), stalk),
            rowptr,
            col,
            reverse,
            maps,
            x,
            grad,
            grad_maps,
            num_nodes,
            col.numel(),
            num_nodes.bit_length(),
            STALK=stalk,
            **padded,
            WIDTH=width,
            ENTRIES=ENTRIES,
            COLUMNS=min(64, power_of_2(width)),
        )
    return grad_maps


@kernel
def _diagonal(
    rowptr: tl.tensor,
    col: tl.tensor,
    reverse: tl.tensor,
    maps: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    STALK: tl.constexpr,
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
    p = tl.program_id(1) % STALK
    column = tl.program_id(1) // STALK * COLUMNS + tl.arange(0, COLUMNS)
    row = row.to(tl.int64) * STALK + p
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL, p, STALK)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        own = gather(x, row, target >= WHOLE, column, WIDTH, 0.0).to(total.dtype)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                source = tl.load(col + entry, mask=here, other=0).to(tl.int64) * STALK + p
                back = tl.load(reverse + entry, mask=here, other=0).to(tl.int64) * STALK + p
                mine = tl.load(maps + entry.to(tl.int64) * STALK + p, mask=here, other=0.0)
                mine = mine.to(total.dtype)
                other = tl.load(maps + back, mask=here, other=0.0).to(total.dtype)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                total += (mine * mine)[:, None] * own - (mine * other)[:, None] * value
    target = tl.where(target >= 0, target * STALK + p, target)
    put(total, total, row, target, column, out, partial, WIDTH, MERGE)


@kernel
def _full(
    rowptr: tl.tensor,
    col: tl.tensor,
    reverse: tl.tensor,
    maps: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    STALK: tl.constexpr,
    PADDED: tl.constexpr,
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
    p = tl.arange(0, PADDED)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    # From here on a row of the tile is one coordinate p of one row of the graph.
    flat_row = tl.reshape(row.to(tl.int64)[:, None] * STALK + p[None, :], [ROWS * PADDED])
    apart = tl.where(target[:, None] >= 0, target[:, None] * STALK + p[None, :], target[:, None])
    flat_target = tl.reshape(tl.where((p < STALK)[None, :], apart, NOTHING), [ROWS * PADDED])
    if MERGE:
        first = tl.reshape(begin[:, None] * STALK + p[None, :], [ROWS * PADDED])
        many = tl.reshape(tl.where((p < STALK)[None, :], length[:, None], 0), [ROWS * PADDED])
        total = tl.zeros([ROWS * PADDED, COLUMNS], partial.dtype.element_ty)
        for step in range(tl.max(length)):
            total += gather(partial, first + step * STALK, step < many, column, WIDTH, 0.0)
    else:
        total = tl.zeros([ROWS, PADDED, COLUMNS], partial.dtype.element_ty)
        for step in range(tl.max(length)):
            here = step < length
            entry = (begin + step).to(tl.int64)
            source = tl.load(col + entry, mask=here, other=0).to(tl.int64) * STALK
            back = tl.load(reverse + entry, mask=here, other=0).to(tl.int64)
            for q in tl.static_range(STALK):
                mine = tl.zeros([ROWS, PADDED], total.dtype)  # (F_vᵀ F_v)_pq
                other = tl.zeros([ROWS, PADDED], total.dtype)  # (F_vᵀ F_u)_pq
                for k in tl.static_range(STALK):
                    place = (entry * STALK + k) * STALK
                    mask = here[:, None] & (p < STALK)[None, :]
                    left = tl.load(maps + place[:, None] + p[None, :], mask=mask, other=0.0)
                    left = left.to(total.dtype)
                    right = tl.load(maps + place + q, mask=here, other=0.0)
                    mine += left * right.to(total.dtype)[:, None]
                    place = (back * STALK + k) * STALK + q
                    right = tl.load(maps + place, mask=here, other=0.0)
                    other += left * right.to(total.dtype)[:, None]
                own = gather(x, row.to(tl.int64) * STALK + q, here, column, WIDTH, 0.0)
                value = gather(x, source + q, here, column, WIDTH, 0.0)
                total += mine[:, :, None] * own.to(total.dtype)[:, None, :]
                total -= other[:, :, None] * value.to(total.dtype)[:, None, :]
        total = tl.reshape(total, [ROWS * PADDED, COLUMNS])
    put(total, total, flat_row, flat_target, column, out, partial, WIDTH, MERGE)


@triton.jit
def _ends(
    rowptr: tl.tensor,
    col: tl.tensor,
    reverse: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    ENTRIES: tl.constexpr,
) -> tl.tensor:
    """The entries of this program, which of them exist, their rows, columns and reverse entries."""
    entry = tl.program_id(0) * ENTRIES + tl.arange(0, ENTRIES)
    here = entry < num_entries
    row = row_of(rowptr, tl.where(here, entry, 0), num_rows, search_steps).to(tl.int64)
    source = tl.load(col + entry, mask=here, other=0).to(tl.int64)
    back = tl.load(reverse + entry, mask=here, other=0).to(tl.int64)
    return entry.to(tl.int64), here, row, source, back


@triton.jit
def _zeros(x: tl.tensor, ENTRIES: tl.constexpr) -> tl.tensor:
    """A 0 for each entry, of the type that sums of x are made in."""
    if x.dtype.element_ty == tl.float64:
        zeros = tl.zeros([ENTRIES], tl.float64)
    else:
        zeros = tl.zeros([ENTRIES], tl.float32)
    return zeros


@kernel
def _diagonal_maps(
    rowptr: tl.tensor,
    col: tl.tensor,
    reverse: tl.tensor,
    maps: tl.tensor,
    x: tl.tensor,
    grad: tl.tensor,
    grad_maps: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    STALK: tl.constexpr,
    WIDTH: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    entry, here, row, source, back = _ends(
        rowptr, col, reverse, num_rows, num_entries, search_steps, ENTRIES
    )
    p = tl.program_id(1)
    own, cross = _zeros(x, ENTRIES), _zeros(x, ENTRIES)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        x_v = gather(x, row * STALK + p, here, column, WIDTH, 0.0).to(own.dtype)
        z_v = gather(grad, row * STALK + p, here, column, WIDTH, 0.0).to(own.dtype)
        x_u = gather(x, source * STALK + p, here, column, WIDTH, 0.0).to(own.dtype)
        z_u = gather(grad, source * STALK + p, here, column, WIDTH, 0.0).to(own.dtype)
        own += tl.sum(z_v * x_v, 1)
        cross += tl.sum(x_u * z_v + z_u * x_v, 1)
    mine = tl.load(maps + entry * STALK + p, mask=here, other=0.0).to(own.dtype)
    other = tl.load(maps + back * STALK + p, mask=here, other=0.0).to(own.dtype)
    slope = (2 * mine * own - other * cross).to(grad_maps.dtype.element_ty)
    tl.store(grad_maps + entry * STALK + p, slope, mask=here)


@kernel
def _full_maps(
    rowptr: tl.tensor,
    col: tl.tensor,
    reverse: tl.tensor,
    maps: tl.tensor,
    x: tl.tensor,
    grad: tl.tensor,
    grad_maps: tl.tensor,
    num_rows: tl.tensor,
    num_entries: tl.tensor,
    search_steps: tl.tensor,
    STALK: tl.constexpr,
    PADDED: tl.constexpr,
    WIDTH: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Column q of each entry's gradient: Σ_k F_v[:, k] own[k, q] - F_u[:, k] cross[k, q]."""
    entry, here, row, source, back = _ends(
        rowptr, col, reverse, num_rows, num_entries, search_steps, ENTRIES
    )
    q = tl.program_id(1)
    p = tl.arange(0, PADDED)
    mask = here[:, None] & (p < STALK)[None, :]
    total = tl.zeros([ENTRIES, PADDED], _zeros(x, ENTRIES).dtype)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        x_q = gather(x, row * STALK + q, here, column, WIDTH, 0.0).to(total.dtype)
        z_q = gather(grad, row * STALK + q, here, column, WIDTH, 0.0).to(total.dtype)
        for k in range(STALK):
            x_v = gather(x, row * STALK + k, here, column, WIDTH, 0.0).to(total.dtype)
            z_v = gather(grad, row * STALK + k, here, column, WIDTH, 0.0).to(total.dtype)
            x_u = gather(x, source * STALK + k, here, column, WIDTH, 0.0).to(total.dtype)
            z_u = gather(grad, source * STALK + k, here, column, WIDTH, 0.0).to(total.dtype)
            own = tl.sum(z_v * x_q + x_v * z_q, 1)
            cross = tl.sum(x_u * z_q + z_u * x_q, 1)
            place = p[None, :] * STALK + k
            mine = tl.load(maps + entry[:, None] * STALK * STALK + place, mask=mask, other=0.0)
            other = tl.load(maps + back[:, None] * STALK * STALK + place, mask=mask, other=0.0)
            total += mine.to(total.dtype) * own[:, None] - other.to(total.dtype) * cross[:, None]
    place = entry[:, None] * STALK * STALK + p[None, :] * STALK + q
    tl.store(grad_maps + place, total.to(grad_maps.dtype.element_ty), mask=mask)
