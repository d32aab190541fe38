"""CUDA: spmm's walk, which draws as it goes; forward over rows, backward over columns."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.draws import dropped_in_order
from gbench.kernels.cuda.rows import add_partials, gather, kernel, portion, put, tiling
from gbench.kernels.dropout import KEY_SPAN


def sparse_linear(
    graph: Graph,
    longest: int,
    longest_t: int,
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    rate: float,
) -> Tensor:
    """The forward of gbench/kernels/sparse_linear.py."""
    rowptr, col, *_ = graph
    bias = None if bias is None else bias.contiguous()
    return _sum(rowptr, col, None, longest, values, weight, bias, seed, rate)


def sparse_linear_backward(
    grad: Tensor, graph: Graph, longest_t: int, values: Tensor, seed: Tensor | None, rate: float
) -> Tensor:
    """The gradient of gbench/kernels/sparse_linear.py."""
    _, _, rowptr_t, col_t, perm_t = graph
    return _sum(rowptr_t, col_t, perm_t, longest_t, values, grad, None, seed, rate)


def _sum(
    rowptr: Tensor,
    col: Tensor,
    perm: Tensor | None,
    longest: int,
    values: Tensor,
    x: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    rate: float,
) -> Tensor:
    """Σ of drop(values)[perm[e]] · x[col[e]] over the entries e of each row, plus the bias."""
    num_rows, x = rowptr.numel() - 1, x.contiguous()
    out = x.new_empty(num_rows, x.size(1))
    tiles = tiling(num_rows, x.size(0), col.numel(), longest, x)
    draws = {"RATE": rate, "LIMIT": int(rate * 2**32), "SPAN": KEY_SPAN}
    tiles.launch(_product, rowptr, col, perm, values.contiguous(), x, bias, seed, out, **draws)
    return out


@kernel
def _product(
    rowptr: tl.tensor,
    col: tl.tensor,
    perm: tl.tensor,
    values: tl.tensor,
    x: tl.tensor,
    bias: tl.tensor,
    seed: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    SPAN: tl.constexpr,
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
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    if MERGE:
        total = add_partials(partial, begin, length, column, WIDTH, UNROLL)
    else:
        total = tl.zeros([ROWS, COLUMNS], partial.dtype.element_ty)
        start = 0
        if seed is not None:
            start = tl.load(seed)
        for step in range(0, tl.max(length), UNROLL):
            for ahead in tl.static_range(UNROLL):
                here = step + ahead < length
                entry = begin + step + ahead
                source = tl.load(col + entry, mask=here, other=0)
                place = entry
                if perm is not None:
                    place = tl.load(perm + entry, mask=here, other=0)
                factor = tl.load(values + place, mask=here, other=0.0).to(total.dtype)
                if seed is not None:
                    factor = dropped_in_order(factor, start, place, RATE, LIMIT, SPAN)
                value = gather(x, source, here, column, WIDTH, 0.0).to(total.dtype)
                total += factor[:, None] * value
    final = total
    if bias is not None:
        final += tl.load(bias + column, mask=column < WIDTH, other=0.0).to(total.dtype)[None, :]
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)
