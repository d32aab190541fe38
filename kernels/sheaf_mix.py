"""Both weights of a step of sheaf diffusion: y = (I ⊗ W_1) x W_2ᵀ.

W_1 mixes the channels of each node's stalk, W_2 the features of each channel.

Gradients: with g = ȳ W_2,  x̄ = (I ⊗ W_1ᵀ) g,  W̄_1 = Σ_v g_v x_vᵀ,  W̄_2 = ȳᵀ (I ⊗ W_1) x.

Bytes moved, float32: N·C·F·16 forward. As two linear layers the features are transposed twice and
copied, forward and backward, which takes three times as long.

Legend: N nodes, C channels, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import library


def reference(x: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The specification."""
    return torch.einsum("cd,ndf,gf->ncg", left, x, right)


@library.operation("x", library.FULL)
def sheaf_mix(x: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """(I ⊗ W_1) x W_2ᵀ. Shapes: x (N, C, F), left (C, C), right (F, F) → (N, C, F)."""
    if not library.has_kernel("sheaf_mix", x):
        return (left @ x) @ right.t()
    out: Tensor
    out, _ = _MIX(x, left, right)
    return out


def _fake(x: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(like)


_MIX = library.define(
    "sheaf_mix(Tensor x, Tensor left, Tensor right) -> (Tensor, Tensor)", _fake, types=library.FULL
)


def _fake_backward(
    grad: Tensor, x: Tensor, left: Tensor, right: Tensor, mixed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(left), torch.empty_like(right)


_BACKWARD = library.define(
    "sheaf_mix_backward(Tensor grad, Tensor x, Tensor left, Tensor right, Tensor mixed) "
    "-> (Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs, output[1])


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    grads: tuple[Any, ...] = _BACKWARD(grad, *ctx.saved_tensors)
    return grads


library.differentiate("sheaf_mix", _save, _backward)
