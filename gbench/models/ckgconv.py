"""CKGConv: Ma et al., "CKGConv: General Graph Convolution with Continuous Kernels", ICML 2024.

Legend: N nodes, P = Σ n² pairs, K values of a pair, D hidden_dim, B graphs, C outputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import pair_conv
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import NodeFeatures
from gbench.models.graph_head import GraphHead
from gbench.models.norm_act import NormAct
from gbench.models.pair_features import (
    EdgesOnPairs,
    own_values,
    pair_values,
    pairs_of,
)
from gbench.models.readout import Readout


def norm(dim: int) -> NormAct:
    """Batch norm alone."""
    return NormAct(dim, norm=True, relu=False, dropout=0.0)


def small_linear(in_dim: int, out_dim: int) -> Dense:
    """A linear layer whose weights start truncated-normal with σ = 0.02."""
    linear = Dense(in_dim, out_dim)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    return linear


class PairStem(nn.Module):
    """p_ij = BN(W v + e_ij), v = BN(n w_ij), or γ ⊙ BN(n w_ij) + β where `affine` starts γ at 0.1.

    w_ij are the pair's values (RRWP: I, M, ..., M^k) and n the nodes of i's graph: means over them
    become sums. That BN has weights of its own only without `affine`.

    Shapes: batch.pairs (P, K) → (P, D).
    """

    def __init__(self, spec: DataSpec, dim: int, *, affine: bool) -> None:
        super().__init__()
        self.raw_norm = nn.BatchNorm1d(spec.pair_dim, affine=not affine)
        self.scale = nn.Parameter(torch.full((spec.pair_dim,), 0.1)) if affine else None
        self.shift = nn.Parameter(torch.zeros(spec.pair_dim)) if affine else None
        self.linear = Dense(spec.pair_dim, dim, bias=False)
        nn.init.xavier_normal_(self.linear.weight)
        self.edges = EdgesOnPairs(spec, dim)
        self.norm = norm(dim)

    def forward(self, batch: Batch) -> Tensor:
        values, pairs = pair_values(batch), pairs_of(batch)
        sizes = pairs.sizes.index_select(0, pairs.receivers(values.size(0)))
        v: Tensor = self.raw_norm(values * sizes[:, None].to(values.dtype))
        if self.scale is not None and self.shift is not None:
            v = self.scale * v + self.shift
        out: Tensor = self.norm(self.edges(batch, self.linear(v)))
        return out


class NodeStem(nn.Module):
    """h_i = BN(x_i + W BN([w_ii | pe_i])), w_ii without its first value, which RRWP has 1 for all.

    Shapes: → (N, D).
    """

    def __init__(self, spec: DataSpec, dim: int) -> None:
        super().__init__()
        self.features = NodeFeatures(spec, dim)
        self.skipped = int(spec.pair_dim > 1)
        width = spec.pair_dim - self.skipped + spec.pe_dim
        self.raw_norm = norm(width)
        self.linear = Dense(width, dim, bias=False)
        self.norm = norm(dim)

    def forward(self, batch: Batch) -> Tensor:
        own = own_values(batch)[:, self.skipped :]
        if batch.pe is not None:
            own = torch.cat([own, batch.pe], 1)
        out: Tensor = self.norm(self.features(batch) + self.linear(self.raw_norm(own)))
        return out


class KernelMLP(nn.Module):
    """ψ = W BN(p), after blocks p ← p + drop(W' gelu(BN(W gelu(BN(p))))).

    Shapes: p (P, D) → (P, D).
    """

    def __init__(self, dim: int, *, num_blocks: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleList([norm(dim), small_linear(dim, dim), norm(dim), small_linear(dim, dim)])
            for _ in range(num_blocks)
        )
        self.norm = norm(dim)
        self.linear = small_linear(dim, dim)
        self.dropout = dropout

    def forward(self, p: Tensor) -> Tensor:
        for block in self.blocks:
            assert isinstance(block, nn.ModuleList)
            first_norm, first, second_norm, second = block
            told = second(gelu(second_norm(first(gelu(first_norm(p))))))
            p = p + dropout(told, self.dropout, self.training)
        out: Tensor = self.linear(self.norm(p))
        return out


class DegreeScaler(nn.Module):
    """θ₁ ⊙ x_i + s(deg_i) θ₂ ⊙ x_i, of the degree in the graph and not among all pairs.

    Shapes: x (N, D), s (N,) → (N, D).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, dim, 2))
        nn.init.xavier_normal_(self.weight)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        own, of_degree = self.weight[0].unbind(1)
        return x * (own + scale[:, None] * of_degree)


class CKGLayer(nn.Module):
    """c_i = 1/n Σ_j drop(ψ_ij) ⊙ h_j;  h ← BN(h + drop(O s(c)));  h ← BN(h + drop(W' gelu(W h))).

    ψ is this layer's KernelMLP of the pairs, which it leaves as they are; s is the DegreeScaler by
    √deg. The inner width of the last is 2 D.

    Shapes: h (N, D), p (P, D) → (N, D).
    """

    def __init__(
        self,
        dim: int,
        *,
        num_blocks: int,
        dropout: float,
        kernel_dropout: float,
        mlp_dropout: float,
    ) -> None:
        super().__init__()
        self.kernel = KernelMLP(dim, num_blocks=num_blocks, dropout=mlp_dropout)
        self.scaler = DegreeScaler(dim)
        self.output = Dense(dim, dim)
        nn.init.xavier_normal_(self.output.weight)
        self.first_norm, self.second_norm = norm(dim), norm(dim)
        self.first = small_linear(dim, 2 * dim)
        self.second = small_linear(2 * dim, dim)
        self.rates = (dropout, kernel_dropout)

    def forward(self, batch: Batch, h: Tensor, p: Tensor) -> Tensor:
        rate, kernel_rate = self.rates
        psi = self.kernel(p)
        mixed = pair_conv(
            pairs_of(batch),
            psi,
            h.to(psi.dtype),
            mean=True,
            dropout=kernel_rate if self.training else 0.0,
        )
        degree = batch.graph.in_degree.to(mixed.dtype)
        told = self.output(self.scaler(mixed, degree.sqrt()))
        h = self.first_norm(h + dropout(told, rate, self.training))
        told = self.second(gelu(self.first(h)))
        out: Tensor = self.second_norm(h + dropout(told, rate, self.training))
        return out


class CKGConv(nn.Module):
    """CKGLayers between the two stems and a readout.

    The constants that the authors' code keeps frozen (in each layer a bias of zeros and four
    numbers, in the stem a bias) change nothing and are not here.

    Shapes: h (N, D), p (P, D) → (B, D) → (B, C).
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py
    needs: ClassVar = ("pairs",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        num_blocks: int,
        affine: bool,
        readout: str,
        head: str,
        dropout: float,
        kernel_dropout: float,
        mlp_dropout: float,
    ) -> None:
        super().__init__()
        self.nodes = NodeStem(spec, hidden_dim)
        self.pairs = PairStem(spec, hidden_dim, affine=affine)
        self.layers = nn.ModuleList(
            CKGLayer(
                hidden_dim,
                num_blocks=num_blocks,
                dropout=dropout,
                kernel_dropout=kernel_dropout,
                mlp_dropout=mlp_dropout,
            )
            for _ in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head = GraphHead(head, hidden_dim, spec.num_outputs, "gelu")

    def forward(self, batch: Batch) -> Tensor:
        h, p = self.nodes(batch), self.pairs(batch)
        for layer in self.layers:
            h = layer(batch, h, p)
        out: Tensor = self.head(self.readout(batch, h))
        return out
