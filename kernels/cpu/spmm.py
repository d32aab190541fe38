"""CPU: sums (bag.py) over the graph or its transpose, maxima and dot products by numba."""

from __future__ import annotations

from torch import Tensor

from gbench.kernels.cpu.bag import bag_sum
from gbench.kernels.csr import Graph


def spmm(
    graph: Graph,
    longest: int,
    x: Tensor,
    weight: Tensor | None,
    reduce: str,
) -> Tensor:
    """The forward of gbench/kernels/spmm.py."""
    rowptr, col, *_ = graph
    if reduce == "max":
        from gbench.kernels.cpu.spmm_numba import maximum

        return maximum(rowptr, col, x)
    out = bag_sum(rowptr, col, x, weight)
    return out.div_(_degree(rowptr)) if reduce == "mean" else out


def spmm_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor | None,
    weight: Tensor | None,
    out: Tensor | None,
    reduce: str,
    needs_x: bool,
    needs_weight: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/spmm.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    grad_x = grad.new_empty(0, grad.size(1))
    grad_weight = grad.new_empty(0)
    if x is not None and out is not None:  # the maximum
        from gbench.kernels.cpu.spmm_numba import maximum_backward

        return maximum_backward(grad, rowptr, col, rowptr_t, col_t, x, out), grad_weight
    if reduce == "mean":
        grad = grad / _degree(rowptr)
    if needs_x:
        grad_x = bag_sum(rowptr_t, col_t, grad, weight, perm_t)
    if x is not None and needs_weight:
        from gbench.kernels.cpu.spmm_numba import entry_dots

        grad_weight = entry_dots(rowptr, col, grad, x)
    return grad_x, grad_weight


def _degree(rowptr: Tensor) -> Tensor:
    """Entries per row, 1 for an empty one: (N, 1)."""
    return rowptr.diff().clamp_(min=1).unsqueeze(1)
