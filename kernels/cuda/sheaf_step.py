"""CUDA: the kernels of sheaf_residual, which draw while they hold the numbers."""

from __future__ import annotations

from torch import Tensor

from gbench.kernels.cuda.sheaf_residual import backward, forward


def sheaf_step(
    x: Tensor,
    step: Tensor,
    epsilon: Tensor,
    seed: Tensor | None,
    other_seed: Tensor,
    rate: float,
    sums: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/sheaf_step.py, with elu(step)."""
    dropped = x.new_empty(x.shape)
    seen = x.new_empty(0)
    if seed is not None:
        seen = x.new_empty(x.size(0), x.size(2)) if sums else x.new_empty(x.shape)
    draws = (seed, other_seed, seen, dropped)
    out, elu = forward(x, step, epsilon, *draws, rate, sums)
    return out, elu, seen, dropped


def sheaf_step_backward(
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
    """The gradients of gbench/kernels/sheaf_step.py."""
    grads = (grad, grad_seen if seed is not None else None, grad_dropped)
    return backward(*grads, x, epsilon, elu, seed, other_seed, rate, sums)
