"""CPU: torch's own parts."""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.kernels.entry_loss import reference, weights


def entry_loss(
    x: Tensor, y: Tensor, count: Tensor | None, kind: str, option: float, pairs: bool
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/entry_loss.py."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    number = torch.stack([part.sum() for part in weights(x, y, count, pairs)]).clamp(min=1)
    return reference(x, y, count, kind, option, pairs), number


def entry_loss_backward(
    x: Tensor,
    grad: Tensor,
    number: Tensor,
    y: Tensor,
    count: Tensor | None,
    kind: str,
    option: float,
    pairs: bool,
) -> Tensor:
    """The gradient of gbench/kernels/entry_loss.py."""
    value = x.to(number.dtype)
    labels = y.nan_to_num().to(number.dtype)
    apart = value - labels
    parts = weights(value, y, count, pairs)
    weight = parts[0] / number[0] + parts[1] / number[1]
    return (grad * weight * _slope(kind, value, apart, labels, option)).to(x.dtype)


def _slope(kind: str, value: Tensor, apart: Tensor, labels: Tensor, option: float) -> Tensor:
    if kind == "bce":
        return value.sigmoid() - labels
    if kind == "mse":
        return 2 * apart
    if kind == "huber":
        return apart.clamp(-option, option)
    return apart.sign() if kind == "l1" else (apart.sign() + 1) / 2 - option
