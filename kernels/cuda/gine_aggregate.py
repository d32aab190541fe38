"""CUDA: the walks of bonds.py with 1 + ε as the node's own factor."""

from __future__ import annotations

from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda import bonds


def gine_aggregate(
    graph: Graph, longest: int, x: Tensor, table: Tensor, edge_code: Tensor, eps: Tensor
) -> Tensor:
    """The forward of gbench/kernels/gine_aggregate.py."""
    return bonds.aggregate(graph, longest, x, table, edge_code, eps, None)


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
    return bonds.gradients(grad, graph, longest, x, table, edge_code, eps, None)
