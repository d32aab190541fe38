"""Sum, average or max consecutive rows: the readout of a batch of graphs, the pooling of patches.

    y_b = Σ, mean or max of x_i over ptr_b ≤ i < ptr_{b+1}      an empty segment gets 0

Gradient: each row receives its segment's gradient (divided by the segment's size for the mean);
among equal maxima it is shared equally.

Bytes moved, float32: N·F·4 read + B·F·4 written, and the reverse in backward.

Legend: N rows, B segments, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import UNKNOWN

REDUCTIONS = ("sum", "mean", "max")


def reference(ptr: Tensor, x: Tensor, reduce: str = "sum") -> Tensor:
    """The specification: scatter each row to its segment."""
    sizes = ptr.diff()
    segment = torch.arange(len(sizes), device=x.device).repeat_interleave(sizes)
    start = -torch.inf if reduce == "max" else 0.0
    kind = "amax" if reduce == "max" else reduce
    out = x.new_full((len(sizes), x.size(1)), start)
    out = out.scatter_reduce(
        0, segment[:, None].expand_as(x), x, kind, include_self=reduce == "max"
    )
    return torch.where(sizes[:, None] > 0, out, 0)


@library.operation("x")
def segment_reduce(
    ptr: Tensor, x: Tensor, reduce: str = "sum", longest: int | None = None
) -> Tensor:
    """Reduce rows ptr[b]:ptr[b + 1] of x to row b: `reduce` is sum, mean or max.

    No segment has more than `longest` rows, if the caller knows it.

    Shapes: ptr (B + 1,) int32, x (N, F) → (B, F).
    Raises ValueError or TypeError on a wrong shape, device, dtype or reduction.
    """
    check.choice("reduce", reduce, REDUCTIONS)
    if ptr.dtype != torch.int32 or ptr.dim() != 1 or ptr.numel() == 0:
        raise TypeError(f"ptr is {ptr.dtype} {tuple(ptr.shape)}: pass int32 of shape (B + 1,)")
    check.features("x", x, x.size(0), ptr.device)
    if not library.has_kernel("segment_reduce", x):
        return reference(ptr, x, reduce)
    out: Tensor = _SEGMENT(ptr, UNKNOWN if longest is None else longest, x, reduce)
    return out


def spread(ptr: Tensor, x: Tensor, num_rows: int) -> Tensor:
    """Row b of x at each of the rows ptr[b]:ptr[b + 1]. It has no gradient of its own.

    Shapes: ptr (B + 1,) int32, x (B, F) → (num_rows, F).
    """
    if x.dtype not in library.FLOATS or not library.has_kernel("segment_reduce", x):
        row = torch.repeat_interleave(ptr.diff(), output_size=num_rows)
        return x.index_select(0, row)
    out: Tensor = _BACKWARD(x.contiguous(), ptr, UNKNOWN, None, None, num_rows, "sum")
    return out


def _fake(ptr: Tensor, longest: int, x: Tensor, reduce: str) -> Tensor:
    return x.new_empty(ptr.size(0) - 1, x.size(1))


_SEGMENT = library.define(
    "segment_reduce(Tensor ptr, int longest, Tensor x, str reduce) -> Tensor", _fake
)


def _fake_backward(
    grad: Tensor,
    ptr: Tensor,
    longest: int,
    x: Tensor | None,
    out: Tensor | None,
    num_rows: int,
    reduce: str,
) -> Tensor:
    return grad.new_empty(num_rows, grad.size(1))


_BACKWARD = library.define(
    "segment_reduce_backward(Tensor grad, Tensor ptr, int longest, Tensor? x, Tensor? out, "
    "SymInt num_rows, str reduce) -> Tensor",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ptr, ctx.longest, x, ctx.reduce = inputs
    ctx.num_rows = x.size(0)
    is_max = ctx.reduce == "max"
    ctx.save_for_backward(ptr, x if is_max else None, output if is_max else None)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    ptr, x, out = ctx.saved_tensors
    grad_x = _BACKWARD(grad, ptr, ctx.longest, x, out, ctx.num_rows, ctx.reduce)
    return None, None, grad_x, None


library.differentiate("segment_reduce", _save, _backward)
