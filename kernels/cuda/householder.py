"""CUDA: a tile of matrices per program, in registers; each reflection is two sums over a tile."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2

ELEMENTS = 256  # of all matrices of a tile: eight for each thread of a warp


def householder(parameters: Tensor, size: int) -> Tensor:
    """The forward of gbench/kernels/householder.py."""
    out = parameters.new_empty(parameters.size(0), size, size)
    if out.numel():
        _launch(_forward, out, parameters.contiguous(), out)
    return out


def householder_backward(grad: Tensor, parameters: Tensor, q: Tensor) -> Tensor:
    """The gradient of gbench/kernels/householder.py."""
    out = parameters.new_empty(parameters.shape)
    if out.numel():
        _launch(_backward, q, grad.contiguous(), parameters.contiguous(), q.contiguous(), out)
    return out


def _launch(function: triton.JITFunction, like: Tensor, *args: Tensor) -> None:
    """Call function(*args, number of matrices, tile sizes) for like's matrices."""
    count, size, _ = like.shape
    padded = power_of_2(size)
    tile = max(1, ELEMENTS // padded**2)
    sizes = {"SIZE": size, "PADDED": padded, "TILE": tile, "num_warps": 1}
    launch(function, (cdiv(count, tile),), *args, count, **sizes)


@triton.jit
def _vector(
    parameters: tl.tensor,
    matrix: tl.tensor,
    here: tl.tensor,
    i: tl.tensor,
    k: tl.constexpr,
    SIZE: tl.constexpr,
) -> tl.tensor:
    """Column k of the unit lower triangular matrices (TILE, PADDED), and τ (TILE,)."""
    place = matrix[:, None] * (SIZE * (SIZE - 1) // 2) + (i * (i - 1) // 2 + k)[None, :]
    below = here[:, None] & ((i > k) & (i < SIZE))[None, :]
    v = tl.load(parameters + place, mask=below, other=0.0)
    v = tl.where((i == k)[None, :], 1.0, v).to(v.dtype)
    return v, 2.0 / tl.sum(v * v, 1)


@triton.jit
def _reflected(q: tl.tensor, v: tl.tensor, tau: tl.tensor) -> tl.tensor:
    """(I - τ v vᵀ) q of each matrix."""
    inner = tl.sum(v[:, :, None] * q, 1)
    return q - (tau[:, None] * v)[:, :, None] * inner[:, None, :]


@kernel
def _forward(
    parameters: tl.tensor,
    out: tl.tensor,
    num_matrices: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    matrix = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    here, i = matrix < num_matrices, tl.arange(0, PADDED)
    q = tl.where((i[:, None] == i[None, :])[None, :, :], 1.0, 0.0).to(out.dtype.element_ty)
    q += tl.zeros([TILE, PADDED, PADDED], q.dtype)
    for back in tl.static_range(SIZE):
        v, tau = _vector(parameters, matrix, here, i, SIZE - 1 - back, SIZE)
        q = _reflected(q, v, tau)
    place = matrix[:, None, None] * (SIZE * SIZE) + i[None, :, None] * SIZE + i[None, None, :]
    inside = (i < SIZE)[None, :, None] & (i < SIZE)[None, None, :]
    tl.store(out + place, q, mask=here[:, None, None] & inside)


@kernel
def _backward(
    grad: tl.tensor,
    parameters: tl.tensor,
    q: tl.tensor,
    out: tl.tensor,
    num_matrices: tl.tensor,
    SIZE: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    matrix = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    here, i = matrix < num_matrices, tl.arange(0, PADDED)
    place = matrix[:, None, None] * (SIZE * SIZE) + i[None, :, None] * SIZE + i[None, None, :]
    inside = here[:, None, None] & (i < SIZE)[None, :, None] & (i < SIZE)[None, None, :]
    left = tl.load(grad + place, mask=inside, other=0.0)
    right = tl.load(q + place, mask=inside, other=0.0)
    for k in tl.static_range(SIZE - 1):
        v, tau = _vector(parameters, matrix, here, i, k, SIZE)
        right = _reflected(right, v, tau)
        from_right = tl.sum(v[:, :, None] * right, 1)
        from_left = tl.sum(v[:, :, None] * left, 1)
        inner = tl.sum(from_left * from_right, 1)
        both = tl.sum(left * from_right[:, None, :] + right * from_left[:, None, :], 2)
        value = tau[:, None] * ((tau * inner)[:, None] * v - both)
        slot = matrix[:, None] * (SIZE * (SIZE - 1) // 2) + (i * (i - 1) // 2 + k)[None, :]
        tl.store(out + slot, value, mask=here[:, None] & ((i > k) & (i < SIZE))[None, :])
        left = _reflected(left, v, tau)
