"""CUDA: gcn_propagate's walk, in which each hop adds its share of home."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda.gcn_propagate import hop_of, neighbour_sum
from gbench.kernels.cuda.rows import WHOLE, gather, kernel, portion, put, tiling


def teleport_propagate(
    graph: Graph, longest: int, x: Tensor, home: Tensor | None, alpha: float, hops: int
) -> Tensor:
    """The forward of gbench/kernels/teleport_propagate.py."""
    rowptr, col, *_ = graph
    if home is None:
        return _walk(rowptr, col, rowptr, longest, x, x, alpha, alpha, hops)
    return _walk(rowptr, col, rowptr, longest, x, home, alpha, 1.0, hops)


def teleport_propagate_backward(
    grad: Tensor, graph: Graph, longest: int, alpha: float, hops: int, returns: bool
) -> Tensor:
    """The gradient of gbench/kernels/teleport_propagate.py: the transpose, the same degrees."""
    rowptr, _, rowptr_t, col_t, *_ = graph
    home = grad if returns else None
    return _walk(rowptr_t, col_t, rowptr, longest, grad, home, alpha, alpha, hops)


def _walk(
    walk: Tensor,
    source: Tensor,
    rowptr: Tensor,
    longest: int,
    x: Tensor,
    home: Tensor | None,
    alpha: float,
    share: float,
    hops: int,
) -> Tensor:
    """Each hop adds `share` times home."""
    x = x.contiguous()
    home = None if home is None else home.contiguous()
    # The first hop reads x, and each later one what the hop before has written.
    buffers = [x.new_empty(x.shape) for _ in range(min(hops, 2))]
    tiles = tiling(x.size(0), x.size(0), source.numel(), longest, x)
    for hop in range(hops):
        out = buffers[hop % 2]
        tiles.launch(_hop, walk, source, rowptr, x, home, out, ALPHA=alpha, SHARE=share)
        x = out
    return x


@kernel
def _hop(
    walk: tl.tensor,
    col: tl.tensor,
    rowptr: tl.tensor,
    x: tl.tensor,
    home: tl.tensor,
    out: tl.tensor,
    partial: tl.tensor,
    num_rows: tl.tensor,
    num_slots: tl.tensor,
    search_steps: tl.tensor,
    ALPHA: tl.constexpr,
    SHARE: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SLOT: tl.constexpr,
    UNROLL: tl.constexpr,
    MERGE: tl.constexpr,
) -> None:
    row, begin, length, target = portion(walk, num_rows, num_slots, search_steps, ROWS, SLOT, MERGE)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = neighbour_sum(col, rowptr, x, begin, length, partial, column, WIDTH, UNROLL, MERGE)
    final = (1.0 - ALPHA) * hop_of(total, x, rowptr, row, target == WHOLE, column, WIDTH)
    if home is not None:
        own = gather(home, row, target == WHOLE, column, WIDTH, 0.0).to(total.dtype)
        final += SHARE * own
    put(total, final, row, target, column, out, partial, WIDTH, MERGE)
