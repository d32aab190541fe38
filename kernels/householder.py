"""Orthogonal matrices from Householder reflections, many small ones at a time.

    Q = H_1 H_2 … H_d,   H_k = I - τ_k v_k v_kᵀ,   τ_k = 2 / ‖v_k‖²

v_k is column k of the unit lower triangular matrix whose strict lower triangle the parameters fill,
row by row. v_d is the last basis vector, so that det Q = (-1)^d whatever they are.

Gradient: with G_k = H_{k-1} … H_1 Q̄, R_k = H_{k+1} … H_d and M = G_k R_kᵀ,
    v̄_k = τ_k² (v_kᵀ M v_k) v_k - τ_k (M + Mᵀ) v_k
from the parameters and Q alone (R_0 = Q, R_k = H_k R_{k-1}); M is never formed.

Bytes moved, float32: E·(P + d²)·4 forward, E·(2P + 2d²)·4 backward. As tensor operations, a handful
for each reflection, it takes ten times as long for 63,000 matrices of 3 × 3.

Legend: E matrices, d their size (S in shapes), P = d (d - 1) / 2 parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import library


def reference(parameters: Tensor, size: int) -> Tensor:
    """The specification: one reflection after the other, from the right."""
    row, col = torch.tril_indices(size, size, -1, device=parameters.device)
    eye = torch.eye(size, dtype=parameters.dtype, device=parameters.device)
    lower = eye.repeat(parameters.size(0), 1, 1)
    lower[:, row, col] = parameters
    q = eye.expand_as(lower)
    for k in reversed(range(size)):
        v = lower[:, :, k : k + 1]
        q = q - 2 / v.square().sum(1, keepdim=True) * v * (v * q).sum(1, keepdim=True)
    return q


@library.operation("parameters", library.FULL)
def householder(parameters: Tensor, size: int) -> Tensor:
    """The product of `size` reflections for each row of parameters.

    Shapes: parameters (E, P) → (E, S, S) with S = size and P = S (S - 1) / 2.
    Raises ValueError or TypeError on a wrong shape or dtype.
    """
    if parameters.dim() != 2 or parameters.size(1) != size * (size - 1) // 2:
        wanted = size * (size - 1) // 2
        raise ValueError(
            f"parameters has shape {tuple(parameters.shape)}: it should be (E, {wanted}) "
            f"for matrices of {size} × {size}"
        )
    if parameters.dtype not in library.FULL:
        raise TypeError(f"parameters is {parameters.dtype}: pass {library.names_of(library.FULL)}")
    if not library.has_kernel("householder", parameters):
        return reference(parameters, size)
    out: Tensor = _HOUSEHOLDER(parameters, size)
    return out


def _fake(parameters: Tensor, size: int) -> Tensor:
    return parameters.new_empty(parameters.size(0), size, size)


_HOUSEHOLDER = library.define(
    "householder(Tensor parameters, SymInt size) -> Tensor", _fake, types=library.FULL
)


def _fake_backward(grad: Tensor, parameters: Tensor, q: Tensor) -> Tensor:
    return torch.empty_like(parameters, memory_format=torch.contiguous_format)


_BACKWARD = library.define(
    "householder_backward(Tensor grad, Tensor parameters, Tensor q) -> Tensor",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return _BACKWARD(grad, *ctx.saved_tensors), None


library.differentiate("householder", _save, _backward)
