"""Bias, activation and dropout in one operation: what stands between two layers without a norm.

    y = dropout(act(x + b)),    act ReLU, ELU or nothing

The draws are those of gbench/kernels/dropout.py. Gradient: x̄ = act'(x + b) · dropout of ȳ with the
same draws, and b̄ its sum over the rows. Only y is kept: where an element was kept y tells its
activation, and that the derivative, 1 above 0 and 0 (ReLU) or act + 1 (ELU) elsewhere.

On the CPU ELU, and ReLU with dropout, are one operation; else the composition of its parts is as
fast.

Bytes moved, float32: 8 for each element forward, 12 backward.

Legend: N rows, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gbench.kernels import check, library
from gbench.kernels.dropout import dropout
from gbench.kernels.dropout import reference as dropout_reference
from gbench.kernels.seeds import seed_on

ACTIVATIONS = ("none", "relu", "elu")


def reference(x: Tensor, bias: Tensor | None, seed: Tensor | None, act: str, rate: float) -> Tensor:
    """The specification."""
    y = activated(x if bias is None else x + bias, act)
    return y if seed is None else dropout_reference(y, seed, rate)


def activated(x: Tensor, act: str) -> Tensor:
    """act(x)."""
    if act == "none":
        return x
    return F.relu(x) if act == "relu" else F.elu(x)


def act_dropout(
    x: Tensor, bias: Tensor | None = None, *, act: str = "relu", rate: float = 0.0
) -> Tensor:
    """Add the bias, apply `act` (none, relu or elu) and drop with probability `rate`.

    Shapes: x (N, F), bias (F,) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device, dtype or activation.
    """
    check.choice("act", act, ACTIVATIONS)
    if x.is_cuda or act == "elu":
        return _in_one(x, bias, act, rate)
    x = x if bias is None else x + bias
    if act == "relu" and rate:
        return _in_one(x, None, act, rate)
    y = activated(x, act)
    return dropout(y, rate) if rate else y


@library.operation("x")
def _in_one(x: Tensor, bias: Tensor | None, act: str, rate: float) -> Tensor:
    if bias is not None:
        check.beside("bias", bias, (x.size(-1),), x)
    if bias is None and act == "none" and not rate:
        return x
    out: Tensor = _ACT_DROPOUT(x, bias, seed_on(x.device) if rate else None, act, rate)
    return out


def _fake(x: Tensor, bias: Tensor | None, seed: Tensor | None, act: str, rate: float) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_ACT_DROPOUT = library.define(
    "act_dropout(Tensor x, Tensor? bias, Tensor? seed, str act, float rate) -> Tensor", _fake
)


def _fake_backward(grad: Tensor, out: Tensor, seed: Tensor | None, act: str, rate: float) -> Tensor:
    return torch.empty_like(grad, memory_format=torch.contiguous_format)


_BACKWARD = library.define(
    "act_dropout_backward(Tensor grad, Tensor out, Tensor? seed, str act, float rate) -> Tensor",
    _fake_backward,
)


def before_act(grad: Tensor, out: Tensor, seed: Tensor | None, act: str, rate: float) -> Tensor:
    """The gradient of what act_dropout was given, by that of its output `out`."""
    grad_x: Tensor = _BACKWARD(grad, out, seed, act, rate)
    return grad_x


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, _, seed, ctx.act, ctx.rate = inputs
    ctx.save_for_backward(output, seed)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    needs_x, needs_bias = ctx.needs_input_grad[:2]
    out, seed = ctx.saved_tensors
    grad_x = before_act(grad, out, seed, ctx.act, ctx.rate)
    return grad_x if needs_x else None, grad_x.sum(0) if needs_bias else None, None, None, None


library.differentiate("act_dropout", _save, _backward)
