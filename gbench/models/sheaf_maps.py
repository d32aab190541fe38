"""Restriction maps from what a sheaf learner says of each edge: diagonal, orthogonal or general.

Orthogonal maps come in the four parametrisations of Bodnar et al. (NeurIPS 2022): all are rotations
but Householder's, whose determinant is (-1)^d.

Legend: E entries (each end of each edge), d stalk dimension (S in shapes), P parameters of a map.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gbench.errors import UserError
from gbench.kernels.householder import householder


def num_parameters(maps: str, orthogonal: str, stalk_dim: int) -> int:
    """How many numbers one map takes.

    Raises UserError for general maps of stalk dimension 1 and Euler angles beyond dimension 3.
    """
    d = stalk_dim
    if maps == "diagonal":
        return d
    if maps == "general":
        if d == 1:
            raise UserError(
                "model.stalk_dim=1: a general map is then a number; take model.maps=diagonal"
            )
        return d * d
    if orthogonal == "euler" and d not in (2, 3):
        raise UserError(
            f"model.stalk_dim={d}: Euler angles are for 2 or 3; take model.orthogonal=householder"
        )
    if d == 1:
        return 0  # ±1, and signs cancel: the graph's own Laplacian
    if orthogonal in ("cayley", "matrix_exp"):
        return d * (d + 1) // 2  # the authors count a diagonal, which cancels
    return d * (d - 1) // 2


def restriction_maps(parameters: Tensor, maps: str, orthogonal: str, stalk_dim: int) -> Tensor:
    """The map at each end of each edge.

    Shapes: parameters (E, P) → (E, S), diagonal, or (E, S, S).
    """
    if maps == "diagonal":
        return parameters
    if maps == "general":
        return parameters.view(-1, stalk_dim, stalk_dim)
    if orthogonal == "euler":
        return rotation(2 * math.pi * parameters)
    if orthogonal == "householder":
        return householder(parameters, stalk_dim)
    a = skew(parameters, stalk_dim)
    return cayley(a) if orthogonal == "cayley" else torch.matrix_exp(a)


def skew(parameters: Tensor, stalk_dim: int) -> Tensor:
    """A = L - Lᵀ with L lower triangular, filled row by row. Shapes: (E, P) → (E, S, S)."""
    row, col = torch.tril_indices(stalk_dim, stalk_dim, device=parameters.device)
    flat = parameters.new_zeros(parameters.size(0), stalk_dim * stalk_dim)
    lower = flat.index_copy(1, row * stalk_dim + col, parameters)
    lower = lower.view(-1, stalk_dim, stalk_dim)
    return lower - lower.mT


def cayley(a: Tensor) -> Tensor:
    """(I - A/2)^-1 (I + A/2), a rotation as A is skew. Shapes: (E, S, S) → (E, S, S)."""
    eye = torch.eye(a.size(1), dtype=a.dtype, device=a.device)
    out: Tensor = torch.linalg.solve(eye - a / 2, eye + a / 2)
    return out


def rotation(angles: Tensor) -> Tensor:
    """The rotation of the plane by an angle, or R_z(α) R_y(β) R_x(γ) of space.

    Shapes: angles (E, 1) → (E, 2, 2), or (E, 3) → (E, 3, 3).
    """
    sin, cos = angles.sin().unbind(1), angles.cos().unbind(1)
    if len(sin) == 1:
        return _matrix([[cos[0], -sin[0]], [sin[0], cos[0]]])
    (sin_a, sin_b, sin_c), (cos_a, cos_b, cos_c) = sin, cos
    return _matrix(
        [
            [
                cos_a * cos_b,
                cos_a * sin_b * sin_c - sin_a * cos_c,
                cos_a * sin_b * cos_c + sin_a * sin_c,
            ],
            [
                sin_a * cos_b,
                sin_a * sin_b * sin_c + cos_a * cos_c,
                sin_a * sin_b * cos_c - cos_a * sin_c,
            ],
            [-sin_b, cos_b * sin_c, cos_b * cos_c],
        ]
    )


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    """Shapes: each element (E,) → (E, S, S)."""
    return torch.stack([torch.stack(row, 1) for row in rows], 1)
