"""The mean cross-entropy of some rows of class scores.

    loss = 1/n Σ_t -log softmax(z_t)[y_t] over the targets t that have a label; -100 is none

Gradient: z̄_t = (softmax(z_t) - onehot(y_t)) m_t / n, m_t how often t is among the targets, and 0 of
the other rows. Nothing but n is kept. Where a label is no class the loss is NaN.

On the CPU it is the composition of its parts, which is as fast there (gbench/train/losses.py).

Bytes moved on CUDA, float32: T·C·4 forward, (T + N)·C·4 backward.

Legend: N rows, C classes, T targets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gbench.kernels import library

NO_LABEL = -100  # as in torch.nn.functional.cross_entropy
MAX_CLASSES = 4096  # of a program's tile


def reference(logits: Tensor, y: Tensor, targets: Tensor | None) -> Tensor:
    """The specification."""
    if targets is not None:
        logits, y = logits[targets], y[targets]
    return F.cross_entropy(logits, y)


def cross_entropy(
    logits: Tensor, y: Tensor, targets: Tensor | None = None, count: Tensor | None = None
) -> Tensor:
    """The mean over the rows `targets`, or over all. `count` says how often each row is a target.

    Shapes: logits (N, C), y (N,) int64, targets (T,) int64, count (N,) int32 → ().
    """
    out: Tensor
    out, _ = _CROSS_ENTROPY(logits, y, targets, count)
    return out


def counted(targets: Tensor, num_rows: int) -> Tensor:
    """How often each row is a target. Shapes: targets (T,) → (N,) int32."""
    count = torch.zeros(num_rows, dtype=torch.int32, device=targets.device)
    return count.index_add_(0, targets, torch.ones_like(targets, dtype=torch.int32))


def _fake(
    logits: Tensor, y: Tensor, targets: Tensor | None, count: Tensor | None
) -> tuple[Tensor, Tensor]:
    wide = library.wide(logits.dtype)
    return logits.new_empty((), dtype=wide), logits.new_empty((), dtype=wide)


_CROSS_ENTROPY = library.define(
    "cross_entropy(Tensor logits, Tensor y, Tensor? targets, Tensor? count) -> (Tensor, Tensor)",
    _fake,
)


def _fake_backward(
    logits: Tensor, grad: Tensor, y: Tensor, count: Tensor | None, number: Tensor
) -> Tensor:
    return logits.new_empty(logits.shape)


_BACKWARD = library.define(
    "cross_entropy_backward(Tensor logits, Tensor grad, Tensor y, Tensor? count, Tensor number) "
    "-> Tensor",
    _fake_backward,
    {"grad": library.wide, "number": library.wide},
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, y, _, count = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(logits, y, count, output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    logits, *others = ctx.saved_tensors
    return _BACKWARD(logits, grad, *others), None, None, None


library.differentiate("cross_entropy", _save, _backward)
