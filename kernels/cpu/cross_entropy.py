"""CPU: torch's own parts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gbench.kernels.cross_entropy import NO_LABEL


def cross_entropy(
    logits: Tensor, y: Tensor, targets: Tensor | None, count: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/cross_entropy.py."""
    if targets is not None:
        logits, y = logits[targets], y[targets]
    wide = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits.to(wide), y), (y != NO_LABEL).sum().to(wide)


def cross_entropy_backward(
    logits: Tensor, grad: Tensor, y: Tensor, count: Tensor | None, number: Tensor
) -> Tensor:
    """The gradient of gbench/kernels/cross_entropy.py."""
    times = torch.ones_like(y) if count is None else count
    times = (times * (y != NO_LABEL)).to(number.dtype)[:, None]
    apart = logits.to(number.dtype).softmax(1) - F.one_hot(y.clamp(min=0), logits.size(1))
    return (grad / number * times * apart).to(logits.dtype)
