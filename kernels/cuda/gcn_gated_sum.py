"""CUDA: gcn_propagate's hop over rows padded with the score, and a pass that gates and adds.

The rows of H_k are padded to whole panels (panel_width.py), which also makes each begin at a
multiple of 32 bytes: rows of 8 numbers for 7 classes are read in pairs of 128 bits.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.gcn_propagate import one_hop
from gbench.kernels.cuda.rows import cdiv, gather, kernel, launch, tile_columns
from gbench.kernels.panel_width import padded


def gcn_gated_sum(
    graph: Graph,
    longest: int,
    x: Tensor,
    score: Tensor,
    bias: Tensor,
    hops: int,
    keeps: bool,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/gcn_gated_sum.py."""
    rowptr, col, *_ = graph
    num_nodes, width = x.shape
    slots = hops + 1 if keeps else min(hops + 1, 2)
    hidden = score.new_zeros(slots, num_nodes, padded(width + 1))
    hidden[0, :, :width], hidden[0, :, width] = x, score
    total = score.new_empty(num_nodes, width)
    for hop in range(hops + 1):
        here = hidden[hop % slots]
        if hop > 0:
            one_hop(rowptr, col, rowptr, longest, hidden[(hop - 1) % slots], None, False, here)
        _by_rows(_add_gated, num_nodes, here.size(1), width, here, bias, total, FIRST=hop == 0)
    return total.to(x.dtype), hidden.view(-1) if keeps else hidden.new_empty(0)


def gcn_gated_sum_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    hidden: Tensor,
    bias: Tensor,
    hops: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_gated_sum.py; of x, as if the score were none of it."""
    rowptr, _, rowptr_t, col_t, *_ = graph
    num_nodes, width = grad.shape
    grad, kept = grad.contiguous(), hidden.view(hops + 1, num_nodes, padded(width + 1))
    sums = hidden.new_zeros(2, *kept.shape[1:])
    slopes = hidden.new_zeros(num_nodes)
    for hop in range(hops, -1, -1):
        before, here = sums[(hop + 1) % 2], sums[hop % 2]
        if hop < hops:
            one_hop(rowptr_t, col_t, rowptr, longest, before, None, False, here)
        given = (kept[hop], bias, grad, here, slopes)
        _by_rows(_add_grad, num_nodes, here.size(1), width, *given)
    walked = sums[0]
    return (
        walked[:, :width].to(grad.dtype, memory_format=torch.contiguous_format),
        walked[:, width].contiguous(),
        slopes.sum().to(bias.dtype),
    )


def _by_rows(
    kernel: Any, num_nodes: int, stride: int, width: int, *args: Any, **flags: Any
) -> None:
    """Call kernel(*args, num_nodes) over tiles of rows."""
    columns = min(128, tile_columns(width))
    rows = max(1, min(32, 128 // columns))
    if num_nodes:
        sizes = {"STRIDE": stride, "WIDTH": width, "ROWS": rows, "COLUMNS": columns}
        grid = (cdiv(num_nodes, rows),)
        launch(kernel, grid, *args, num_nodes, **flags, **sizes, num_warps=1)


@triton.jit
def _gate(
    hidden: tl.tensor,
    bias: tl.tensor,
    row: tl.tensor,
    here: tl.tensor,
    STRIDE: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """The sigmoid of each row's score, which is in column WIDTH, plus bias."""
    score = tl.load(hidden + row.to(tl.int64) * STRIDE + WIDTH, mask=here, other=0.0)
    return 1.0 / (1.0 + tl.exp(-(score + tl.load(bias).to(score.dtype))))


@kernel
def _add_gated(
    hidden: tl.tensor,
    bias: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    FIRST: tl.constexpr,
    STRIDE: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < num_rows
    gate = _gate(hidden, bias, row, here, STRIDE, WIDTH)[:, None]
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        total = gate * gather(hidden, row, here, column, STRIDE, 0.0)
        if not FIRST:
            total += gather(out, row, here, column, WIDTH, 0.0)
        place = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
        tl.store(out + place, total, mask=here[:, None] & (column < WIDTH)[None, :])


@kernel
def _add_grad(
    hidden: tl.tensor,
    bias: tl.tensor,
    grad: tl.tensor,
    sums: tl.tensor,
    slopes: tl.tensor,
    num_rows: tl.tensor,
    STRIDE: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Add the gated gradient and the scores' to the walk's sums, and the scores' to the bias's."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    here = row < num_rows
    gate = _gate(hidden, bias, row, here, STRIDE, WIDTH)
    product = tl.zeros([ROWS], gate.dtype)
    for start in range(0, WIDTH, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        value = gather(grad, row, here, column, WIDTH, 0.0).to(gate.dtype)
        product += tl.sum(value * gather(hidden, row, here, column, STRIDE, 0.0), 1)
        total = gather(sums, row, here, column, STRIDE, 0.0) + gate[:, None] * value
        place = row.to(tl.int64)[:, None] * STRIDE + column[None, :]
        tl.store(sums + place, total, mask=here[:, None] & (column < WIDTH)[None, :])
    slope = product * gate * (1.0 - gate)
    place = row.to(tl.int64) * STRIDE + WIDTH
    tl.store(sums + place, tl.load(sums + place, mask=here, other=0.0) + slope, mask=here)
    total = tl.load(slopes + row, mask=here, other=0.0) + slope
    tl.store(slopes + row, total, mask=here)
