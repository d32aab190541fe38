"""CPU: the composition of gbench/kernels/cpu/dropout.py and gbench/kernels/cpu/bag.py."""

from __future__ import annotations

from torch import Tensor

from gbench.kernels.cpu.bag import bag_sum
from gbench.kernels.cpu.dropout import dropout
from gbench.kernels.csr import Graph


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
    values = values if seed is None else dropout(values, seed, rate)
    rowptr, col, *_ = graph
    return bag_sum(rowptr, col, weight, values, bias=bias)


def sparse_linear_backward(
    grad: Tensor, graph: Graph, longest_t: int, values: Tensor, seed: Tensor | None, rate: float
) -> Tensor:
    """The gradient of gbench/kernels/sparse_linear.py."""
    values = values if seed is None else dropout(values, seed, rate)
    _, _, rowptr_t, col_t, perm_t = graph
    return bag_sum(rowptr_t, col_t, grad, values, perm_t)
