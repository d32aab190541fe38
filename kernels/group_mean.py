"""Give each row the mean of its group: what the copies of a node, one in each patch, agree on.

    y_i = 1/|g| Σ_{j ∈ g} x_j   for the group g that i is in

Groups list their rows, each row once, in any order; a group has some dozens of them, not thousands.
The gradient is the same of ȳ, for the matrix is symmetric.

Bytes moved, float32: N·F·4 read + N·F·4 written, in each direction, and the mean is kept nowhere.

Legend: N rows, G groups, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library


def reference(ptr: Tensor, col: Tensor, x: Tensor) -> Tensor:
    """The specification: sums by group, spread to its rows."""
    sizes = ptr.diff()
    groups = torch.arange(len(sizes), device=x.device)
    group = torch.empty_like(col, dtype=torch.int64)
    group[col.long()] = groups.repeat_interleave(sizes)
    total = x.new_zeros(len(sizes), x.size(1)).index_add(0, group, x)
    return (total / sizes.clamp(min=1)[:, None])[group]


@library.operation("x")
def group_mean(ptr: Tensor, col: Tensor, x: Tensor) -> Tensor:
    """Replace each of the rows col[ptr[g]:ptr[g + 1]] of x by their mean, for each g.

    Shapes: ptr (G + 1,) int32, col (N,) int32, a permutation, x (N, F) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    check.features("x", x, col.numel(), ptr.device)
    check.integers("col", col, (x.size(0),), x.device)
    if not library.has_kernel("group_mean", x):
        return reference(ptr, col, x)
    out: Tensor = _MEAN(ptr, col, x)
    return out


def _fake(ptr: Tensor, col: Tensor, x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_MEAN = library.define("group_mean(Tensor ptr, Tensor col, Tensor x) -> Tensor", _fake)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, None, _MEAN(*ctx.saved_tensors, grad)


library.differentiate("group_mean", _save, _backward)
