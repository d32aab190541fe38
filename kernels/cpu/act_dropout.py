"""CPU: torch's own parts, and the hash of gbench/kernels/cpu/dropout.py."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.act_dropout import activated
from gbench.kernels.cpu.dropout import dropout


def act_dropout(
    x: Tensor, bias: Tensor | None, seed: Tensor | None, act: str, rate: float
) -> Tensor:
    """The forward of gbench/kernels/act_dropout.py."""
    y = activated(x.clone() if bias is None else x + bias, act).contiguous()
    return y if seed is None else dropout(y, seed, rate)


def act_dropout_backward(
    grad: Tensor, out: Tensor, seed: Tensor | None, act: str, rate: float
) -> Tensor:
    """The gradient of gbench/kernels/act_dropout.py."""
    grad = grad.contiguous() if seed is None else dropout(grad, seed, rate)
    if act == "none":
        return grad.clone()
    below = torch.zeros_like(out) if act == "relu" else out * (1 - rate) + 1
    return grad * torch.where(out <= 0, below, 1)
