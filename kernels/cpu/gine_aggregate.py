"""CPU, numba: the walks of bonds.py with 1 + ε as the node's own factor."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.cpu import bonds
from gbench.kernels.csr import Graph


def gine_aggregate(
    graph: Graph, longest: int, x: Tensor, table: Tensor, edge_code: Tensor, eps: Tensor
) -> Tensor:
    """The forward of gbench/kernels/gine_aggregate.py."""
    return bonds.aggregate(graph, x, table, edge_code, None, None, 1 + eps.item())


def gine_aggregate_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gine_aggregate.py."""
    given = (x, table, edge_code, None, None, 1 + eps.item())
    grad_x, total = bonds.gradients(grad, graph, *given)
    grad_eps = total[-1].sum(dtype=torch.float64)
    return grad_x, total[:-1].to(x.dtype, copy=True), grad_eps.to(eps.dtype)
