"""What the two ends of each entry of a graph say: one row per entry.

Indexing's own gradient adds row by row, and on a GPU in no fixed order; here each end sums the
rows of its own entries, which the graph lists.

Legend: N rows, M columns, E entries, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import CSR, segment_reduce
from gbench.kernels.segment_reduce import spread
from gbench.kernels.spmm import gathered_sum


def of_columns(graph: CSR, x: Tensor) -> Tensor:
    """x_j for each entry (i, j). Shapes: x (M, F) → (E, F)."""
    out: Tensor = _OfColumns.apply(graph, x)  # type: ignore[no-untyped-call]
    return out


def of_rows(graph: CSR, x: Tensor) -> Tensor:
    """x_i for each entry (i, j). Shapes: x (N, F) → (E, F)."""
    out: Tensor = _OfRows.apply(graph, x)  # type: ignore[no-untyped-call]
    return out


class _OfColumns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: CSR, x: Tensor) -> Tensor:
        ctx.graph = graph
        return x.index_select(0, graph.col)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        graph: CSR = ctx.graph
        if grad.is_cuda:
            return None, gathered_sum(graph.rowptr_t, graph.perm_t, grad, graph.longest)
        return None, segment_reduce(graph.rowptr_t, grad.index_select(0, graph.perm_t))


class _OfRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: CSR, x: Tensor) -> Tensor:
        ctx.graph = graph
        return spread(graph.rowptr, x, graph.num_entries)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        graph: CSR = ctx.graph
        return None, segment_reduce(graph.rowptr, grad.contiguous(), longest=graph.longest)
