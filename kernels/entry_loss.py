"""The mean of an elementwise loss over the entries that have a label.

    loss = 1/n Σ_ik w_i ℓ(x_ik, y_ik) over the entries with y_ik ≠ NaN,  n = Σ_ik w_i, at least 1

with w_i how often row i is a target, 1 without targets, and ℓ one of

    bce       (1 - y) x - log σ(x)                     l1        |x - y|
    mse       (x - y)²                                 quantile  max(q (y - x), (q - 1) (y - x))
    huber     (x - y)² / 2 to |x - y| = δ, δ (|x - y| - δ / 2) beyond

Of pairs of nodes it is the mean where y > 0 plus the mean of the others.

Gradient: x̄_ik = w_i ℓ'(x_ik, y_ik) / n, 0 without a label. Nothing but n is kept.

On the CPU it is the composition of its parts (gbench/train/losses.py).

Bytes moved on CUDA, float32: 8·N·K forward, 12·N·K backward.

Legend: N rows, K tasks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gbench.kernels import library

KINDS = ("bce", "mse", "l1", "huber", "quantile")


def reference(
    x: Tensor,
    y: Tensor,
    count: Tensor | None,
    kind: str,
    option: float = 0.0,
    pairs: bool = False,
) -> Tensor:
    """The specification."""
    labels = y.nan_to_num().to(x.dtype)
    apart = x - labels
    if kind == "bce":
        terms = F.binary_cross_entropy_with_logits(x, labels, reduction="none")
    elif kind == "huber":
        terms = F.huber_loss(x, labels, reduction="none", delta=option)
    elif kind == "quantile":
        terms = torch.maximum(-option * apart, (1 - option) * apart)
    else:
        terms = apart.square() if kind == "mse" else apart.abs()
    parts = weights(x, y, count, pairs)
    means = [(terms * part).sum() / part.sum().clamp(min=1) for part in parts]
    return means[0] + means[1]


def weights(x: Tensor, y: Tensor, count: Tensor | None, pairs: bool) -> list[Tensor]:
    """How often each entry is in the first mean and, of pairs, in the second. Shapes: (N, K)."""
    weight = (~y.isnan()).to(x.dtype)
    weight = weight if count is None else weight * count[:, None]
    second = (y <= 0) & pairs
    return [weight * ~second, weight * second]


def entry_loss(
    x: Tensor,
    y: Tensor,
    count: Tensor | None,
    kind: str,
    option: float = 0.0,
    pairs: bool = False,
) -> Tensor:
    """The mean loss; `option` is huber's δ or the quantile q, `count` says w.

    Shapes: x (N, K), y (N, K) float32 with NaN for a missing label, count (N,) int32 → ().
    """
    if not library.has_kernel("entry_loss", x):
        return reference(x, y, count, kind, option, pairs)
    out: Tensor
    out, _ = _ENTRY_LOSS(x, y, count, kind, option, pairs)
    return out


def _fake(
    x: Tensor, y: Tensor, count: Tensor | None, kind: str, option: float, pairs: bool
) -> tuple[Tensor, Tensor]:
    wide = library.wide(x.dtype)
    return x.new_empty((), dtype=wide), x.new_empty(2, dtype=wide)


_ENTRY_LOSS = library.define(
    "entry_loss(Tensor x, Tensor y, Tensor? count, str kind, float option, bool pairs) "
    "-> (Tensor, Tensor)",
    _fake,
)


def _fake_backward(
    x: Tensor,
    grad: Tensor,
    number: Tensor,
    y: Tensor,
    count: Tensor | None,
    kind: str,
    option: float,
    pairs: bool,
) -> Tensor:
    return x.new_empty(x.shape)


_BACKWARD = library.define(
    "entry_loss_backward(Tensor x, Tensor grad, Tensor number, Tensor y, Tensor? count, str kind, "
    "float option, bool pairs) -> Tensor",
    _fake_backward,
    {"grad": library.wide, "number": library.wide},
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, y, count, *ctx.how = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, output[1], y, count)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    x, *others = ctx.saved_tensors
    return _BACKWARD(x, grad, *others, *ctx.how), None, None, None, None, None


library.differentiate("entry_loss", _save, _backward)
