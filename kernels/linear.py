"""A dense layer: y = x Wᵀ + b, then max(y, 0) where ReLU is asked for.

Gradients, of ȳ that ReLU has masked by y > 0: x̄ = ȳ W, W̄ = ȳᵀ x, b̄ the sum of ȳ over the rows.

float32 on a CPU: each of the three products goes the way that is faster on this processor, torch's
own (MKL on most) or oneDNN's by way of a convolution, which gbench/kernels/cpu/ways.py finds out.
Under autocast to bfloat16 they are torch's, on rows that are padded to a number that comes again,
or of the same numbers in float32, where that is faster: see gbench/kernels/cpu/linear.py. All else
is torch's `F.linear`: small products, other types, `trainer.matmul` other than highest, a GPU, and
whatever traces, transforms or exports.

Bytes moved, float32: N·I·4 + O·I·4 read and N·O·4 written forward, twice that backward; but it is
the 2·N·I·O operations of each product that take the time.

Legend: N rows, I features in, O out.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gbench.kernels import torch_private
from gbench.kernels.library import ORDINARY

LEAST = 1 << 22  # multiplications, below which a product is over before a question is answered


def reference(x: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """The specification."""
    out = F.linear(x, weight, bias)
    return out.relu() if relu else out


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """The product with the weights' transpose, plus the bias, through ReLU where that is asked for.

    Shapes: x (..., I), weight (O, I), bias (O,) → (..., O).
    """
    # What traces must not see a size compared: it would become a condition.
    if (
        torch.compiler.is_compiling()
        or torch_private.is_jit_tracing()
        or x.numel() * weight.size(0) < LEAST
        or not _is_plain(x, weight, bias)
    ):
        return reference(x, weight, bias, relu)
    from gbench.kernels.cpu import ways

    inputs, outputs = x.size(-1), weight.size(0)
    rows = x.numel() // inputs
    if torch.is_autocast_enabled("cpu"):
        is_bfloat16 = torch.get_autocast_dtype("cpu") is torch.bfloat16
        chosen = ways.ways_of(rows, inputs, outputs, "bfloat16") if is_bfloat16 else ways.PLAIN
    elif x.dtype is torch.float32 and torch.get_float32_matmul_precision() == "highest":
        chosen = ways.ways_of(rows, inputs, outputs)
    else:
        chosen = ways.PLAIN
    if chosen == ways.PLAIN:
        return reference(x, weight, bias, relu)
    flat = x if x.dim() == 2 else x.reshape(-1, inputs)
    out: Tensor = _Linear.apply(flat, weight, bias, relu, chosen)  # type: ignore[no-untyped-call]
    return out if x.dim() == 2 else out.view(*x.shape[:-1], outputs)


def _is_plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether there is nothing but ordinary matrices on a CPU, with parameters of float32."""
    return (
        x.is_cpu
        and x.dtype in (torch.float32, torch.bfloat16)
        and weight.dtype is torch.float32
        and x.size(-1) == weight.size(1)
        and (bias is None or (bias.dtype is torch.float32 and bias.numel() == weight.size(0)))
        and type(x) in ORDINARY
        and type(weight) in ORDINARY
        and not torch_private.is_traced()
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool, chosen: Any
    ) -> Tensor:
        from gbench.kernels.cpu import linear as products

        with torch.autocast("cpu", enabled=False):
            ctx.rounded = products.rounded(weight, chosen.forward)
            # .data, for autograd forbids to change a view that is made here in place
            out = products.forward(x, ctx.rounded, bias, chosen.forward).data
        if relu:
            out.relu_()
        ctx.ways = chosen
        ctx.save_for_backward(x, weight, out if relu else None)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast("cpu", enabled=False):  # backward() may have been called under it
            return _gradients(ctx, grad)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    from gbench.kernels.cpu import linear as products
    from gbench.kernels.cpu.ways import BFLOAT16, PLAIN

    x, weight, out = ctx.saved_tensors
    ways, given = ctx.ways, (x.dtype, weight.dtype)
    if torch.is_grad_enabled():  # a second derivative is taken of torch's own operations
        ways, x, weight = PLAIN, x.to(grad.dtype), weight.to(grad.dtype)
    else:
        weight = ctx.rounded
    if out is not None:
        grad = grad.masked_fill(out <= 0, 0)  # in this order a NaN lets its gradient through
    if BFLOAT16 in (ways.grad_x, ways.grad_weight):  # once for both
        grad = products.padded(grad, torch.bfloat16)
    needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
    grad_x = grad_weight = grad_bias = None
    if needs_x:
        grad_x = products.grad_x(grad, weight, ways.grad_x)[: x.size(0)].to(given[0])
    if needs_weight:
        grad_weight = products.grad_weight(grad, x, ways.grad_weight).to(given[1])
    if needs_bias:
        grad_bias = grad.sum(0).to(given[1])
    return grad_x, grad_weight, grad_bias, None, None
