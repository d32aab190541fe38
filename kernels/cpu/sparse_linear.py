"""CPU: the composition of gbench/kernels/cpu/dropout.py and gbench/kernels/cpu/spmm.py."""

from __future__ import annotations

from torch import Tensor

from gbench.kernels.cpu.dropout import dropout
from gbench.kernels.cpu.spmm import spmm, spmm_backward
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
    out = spmm(graph, longest, weight, values, "sum")
    return out if bias is None else out + bias


def sparse_linear_backward(
    grad: Tensor, graph: Graph, longest_t: int, values: Tensor, seed: Tensor | None, rate: float
) -> Tensor:
    """The gradient of gbench/kernels/sparse_linear.py."""
    values = values if seed is None else dropout(values, seed, rate)
    return spmm_backward(grad, graph, longest_t, None, values, None, "sum", True, False)[0]
