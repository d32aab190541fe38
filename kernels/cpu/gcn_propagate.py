"""CPU: scale, embedding_bag, add, scale; a hop's buffer is free once the next hop has read it."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.cpu.bag import bag_sum


def gcn_propagate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    x: Tensor,
    hops: int,
    transposed: bool,
) -> Tensor:
    """The forward, or with `transposed` the gradient, of gbench/kernels/gcn_propagate.py."""
    # Degrees in at least float32: bfloat16 has no 257.
    wide = torch.promote_types(x.dtype, torch.float32)
    degree = (rowptr.diff() + 1).to(wide).unsqueeze(1)
    if x.size(1) < 64:
        # Multiplying rows of 7 by a column takes 5 times as long as by a matrix of their shape.
        degree = degree.expand(x.shape).contiguous()
    scale = degree.rsqrt().to(x.dtype)
    between = degree.reciprocal().to(x.dtype) if hops > 1 else scale
    if transposed:
        rowptr, col = rowptr_t, col_t
    hidden = x.detach() * scale
    for hop in range(hops):
        total = bag_sum(rowptr, col, hidden).add_(hidden)
        hidden = total.mul_(scale if hop == hops - 1 else between)
    return hidden
