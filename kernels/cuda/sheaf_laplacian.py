"""CUDA: walks over rows, forward and, with the maps' gradient beside the signal's, backward.

All kernels take the scaling of both sides with them: `root` is r in r L r, (N, S) for diagonal maps
and (N, 1) for full ones, which `weight` (E,) multiplies; None is 1.

Diagonal maps treat each stalk coordinate as a head of its own. Full maps hold all S coordinates of
a tile of rows at once (padded to a power of two), so that each neighbour is gathered once. Backward
a program holds whole rows, for each number of a map's gradient is a sum over all features.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import (
    NOTHING,
    add_partials,
    gather,
    kernel,
    portion,
    power_of_2,
    put,
    tiling,
    wide,
)

# rowptr, col, where the reverse of each entry stands, and the longest row
Graph = tuple[Tensor, Tensor, Tensor, int]


def sheaf_laplacian(
    rowptr: Tensor, col: Tensor, reverse: Tensor, longest: int, maps: Tensor, x: Tensor
) -> Tensor:
    """The forward of gbench/kernels/sheaf_laplacian.py."""
    return applied((rowptr, col, reverse, longest), maps, None, None, x)


def sheaf_laplacian_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/sheaf_laplacian.py."""
    grad_maps, graph = maps.new_empty(maps.shape), (rowptr, col, reverse, longest)
    return grad_maps, _walk(graph, maps, None, None, grad, x, grad_maps)


def applied(
    graph: Graph, maps: Tensor, weight: Tensor | None, root: Tensor | None, x: Tensor
) -> Tensor:
    """Return r L r x. Shapes: x (N, S, F) → (N, S, F)."""
    return _walk(graph, maps, weight, root, x, None, None)


def gradients(
    graph: Graph, maps: Tensor, weight: Tensor | None, root: Tensor, x: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Those of r L r x for the maps times r and the weight, in the type of sums, and for x."""
    slope = maps.new_empty(maps.shape, dtype=wide(maps.dtype))
    return slope, _walk(graph, maps, weight, root, grad, x, slope)


def _walk(
    graph: Graph,
    maps: Tensor,
    weight: Tensor | None,
    root: Tensor | None,
    z: Tensor,
    x: Tensor | None,
    slope: Tensor | None,
) -> Tensor:
    """Return r L r z, and write the maps' gradient to `slope` where x is given."""
    maps, z = maps.contiguous(), z.contiguous()
    out = z.new_empty(z.shape)
    x = None if x is None else x.contiguous()
    weight = None if weight is None else weight.contiguous()
    num_nodes, stalk, width = z.shape
    *ends, longest = graph
    tiles = tiling(num_nodes, num_nodes, graph[1].numel(), longest, z, heads=stalk)
    given = (*ends, maps, root)
    columns = tiles.columns if x is None else power_of_2(width)
    if maps.dim() == 2:
        rows = max(1, min(32, 128 // columns))
        tiles = tiles._replace(columns=columns, rows=rows)
        tiles.launch(_diagonal, *given, z, x, out, slope, STALK=stalk)
        return out
    padded = power_of_2(stalk)
    # A program holds all coordinates of its rows, so it holds fewer rows and columns.
    columns = min(64, columns) if x is None else columns
    rows = max(1, min(32, (256 if x is None else 128) // columns // padded))
    tiles = tiles._replace(columns=columns, rows=rows, heads=1)
    tiles.launch(_full, *given, weight, z, x, out, slope, STALK=stalk, PADDED=padded)
    return out


@kernel
def _diagonal(
    rowptr: tl.tensor,
    col: tl.tensor,
    reverse: tl.tensor,
    maps: tl.tensor,
    root: tl.tensor,
    z: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    slope: tl.tensor,
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
        size = tl.zeros([ROWS], total.dtype)  # Σ F_v²
        exists = target > NOTHING
        own = gather(z, row, exists, column, WIDTH, 0.0).to(total.dtype)
        if x is not None:
            own_x = gather(x, row, exists, column, WIDTH, 0.0).to(total.dtype)
            product = tl.sum(own * own_x, 1)
        if root is not None:
            here_root = tl.load(root + row, mask=exists, other=0.0)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = (begin + step + ahead).to(tl.int64)
                source = tl.load(col + entry, mask=here, other=0).to(tl.int64) * STALK + p
                back = tl.load(reverse + entry, mask=here, other=0).to(tl.int64) * STALK + p
                mine = tl.load(maps + entry * STALK + p, mask=here, other=0.0).to(total.dtype)
                other = tl.load(maps + back, mask=here, other=0.0).to(total.dtype)
                if root is not None:
                    mine *= here_root
                    other *= tl.load(root + source, mask=here, other=0.0)
                value = gather(z, source, here, column, WIDTH, 0.0).to(total.dtype)
                size += mine * mine
                total -= (mine * other)[:, None] * value
                if x is not None:
                    there = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                    cross = tl.sum(there * own + value * own_x, 1)
                    found = (2 * mine * product - other * cross).to(slope.dtype.element_ty)
                    tl.store(slope + entry * STALK + p, found, mask=here)
        total += size[:, None] * own
    target = tl.where(target >= 0, target * STALK + p, target)
    put(total, total, row, target, column, out, partial, WIDTH, MERGE)


@triton.jit
def _column(block: tl.tensor, at: tl.tensor) -> tl.tensor:
    """The column of each block (ROWS, PADDED, PADDED) where `at` is true."""
    return tl.sum(tl.where(at[None, None, :], block, 0.0), 2)


@kernel
def _full(
    rowptr: tl.tensor,
    col: tl.tensor,
    reverse: tl.tensor,
    maps: tl.tensor,
    root: tl.tensor,
    weight: tl.tensor,
    z: tl.tensor,
    x: tl.tensor,
    out: tl.tensor,
    slope: tl.tensor,
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
        size = tl.zeros([ROWS, PADDED, PADDED], total.dtype)  # Σ F_vᵀ F_v
        exists = target > NOTHING
        own_row = row.to(tl.int64) * STALK
        scale = tl.where(exists, 1.0, 0.0).to(total.dtype)
        if root is not None:
            scale = tl.load(root + row, mask=exists, other=0.0)
        if x is not None:
            z_v = _stalks(z, own_row, exists, p, column, STALK, WIDTH).to(total.dtype)
            x_v = _stalks(x, own_row, exists, p, column, STALK, WIDTH).to(total.dtype)
        for step in range(tl.max(length)):
            here = step < length
            entry = (begin + step).to(tl.int64)
            node = tl.load(col + entry, mask=here, other=0).to(tl.int64)
            source = node * STALK
            back = tl.load(reverse + entry, mask=here, other=0).to(tl.int64)
            mask = here[:, None] & (p < STALK)[None, :]
            mine, other = scale, tl.where(here, 1.0, 0.0).to(total.dtype)
            if root is not None:
                other = tl.load(root + node, mask=here, other=0.0)
            if weight is not None:
                mine *= tl.load(weight + entry, mask=here, other=0.0).to(total.dtype)
                other *= tl.load(weight + back, mask=here, other=0.0).to(total.dtype)
            both = mine * other
            for k in tl.static_range(STALK):
                place = (entry * STALK + k) * STALK
                left = tl.load(maps + place[:, None] + p[None, :], mask=mask, other=0.0)
                left = left.to(total.dtype) * mine[:, None]
                size += left[:, :, None] * left[:, None, :]
            for q in tl.static_range(STALK):
                product = tl.zeros([ROWS, PADDED], total.dtype)  # (F_vᵀ F_u)_pq
                for k in tl.static_range(STALK):
                    place = (entry * STALK + k) * STALK
                    left = tl.load(maps + place[:, None] + p[None, :], mask=mask, other=0.0)
                    place = (back * STALK + k) * STALK + q
                    right = tl.load(maps + place, mask=here, other=0.0)
                    product += left.to(total.dtype) * (right.to(total.dtype) * both)[:, None]
                value = gather(z, source + q, here, column, WIDTH, 0.0).to(total.dtype)
                total -= product[:, :, None] * value[:, None, :]
            if x is not None:
                found = tl.zeros([ROWS, PADDED, PADDED], total.dtype)
                for k in tl.static_range(STALK):
                    place = p[None, :] * STALK + k
                    left = tl.load(
                        maps + (entry * STALK * STALK)[:, None] + place, mask=mask, other=0.0
                    )
                    right = tl.load(
                        maps + (back * STALK * STALK)[:, None] + place, mask=mask, other=0.0
                    )
                    left = left.to(total.dtype) * mine[:, None]
                    right = right.to(total.dtype) * other[:, None]
                    z_k = gather(z, own_row + k, here, column, WIDTH, 0.0).to(total.dtype)
                    x_k = gather(x, own_row + k, here, column, WIDTH, 0.0).to(total.dtype)
                    z_u = gather(z, source + k, here, column, WIDTH, 0.0).to(total.dtype)
                    x_u = gather(x, source + k, here, column, WIDTH, 0.0).to(total.dtype)
                    own = tl.sum(z_k[:, None, :] * x_v + x_k[:, None, :] * z_v, 2)
                    cross = tl.sum(x_u[:, None, :] * z_v + z_u[:, None, :] * x_v, 2)
                    found += left[:, :, None] * own[:, None, :]
                    found -= right[:, :, None] * cross[:, None, :]
                place = p[None, :, None] * STALK + p[None, None, :]
                inside = mask[:, :, None] & (p < STALK)[None, None, :]
                place += (entry * STALK * STALK)[:, None, None]
                tl.store(slope + place, found.to(slope.dtype.element_ty), mask=inside)
        for q in tl.static_range(STALK):
            value = gather(z, own_row + q, exists, column, WIDTH, 0.0).to(total.dtype)
            total += _column(size, p == q)[:, :, None] * value[:, None, :]
        total = tl.reshape(total, [ROWS * PADDED, COLUMNS])
    put(total, total, flat_row, flat_target, column, out, partial, WIDTH, MERGE)


@triton.jit
def _stalks(
    x: tl.tensor,
    row: tl.tensor,
    mask: tl.tensor,
    p: tl.tensor,
    column: tl.tensor,
    STALK: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """All coordinates of each row, a tile (ROWS, PADDED, COLUMNS)."""
    place = (row[:, None] + p[None, :])[:, :, None] * WIDTH + column[None, None, :]
    inside = (mask[:, None] & (p < STALK)[None, :])[:, :, None] & (column < WIDTH)[None, None, :]
    return tl.load(x + place, mask=inside, other=0.0)
