"""CPU: LAPACK's eigendecomposition, 1 µs for a 3 × 3 block, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_sqrt(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The forward of gbench/kernels/inverse_sqrt.py, with eigenvalues and eigenvectors."""
    values, vectors = torch.linalg.eigh(blocks.detach().double())
    root = (vectors * values.rsqrt()[:, None, :]) @ vectors.mT
    return root.to(blocks.dtype), values, vectors.contiguous()  # LAPACK leaves columns together


def inverse_sqrt_backward(grad: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    """The gradient of gbench/kernels/inverse_sqrt.py."""
    root = values.sqrt()
    row, column = root[:, :, None], root[:, None, :]
    slope = -1 / (row * column * (row + column))
    inner = vectors.mT @ grad.detach().double() @ vectors
    return (vectors @ (slope * inner) @ vectors.mT).to(grad.dtype)
