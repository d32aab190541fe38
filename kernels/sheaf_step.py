"""A step of sheaf diffusion with what the next layer takes of its result, as one operation.

    y = (1 + tanh ε) x - elu(s)        seen = drop(y)        dropped = drop(y)        (other draws)

A layer looks at `seen` to learn its sheaf and sends `dropped` through the Laplacian. With `sums`
the learner wants Σ_c seen_c of the channels alone.

Gradients: those of `sheaf_residual` with ȳ + drop(s̄een) + drop(d̄ropped) in place of ȳ, by the same
draws. For the GPU, where launches count: a composition stands in on the CPU.

Bytes moved, float32: N·C·F·24 forward, N·C·F·28 backward. As operations it is three of them each
way, and two sums of gradients.

Legend: N nodes, C channels, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import library
from gbench.kernels.dropout import dropout
from gbench.kernels.seeds import seed_on
from gbench.kernels.sheaf_residual import sheaf_residual


def reference(
    x: Tensor,
    step: Tensor,
    epsilon: Tensor,
    rate: float,
    draw: Any,
    *,
    looks: bool = True,
    sums: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """The specification, with `draw` for dropout."""
    from gbench.kernels.sheaf_residual import reference as residual

    y = residual(x, step, epsilon)
    seen = draw(y, rate) if looks else None
    return y, seen.sum(1) if seen is not None and sums else seen, draw(y, rate)


@library.operation("x", library.FULL)
def sheaf_step(
    x: Tensor,
    step: Tensor,
    epsilon: Tensor,
    rate: float,
    *,
    looks: bool = True,
    sums: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """(1 + tanh ε) x - elu(step), and two of it under dropout; `looks` asks for the first of them.

    Shapes: x and step (N, C, F), epsilon (C, 1) → (N, C, F), seen (N, C, F), or (N, F) with `sums`,
    or None; and (N, C, F).
    """
    if not library.has_kernel("sheaf_step", x):
        y = sheaf_residual(x, step, epsilon)
        seen = dropout(y, rate) if looks else None
        return y, seen.sum(1) if seen is not None and sums else seen, dropout(y, rate)
    seed = seed_on(x.device) if looks else None
    y, _, seen, dropped = _STEP(x, step, epsilon, seed, seed_on(x.device), rate, sums)
    return y, seen if looks else None, dropped


def _fake(
    x: Tensor,
    step: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    other_seed: Tensor,
    rate: float,
    sums: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    if seed is None:
        seen = x.new_empty(0)
    else:
        seen = x.new_empty(x.size(0), x.size(2)) if sums else torch.empty_like(like)
    return like, torch.empty_like(like), seen, torch.empty_like(like)


_STEP = library.define(
    "sheaf_step(Tensor x, Tensor step, Tensor epsilon, Tensor? seed, Tensor other_seed, "
    "float rate, bool sums) -> (Tensor, Tensor, Tensor, Tensor)",
    _fake,
    types=library.FULL,
)


def _fake_backward(
    x: Tensor,
    grad: Tensor | None,
    grad_seen: Tensor | None,
    grad_dropped: Tensor | None,
    epsilon: Tensor,
    elu: Tensor,
    seed: Tensor | None,
    other_seed: Tensor,
    rate: float,
    sums: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(like), torch.empty_like(epsilon)


_BACKWARD = library.define(
    "sheaf_step_backward(Tensor x, Tensor? grad, Tensor? grad_seen, Tensor? grad_dropped, "
    "Tensor epsilon, Tensor elu, Tensor? seed, Tensor other_seed, float rate, bool sums) "
    "-> (Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, _, epsilon, seed, other_seed, ctx.rate, ctx.sums = inputs
    ctx.mark_non_differentiable(*output[1 : 2 if seed is not None else 3])
    ctx.save_for_backward(x, epsilon, output[1], seed, other_seed)


def _backward(ctx: Any, grad: Tensor, _: Tensor, *others: Tensor) -> tuple[Any, ...]:
    x, *saved = ctx.saved_tensors
    grads: tuple[Any, ...] = _BACKWARD(x, grad, *others, *saved, ctx.rate, ctx.sums)
    return *grads, None, None, None, None


library.differentiate("sheaf_step", _save, _backward)
