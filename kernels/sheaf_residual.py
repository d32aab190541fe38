"""A step of sheaf diffusion: what stays of the state minus what the Laplacian says.

    y = (1 + tanh ε) x - elu(s)        ε a number for each channel

Gradients: x̄ = (1 + tanh ε) ȳ,  s̄ = -ȳ where s > 0, else -ȳ exp(s),  ε̄ = (1 - tanh² ε) Σ ȳ x. Of s
only elu(s) is kept: exp(s) is that plus 1.

Bytes moved, float32: N·C·F·16 forward, N·C·F·20 backward. As tensor operations it is nine of them.

Legend: N nodes, C channels, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gbench.kernels import library


def reference(x: Tensor, step: Tensor, epsilon: Tensor) -> Tensor:
    """The specification."""
    return (1 + epsilon.tanh()) * x - functional.elu(step)


@library.operation("x", library.FULL)
def sheaf_residual(x: Tensor, step: Tensor, epsilon: Tensor) -> Tensor:
    """(1 + tanh ε) x - elu(step). Shapes: x and step (N, C, F), epsilon (C, 1) → (N, C, F)."""
    if not library.has_kernel("sheaf_residual", x):
        return reference(x, step, epsilon)
    out: Tensor
    out, _ = _RESIDUAL(x, step, epsilon)
    return out


def _fake(x: Tensor, step: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(like)


_RESIDUAL = library.define(
    "sheaf_residual(Tensor x, Tensor step, Tensor epsilon) -> (Tensor, Tensor)",
    _fake,
    types=library.FULL,
)


def _fake_backward(
    grad: Tensor, x: Tensor, epsilon: Tensor, elu: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(like), torch.empty_like(epsilon)


_BACKWARD = library.define(
    "sheaf_residual_backward(Tensor grad, Tensor x, Tensor epsilon, Tensor elu) "
    "-> (Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(inputs[0], inputs[2], output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    grads: tuple[Any, ...] = _BACKWARD(grad, *ctx.saved_tensors)
    return grads


library.differentiate("sheaf_residual", _save, _backward)
