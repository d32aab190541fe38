"""CPU, numba: the walks of bonds.py with d^-1/2 at both ends of a bond and a root term."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu import bonds
from gbench.kernels.cpu.rows import array
from gbench.kernels.csr import Graph


def gcn_bond_aggregate(
    graph: Graph, longest: int, x: Tensor, table: Tensor, edge_code: Tensor, root: Tensor
) -> Tensor:
    """The forward of gbench/kernels/gcn_bond_aggregate.py."""
    return bonds.aggregate(graph, x, table, edge_code, _scale(graph, x), array(root), 1.0)


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
    given = (x, table, edge_code, _scale(graph, x), array(root), 1.0)
    grad_x, total = bonds.gradients(grad, graph, *given)
    total = total.to(x.dtype)
    return grad_x, total[:-1].clone(), total[-1].clone()


def _scale(graph: Graph, like: Tensor) -> Any:
    """d^-1/2 (N,), at least in float32: bfloat16 has no 257."""
    wide = torch.promote_types(like.dtype, torch.float32)
    return (graph[2].diff() + 1).to(wide).rsqrt_().numpy()
