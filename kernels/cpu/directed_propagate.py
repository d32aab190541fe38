"""CPU: bag.py, with the two powers of an entry's row and column as its weight."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.cpu.bag import bag_sum
from gbench.kernels.csr import Graph


def directed_propagate(graph: Graph, longest: int, x: Tensor, a: float, b: float) -> Tensor:
    """The forward of gbench/kernels/directed_propagate.py."""
    rowptr, col, rowptr_t, *_ = graph
    return _propagate(rowptr, col, rowptr_t, x, a, b)


def directed_propagate_backward(
    grad: Tensor, graph: Graph, longest: int, a: float, b: float
) -> Tensor:
    """The gradient of gbench/kernels/directed_propagate.py: the transpose, the powers exchanged."""
    rowptr, _, rowptr_t, col_t, _ = graph
    return _propagate(rowptr_t, col_t, rowptr, grad, b, a)


def _propagate(
    rowptr: Tensor, col: Tensor, rowptr_t: Tensor, x: Tensor, a: float, b: float
) -> Tensor:
    sizes = rowptr.diff()
    weight = _powers(sizes, a, x).repeat_interleave(sizes, output_size=col.numel())
    if b:
        weight *= _powers(rowptr_t.diff(), b, x).index_select(0, col)
    return bag_sum(rowptr, col, x, weight.to(x.dtype))


def _powers(sizes: Tensor, exponent: float, x: Tensor) -> Tensor:
    """sizes^exponent; what 0 gives is never read, for it stands beside no entry."""
    return sizes.to(torch.promote_types(x.dtype, torch.float32)).pow_(exponent)
