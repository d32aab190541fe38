"""CUDA: the walks of bonds.py with 1 + ε as the node's own factor."""

from __future__ import annotations

from torch import Tensor

from gbench.kernels.cuda import bonds


def gine_aggregate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> Tensor:
    """The forward of gbench/kernels/gine_aggregate.py."""
    return bonds.aggregate(rowptr, col, rowptr_t, x, table, edge_code, eps, None)


def gine_aggregate_backward(
    grad: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gine_aggregate.py."""
    return bonds.gradients(grad, rowptr_t, col_t, perm_t, x, table, edge_code, eps, None)
