"""CPU: a segment is a row of a graph whose entries are 0, 1, 2, …, so spmm's kernels serve."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.cpu.bag import bag_sum


def segment_reduce(ptr: Tensor, x: Tensor, reduce: str) -> Tensor:
    """The forward of gbench/kernels/segment_reduce.py."""
    bounds = ptr.numpy()  # numpy's calls cost a third of torch's on so few numbers
    if bounds[0] != 0 or bounds[-1] != x.size(0) or (bounds[1:] < bounds[:-1]).any():
        raise ValueError(
            f"ptr should rise from 0 to {x.size(0)}, the number of rows: "
            f"it starts at {bounds[0]} and ends at {bounds[-1]}"
        )
    rows = torch.arange(x.size(0), dtype=torch.int32)
    if reduce == "max":
        from gbench.kernels.cpu.spmm_numba import maximum

        out: Tensor = maximum(ptr, rows, x)
        return out
    out = bag_sum(ptr, rows, x)
    return out.div_(_sizes(ptr)) if reduce == "mean" else out


def segment_reduce_backward(
    grad: Tensor, ptr: Tensor, x: Tensor | None, out: Tensor | None, num_rows: int, reduce: str
) -> Tensor:
    """The gradients of gbench/kernels/segment_reduce.py."""
    segment = torch.repeat_interleave(ptr.diff(), output_size=num_rows)  # int32, as ptr is
    if reduce == "max":
        from gbench.kernels.cpu.spmm_numba import maximum_backward

        rows = torch.arange(num_rows + 1, dtype=torch.int32)
        grad_x: Tensor = maximum_backward(grad, ptr, rows[:-1], rows, segment, x, out)
        return grad_x
    if reduce == "mean":
        grad = grad / _sizes(ptr)
    return grad.index_select(0, segment)


def _sizes(ptr: Tensor) -> Tensor:
    """Rows per segment, 1 for an empty one: (B, 1)."""
    return ptr.diff().clamp_(min=1).unsqueeze(1)
