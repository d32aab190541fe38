"""Add a row of its own to each run of consecutive rows: what a virtual node says to its graph.

    y_i = x_i + v_b   for ptr_b ≤ i < ptr_{b+1}      v̄_b = Σ ȳ_i over the segment, x̄ = ȳ

An index of v per row would do, but the gradient of indexing adds in any order on a GPU.

Bytes moved, float32: 2 N·F·4 + B·F·4 forward, N·F·4 + B·F·4 backward.

Legend: N rows, B segments, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library


def reference(ptr: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """The specification: the segment of each row, and its row of v."""
    sizes = ptr.diff()
    segment = torch.arange(len(sizes), device=x.device).repeat_interleave(
        sizes, output_size=x.size(0)
    )
    return x + v[segment]


@library.operation("x")
def segment_add(ptr: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """Add v[b] to the rows ptr[b]:ptr[b + 1] of x.

    Shapes: ptr (B + 1,) int32, x (N, F), v (B, F) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    if ptr.dtype != torch.int32 or ptr.dim() != 1 or ptr.numel() == 0:
        raise TypeError(f"ptr is {ptr.dtype} {tuple(ptr.shape)}: pass int32 of shape (B + 1,)")
    check.features("x", x, x.size(0), ptr.device)
    check.beside("v", v, (ptr.numel() - 1, x.size(1)), x)
    if not library.has_kernel("segment_add", x):
        return reference(ptr, x, v)
    out: Tensor = _ADD(ptr, x, v)
    return out


def _fake(ptr: Tensor, x: Tensor, v: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_ADD = library.define("segment_add(Tensor ptr, Tensor x, Tensor v) -> Tensor", _fake)


def _fake_backward(grad: Tensor, ptr: Tensor) -> Tensor:
    return grad.new_empty(ptr.size(0) - 1, grad.size(1))


_BACKWARD = library.define(
    "segment_add_backward(Tensor grad, Tensor ptr) -> Tensor", _fake_backward
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (ptr,) = ctx.saved_tensors
    return None, grad, _BACKWARD(grad, ptr) if ctx.needs_input_grad[2] else None


library.differentiate("segment_add", _save, _backward)
