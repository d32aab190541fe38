"""CUDA: walks over rows that sum a block for each node, turn it, and go over the entries again.

Where no row is a hub that is one launch each way. Otherwise the blocks are merged first and another
launch goes over the entries, whose programs each turn the blocks of their rows.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.inverse_sqrt import eigen, root_of, through_root, tile_rows
from gbench.kernels.cuda.rows import (
    NOTHING,
    WHOLE,
    Tiling,
    kernel,
    portion,
    power_of_2,
    tiling,
    wide,
)


def normal_maps(rowptr: Tensor, longest: int, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/normal_maps.py, with eigenvalues and eigenvectors."""
    maps = maps.contiguous()
    num_nodes, stalk = rowptr.numel() - 1, maps.size(1)
    out = maps.new_empty(maps.shape)
    values = maps.new_empty(num_nodes, stalk, dtype=torch.float64)
    vectors = maps.new_empty(num_nodes, stalk, stalk, dtype=torch.float64)
    _walk(forward, rowptr, longest, maps, values, vectors, out)
    return out, values, vectors


def normal_maps_backward(
    grad: Tensor, rowptr: Tensor, longest: int, maps: Tensor, values: Tensor, vectors: Tensor
) -> Tensor:
    """The gradient of gbench/kernels/normal_maps.py."""
    out = maps.new_empty(maps.shape)
    _walk(_backward, rowptr, longest, maps.contiguous(), grad.contiguous(), values, vectors, out)
    return out


def _walk(function: Any, rowptr: Tensor, longest: int, maps: Tensor, *args: Tensor) -> None:
    """Call function(rowptr, maps, *args, sums, partial sums, sizes) once, or for hubs thrice."""
    tiles, sizes = tiles_of(rowptr, longest, maps)
    sums = maps.new_empty(0, dtype=wide(maps.dtype))
    if tiles.num_slots == 0:
        tiles.launch(function, rowptr, maps, *args, sums, **sizes, ADDS=True, WRITES=True)
    else:
        sums = sums.new_empty(rowptr.numel() - 1, *maps.shape[1:])
        tiles.launch(function, rowptr, maps, *args, sums, **sizes, ADDS=True, WRITES=False)
        walks = {**sizes, "ADDS": False, "WRITES": True}
        tiles._replace(merges=False).launch(function, rowptr, maps, *args, sums, **walks)


def tiles_of(rowptr: Tensor, longest: int, maps: Tensor) -> tuple[Tiling, dict[str, int]]:
    """The launches that walk the rows' maps, and the sizes of a map."""
    num_nodes, size = rowptr.numel() - 1, maps.size(1)
    flat = maps.view(maps.size(0), size * size)
    tiles = tiling(num_nodes, num_nodes, maps.size(0), longest, flat)
    tiles = tiles._replace(columns=power_of_2(size * size), rows=tile_rows(size))
    return tiles, {"SIZE": size, "PADDED": power_of_2(size)}


@triton.jit
def _put_sums(
    total: tl.tensor,
    row: tl.tensor,
    target: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    sums: tl.tensor,
    partial: tl.tensor,
    SIZE: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """Write the blocks of whole rows to `sums` and those of hubs' slots to `partial`."""
    place = row[:, None, None] * (SIZE * SIZE) + at
    tl.store(sums + place, total, mask=(target == WHOLE)[:, None, None] & inside)
    if not MERGE:
        place = target.to(tl.int64)[:, None, None] * (SIZE * SIZE) + at
        tl.store(partial + place, total, mask=(target >= 0)[:, None, None] & inside)


@triton.jit
def _merged(
    partial: tl.tensor,
    begin: tl.tensor,
    length: tl.tensor,
    at: tl.tensor,
    inside: tl.tensor,
    SIZE: tl.constexpr,
    ROWS: tl.constexpr,
    PADDED: tl.constexpr,
) -> tl.tensor:
    """The sum of `length` slots from `begin` on."""
    total = tl.zeros([ROWS, PADDED, PADDED], partial.dtype.element_ty)
    for step in range(tl.max(length)):
        place = (begin + step).to(tl.int64)[:, None, None] * (SIZE * SIZE) + at
        mask = (step < length)[:, None, None] & inside
        total += tl.load(partial + place, mask=mask, other=0.0)
    return total


@triton.jit
def line_of(
    maps: tl.tensor,
    entry: tl.tensor,
    here: tl.tensor,
    k: tl.tensor,
    side: tl.tensor,
    SIZE: tl.constexpr,
) -> tl.tensor:
    """Row k of each entry's map, (ROWS, PADDED)."""
    place = (entry * SIZE + k)[:, None] * SIZE + side[None, :]
    return tl.load(maps + place, mask=here[:, None] & (side < SIZE)[None, :], other=0.0)


@kernel
def forward(
    rowptr: tl.tensor,
    maps: tl.tensor,
    values: tl.tensor,
    vectors: tl.tensor,
    out: tl.tensor,
    sums: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    ADDS: tl.constexpr,
    WRITES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """The sums are Σ FᵀF."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    row = row.to(tl.int64)
    side = tl.arange(0, PADDED)
    i, j = side[None, :, None], side[None, None, :]
    at, inside = i * SIZE + j, (i < SIZE) & (j < SIZE)
    exists = (target > NOTHING)[:, None, None] & inside
    if MERGE:
        total = _merged(partial, begin, length, at, inside, SIZE, ROWS, PADDED)
    elif ADDS:
        total = tl.zeros([ROWS, PADDED, PADDED], partial.dtype.element_ty)
        for step in range(tl.max(length)):
            for k in tl.static_range(SIZE):
                entry = (begin + step).to(tl.int64)
                line = line_of(maps, entry, step < length, k, side, SIZE).to(total.dtype)
                total += line[:, :, None] * line[:, None, :]
    else:
        total = tl.load(sums + row[:, None, None] * (SIZE * SIZE) + at, mask=exists, other=0.0)
    if not WRITES:
        _put_sums(total, row, target, at, inside, sums, partial, SIZE, MERGE)
    else:
        eye = tl.where(i == j, 1.0, 0.0).to(tl.float64)
        found, turned = eigen(tl.where(exists, total.to(tl.float64), 0.0) + eye, SIZE, PADDED)
        place = row[:, None] * SIZE + side[None, :]
        mask = (target > NOTHING)[:, None] & (side < SIZE)[None, :]
        tl.store(values + place, found, mask=mask)
        tl.store(vectors + row[:, None, None] * (SIZE * SIZE) + at, turned, mask=exists)
        root = root_of(found, turned).to(total.dtype)
        for step in range(tl.max(length)):
            here = step < length
            entry = (begin + step).to(tl.int64)
            for k in tl.static_range(SIZE):
                line = line_of(maps, entry, here, k, side, SIZE).to(total.dtype)
                new = tl.sum(line[:, :, None] * root, 1)
                place = (entry * SIZE + k)[:, None] * SIZE + side[None, :]
                mask = here[:, None] & (side < SIZE)[None, :]
                tl.store(out + place, new.to(out.dtype.element_ty), mask=mask)


@kernel
def _backward(
    rowptr: tl.tensor,
    maps: tl.tensor,
    grad: tl.tensor,
    values: tl.tensor,
    vectors: tl.tensor,
    out: tl.tensor,
    sums: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    ADDS: tl.constexpr,
    WRITES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    """The sums are R̄ = Σ FᵀM̄."""
    row, begin, length, target = portion(
        rowptr, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE
    )
    row = row.to(tl.int64)
    side = tl.arange(0, PADDED)
    i, j = side[None, :, None], side[None, None, :]
    at, inside = i * SIZE + j, (i < SIZE) & (j < SIZE)
    exists = (target > NOTHING)[:, None, None] & inside
    own = row[:, None, None] * (SIZE * SIZE) + at
    if MERGE:
        total = _merged(partial, begin, length, at, inside, SIZE, ROWS, PADDED)
    elif ADDS:
        total = tl.zeros([ROWS, PADDED, PADDED], partial.dtype.element_ty)
        for step in range(tl.max(length)):
            for k in tl.static_range(SIZE):
                entry = (begin + step).to(tl.int64)
                line = line_of(maps, entry, step < length, k, side, SIZE).to(total.dtype)
                slope = line_of(grad, entry, step < length, k, side, SIZE).to(total.dtype)
                total += line[:, :, None] * slope[:, None, :]
    else:
        total = tl.load(sums + own, mask=exists, other=0.0)
    if not WRITES:
        _put_sums(total, row, target, at, inside, sums, partial, SIZE, MERGE)
    else:
        mask = (target > NOTHING)[:, None] & (side < SIZE)[None, :]
        found = tl.load(values + row[:, None] * SIZE + side[None, :], mask=mask, other=1.0)
        turned = tl.load(vectors + own, mask=exists, other=0.0)
        of_block = through_root(total.to(tl.float64), found, turned)
        both = (of_block + tl.trans(of_block, (0, 2, 1))).to(total.dtype)
        root = root_of(found, turned).to(total.dtype)
        for step in range(tl.max(length)):
            here = step < length
            entry = (begin + step).to(tl.int64)
            for k in tl.static_range(SIZE):
                line = line_of(maps, entry, here, k, side, SIZE).to(total.dtype)
                slope = line_of(grad, entry, here, k, side, SIZE).to(total.dtype)
                new = tl.sum(slope[:, :, None] * root + line[:, :, None] * both, 1)
                place = (entry * SIZE + k)[:, None] * SIZE + side[None, :]
                mask = here[:, None] & (side < SIZE)[None, :]
                tl.store(out + place, new.to(out.dtype.element_ty), mask=mask)
