"""CUDA: K lookups per row from a table in cache; the gradient by private tables (tables.py).

A category outside its feature's rows makes its row NaN: an error would have to wait for the device.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import UNKNOWN
from gbench.kernels.cuda.rows import gather, kernel, launch, tiling
from gbench.kernels.cuda.spmm import row_sum
from gbench.kernels.cuda.tables import add_rows, chunk_bounds, private_tables, put_table

LARGE = 512  # rows: each 64 of them read all gradients again, a sort of the codes each code's one


def embedding_sum(codes: Tensor, table: Tensor, offsets: Tensor) -> Tensor:
    """The forward of gbench/kernels/embedding_sum.py."""
    num_rows, num_features = codes.shape
    *layers, num_table_rows, width = table.shape
    out = table.new_empty(*layers, num_rows, width)
    tiles = tiling(num_rows, 0, 0, 0, out)
    if out.numel():
        launch(
            _lookups,
            (tiles.row_programs, tiles.blocks, *layers),
            codes.contiguous(),
            table.contiguous(),
            offsets.contiguous(),
            out,
            tiles.partial,
            num_rows,
            num_table_rows,
            FEATURES=num_features,
            WIDTH=width,
            ROWS=tiles.rows,
            COLUMNS=tiles.columns,
            num_warps=1,
        )
    return out


def embedding_sum_backward(grad: Tensor, codes: Tensor, offsets: Tensor, num_rows: int) -> Tensor:
    """The gradients of gbench/kernels/embedding_sum.py."""
    if num_rows > LARGE:
        if grad.dim() == 3:
            return torch.stack([_backward_sorted(one, codes, offsets, num_rows) for one in grad])
        return _backward_sorted(grad, codes, offsets, num_rows)
    layers = 1 if grad.dim() == 2 else grad.size(0)
    tables = private_tables(codes.size(0), num_rows, grad, layers)
    given = (grad.contiguous(), codes.contiguous(), offsets.contiguous())
    tables.launch(_backward, *given, codes.size(0), num_rows, layers, FEATURES=codes.size(1))
    return tables.total(grad.dtype).view(*grad.shape[:-2], num_rows, grad.size(-1))


def _backward_sorted(grad: Tensor, codes: Tensor, offsets: Tensor, num_rows: int) -> Tensor:
    """Sort the lookups by table row, which makes the gradient a plain sum over a graph's rows."""
    looked_up, order = (codes.long() + offsets).view(-1).sort(stable=True)
    rows = torch.arange(num_rows + 1, device=codes.device)
    rowptr = torch.searchsorted(looked_up, rows).int()
    return row_sum(rowptr, (order // codes.size(1)).int(), grad, UNKNOWN)


@triton.jit
def _look_up(
    codes: tl.tensor,
    offsets: tl.tensor,
    row: tl.tensor,
    here: tl.tensor,
    feature: tl.tensor,
    num_table_rows: tl.tensor,
    FEATURES: tl.constexpr,
) -> tl.tensor:
    """The table's row that each row's `feature` names, and whether the feature has that row."""
    start = tl.load(offsets + feature)
    end = tl.load(offsets + feature + 1, mask=feature + 1 < FEATURES, other=num_table_rows)
    code = tl.load(codes + row.to(tl.int64) * FEATURES + feature, mask=here, other=0).to(tl.int64)
    return (start + code).to(tl.int32), here & (code >= 0) & (start + code < end)


@kernel
def _lookups(
    codes: tl.tensor,
    table: tl.tensor,
    offsets: tl.tensor,
    out: tl.tensor,
    like: tl.tensor,
    num_rows: tl.tensor,
    num_table_rows: tl.tensor,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    here = row < num_rows
    layer = tl.program_id(2).to(tl.int64)
    table += layer * num_table_rows * WIDTH
    out += layer * num_rows * WIDTH
    total = tl.zeros([ROWS, COLUMNS], like.dtype.element_ty)
    for feature in range(FEATURES):
        place, exists = _look_up(codes, offsets, row, here, feature, num_table_rows, FEATURES)
        total += gather(table, place, exists, column, WIDTH, float("nan")).to(total.dtype)
    place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    mask = here[:, None] & (column < WIDTH)[None, :]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=mask)


@kernel
def _backward(
    grad: tl.tensor,
    codes: tl.tensor,
    offsets: tl.tensor,
    num_rows: tl.tensor,
    num_table_rows: tl.tensor,
    num_layers: tl.tensor,
    tables: tl.tensor,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    CODES: tl.constexpr,
    ENTRIES: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    blocks = tl.num_programs(2) // num_layers
    layer = tl.program_id(2) // blocks
    grad += layer.to(tl.int64) * num_rows * WIDTH
    mine = tl.program_id(2) % blocks * CODES + tl.arange(0, CODES)
    begin, end = chunk_bounds(num_rows)
    total = tl.zeros([CODES, COLUMNS], tables.dtype.element_ty)
    for first in range(begin, end, ENTRIES):
        row = first + tl.arange(0, ENTRIES)
        here = row < end
        value = gather(grad, row, here, column, WIDTH, 0.0)
        counts = tl.zeros([CODES, ENTRIES], tl.float32)
        for feature in range(FEATURES):
            place, exists = _look_up(codes, offsets, row, here, feature, num_table_rows, FEATURES)
            counts += ((mine[:, None] == place[None, :]) & exists[None, :]).to(tl.float32)
        total = add_rows(total, counts, value)
    put_table(tables, total, mine, column, num_table_rows, WIDTH, layer, num_layers)
