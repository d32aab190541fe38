"""CUDA: the walks of bonds.py with (d_i d_j)^-1/2 at a bond and a root term."""

from __future__ import annotations

from torch import Tensor

from gbench.kernels.csr import Graph
from gbench.kernels.cuda import bonds


def gcn_bond_aggregate(
    graph: Graph, longest: int, x: Tensor, table: Tensor, edge_code: Tensor, root: Tensor
) -> Tensor:
    """The forward of gbench/kernels/gcn_bond_aggregate.py."""
    return bonds.aggregate(graph, longest, x, table, edge_code, None, root.contiguous())


def gcn_bond_aggregate_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    root: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_bond_aggregate.py."""
    return bonds.gradients(grad, graph, longest, x, table, edge_code, None, root.contiguous())
