"""CUDA: the Laplacian's walks with r on both sides, and walks for r itself and its gradient.

Rows without a hub take one launch for that: a program sums its rows' entries and goes over them
again. Otherwise their sums are merged first, and another launch goes over the entries.
"""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import (
    WHOLE,
    add_partials,
    gather,
    kernel,
    portion,
    power_of_2,
    put,
    tiling,
    wide,
)
from gbench.kernels.cuda.sheaf_laplacian import applied, gradients


def scaled_sheaf_laplacian(
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
    weight: Tensor | None,
    degree: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/scaled_sheaf_laplacian.py, with r."""
    num_nodes, channels = x.size(0), maps.size(1) if maps.dim() == 2 else 1
    root = x.new_empty(num_nodes, channels, dtype=wide(x.dtype))
    if degree is not None:
        tiles = tiling(num_nodes, 0, 0, 0, root)
        tiles.launch(_root, rowptr, None, degree.contiguous(), root)
    else:
        parts = (maps if weight is None else weight[:, None]).contiguous()
        tiles = tiling(num_nodes, num_nodes, col.numel(), longest, root)
        tiles.launch(_root, rowptr, parts, None, root)
    return applied((rowptr, col, reverse, longest), maps, weight, root, x), root


def scaled_sheaf_laplacian_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
    weight: Tensor | None,
    degree: Tensor | None,
    out: Tensor,
    root: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/scaled_sheaf_laplacian.py."""
    maps = maps.contiguous()
    weight = None if weight is None else weight.contiguous()
    slope, grad_x = gradients((rowptr, col, reverse, longest), maps, weight, root, x, grad)
    grad_maps = maps.new_empty(maps.shape)
    grad_weight = x.new_empty(0 if weight is None else weight.size(0))
    grad_degree = x.new_empty(0 if degree is None else degree.size(0))
    through = root.new_empty(root.shape)
    num_nodes, width = root.size(0), maps.shape[1:].numel()
    flat = slope.view(-1, width)
    tiles = tiling(num_nodes, num_nodes, col.numel(), longest, flat)
    columns = power_of_2(width)
    tiles = tiles._replace(columns=columns, rows=max(1, min(32, 128 // columns)))
    given = (rowptr, flat, maps, weight, root, through)
    grads = (grad_maps, grad_weight, grad_degree if degree is not None else None)
    flags = {"ROOTS": root.size(1), "IS_SHARED": maps.dim() == 3 or degree is not None}
    has_hubs = tiles.num_slots > 0
    tiles.launch(_through_root, *given, *grads, **flags, ADDS=True, WRITES=not has_hubs)
    if has_hubs:
        flags = {**flags, "ADDS": False, "WRITES": True}
        tiles._replace(merges=False).launch(_through_root, *given, *grads, **flags)
    return grad_maps, grad_x, grad_weight, grad_degree


@kernel
def _root(
    rowptr: tl.tensor,
    parts: tl.tensor,
    degree: tl.tensor,
    root: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """(1 + degree)^-1/2, or with the sum of squares of each row's parts as the degree."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        if degree is not None:
            total += tl.load(degree + row, mask=target == WHOLE, other=0.0)[:, None]
        else:
            for step in range(0, tl.max(length), UNROLL):
                for ahead in tl.static_range(UNROLL):
                    here = step + ahead < length
                    part = gather(parts, begin + step + ahead, here, column, WIDTH, 0.0)
                    total += part.to(total.dtype) * part.to(total.dtype)
    put(total, tl.rsqrt(1 + total), row, target, column, root, partial, WIDTH, MERGE)


@kernel
def _through_root(
    rowptr: tl.tensor,
    slope: tl.tensor,
    maps: tl.tensor,
    weight: tl.tensor,
    root: tl.tensor,
    through: tl.tensor,
    grad_maps: tl.tensor,
    grad_weight: tl.tensor,
    grad_degree: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    ROOTS: tl.constexpr,
    IS_SHARED: tl.constexpr,
    ADDS: tl.constexpr,
    WRITES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """From the slopes M̄ for the maps times w r to those of maps, weights and degrees.

    What goes through r is s = -½ r³ Σ M̄ w F for 1 + size, a sum over all of a shared root's.
    """
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    row = row.to(tl.int64)
    column = tl.arange(0, COLUMNS)
    own_root = row[:, None] * ROOTS + (column % ROOTS)[None, :]
    exists = (target >= WHOLE)[:, None] & (column < WIDTH)[None, :]
    r = tl.load(root + own_root, mask=exists, other=0.0)
    whole = target == WHOLE
    if ADDS:
        if MERGE:
            total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
        else:
            total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
            for step in range(0, tl.max(length), UNROLL):
                for ahead in tl.static_range(UNROLL):
                    here = step + ahead < length
                    entry = begin + step + ahead
                    part = gather(maps, entry, here, column, WIDTH, 0.0).to(total.dtype)
                    if weight is not None:
                        w = tl.load(weight + entry, mask=here, other=0.0).to(total.dtype)
                        part *= w[:, None]
                    total += part * gather(slope, entry, here, column, WIDTH, 0.0)
            place = target.to(tl.int64)[:, None] * WIDTH + column[None, :]
            tl.store(partial + place, total, (target >= 0)[:, None] & (column < WIDTH)[None, :])
        mine = total * r * r * r / -2
        if IS_SHARED:
            shared = tl.sum(mine, 1)
            mine = shared[:, None] + tl.zeros_like(mine)
            tl.store(through + row * ROOTS, shared, mask=whole)
            if grad_degree is not None:
                tl.store(grad_degree + row, shared.to(grad_degree.dtype.element_ty), mask=whole)
        else:
            tl.store(through + own_root, mine, mask=whole[:, None] & (column < WIDTH)[None, :])
    else:
        at = row[:, None] * ROOTS + tl.zeros_like(own_root) if IS_SHARED else own_root
        mine = tl.load(through + at, mask=exists, other=0.0)
    if WRITES:
        for step in range(tl.max(length)):
            here = step < length
            entry = (begin + step).to(tl.int64)
            value = gather(slope, entry, here, column, WIDTH, 0.0)
            part = gather(maps, entry, here, column, WIDTH, 0.0).to(value.dtype)
            found = value * r
            if weight is not None:
                w = tl.load(weight + entry, mask=here, other=0.0).to(value.dtype)
                of_size = tl.where((column == 0)[None, :], 2 * mine, 0.0)
                of_weight = tl.sum(found * part + w[:, None] * of_size, 1)
                tl.store(grad_weight + entry, of_weight.to(grad_weight.dtype.element_ty), mask=here)
                found *= w[:, None]
            elif not IS_SHARED:
                found += 2 * part * mine
            place = entry[:, None] * WIDTH + column[None, :]
            mask = here[:, None] & (column < WIDTH)[None, :]
            tl.store(grad_maps + place, found.to(grad_maps.dtype.element_ty), mask=mask)
