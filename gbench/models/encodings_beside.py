"""Positional encodings beside a node's features, as GraphGPS has them.

Legend: N nodes, D dim, K columns of one encoding, P columns that it becomes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.dense import Dense
from gbench.models.encoders import NodeFeatures

EIGENPAIRS = "eigenpairs"


class RawNorm(nn.Module):
    """W batch_norm(p) + b. Shapes: p (N, K) → (N, P)."""

    def __init__(self, columns: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(columns)
        self.linear = Dense(columns, dim)

    def forward(self, pe: Tensor) -> Tensor:
        out: Tensor = self.linear(self.norm(pe))
        return out


class EigenSet(nn.Module):
    """Σ_k relu(W_2 relu(W_1 [v_ik, λ_k] + b_1) + b_2) over the eigenpairs that a graph has.

    Shapes: p (N, 2K), K entries of eigenvectors and K times λ_k + 1, or 0 where there is none, of
    either sign (see gbench/data/encodings/eigenpairs.py) → (N, P).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = Dense(2, 2 * dim)
        self.second = Dense(2 * dim, dim)

    def forward(self, pe: Tensor) -> Tensor:
        vectors, marked = pe.unflatten(1, (2, -1)).unbind(1)
        marked = marked.abs()
        pairs = torch.stack([vectors, marked - 1], 2)
        each = self.second(self.first(pairs).relu()).relu()
        out: Tensor = (each * (marked > 0).to(each.dtype)[:, :, None]).sum(1)
        return out


class EncodingsBeside(nn.Module):
    """[x_i ‖ p_i ‖ …]: features on D - P columns, and P columns of each encoding; 0: D / 4.

    p_i is RawNorm of the encoding's values, or EigenSet of encoding=eigenpairs.

    Shapes: batch.x, batch.pe (N, ΣK) → (N, D).
    Raises UserError where the encodings leave no column for the features.
    """

    uses: ClassVar = ("x_numbers",)

    def __init__(self, spec: DataSpec, dim: int, pe_dim: int) -> None:
        super().__init__()
        parts = spec.encodings
        if sum(columns for _, columns in parts) != spec.pe_dim:  # of a spec that names none
            parts = (("", spec.pe_dim),)
        pe_dim = pe_dim or max(1, dim // 4)
        self.columns = [columns for _, columns in parts]
        left = dim - pe_dim * len(parts)
        if left < 1:
            raise UserError(
                f"model.pe_dim={pe_dim} for each of {len(parts)} encodings leaves no columns of "
                f"model.hidden_dim={dim} for the features: take a smaller model.pe_dim"
            )
        self.features = NodeFeatures(spec, left)
        self.encodings = nn.ModuleList(
            EigenSet(pe_dim) if name == EIGENPAIRS else RawNorm(columns, pe_dim)
            for name, columns in parts
        )

    def forward(self, batch: Batch) -> Tensor:
        x: Tensor = self.features(batch)
        if not self.columns:
            return x
        assert batch.pe is not None
        values = batch.pe.to(x.dtype).split(self.columns, 1)
        beside = [encoding(pe) for encoding, pe in zip(self.encodings, values, strict=True)]
        return torch.cat([x, *beside], 1)
