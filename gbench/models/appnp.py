"""APPNP: Gasteiger, Bojchevski and Günnemann, "Predict then Propagate", ICLR 2019.

Legend: N nodes, F features, D hidden_dim, C outputs, E entries, K hops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import spmm, teleport_propagate
from gbench.kernels.gcn_values import gcn_values
from gbench.models.convolve import returning_average
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.linear import Linear
from gbench.models.norm_act import NormAct


class APPNP(nn.Module):
    """Z_K of Z_{k+1} = (1 - α) S Z_k + α Z_0, Z_0 = W_2 drop(relu(W_1 drop(X) + b_1)) + b_2.

    S = D^-1/2 (A + I) D^-1/2, D_i = in-degree of i + 1, or with edge weights 1 + their sum. For
    K → ∞ that is the paper's PPNP, α (I - (1 - α) S)^-1 Z_0, and for α = 1 the MLP. With
    propagation_dropout the values of S, those of the loops among them, are dropped in training,
    drawn anew in each hop. A positional encoding stands beside the features, categories are
    embedded.

    Shapes: x (N, F) → (N, D) → Z_k (N, C) → (N, C).
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py
    uses: ClassVar = ("edge_weight",)
    roots_of_weights: ClassVar = True  # see gbench/models/edge_weights.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        hops: int,
        alpha: float,
        bias: bool,
        input_dropout: float,
        dropout: float,
        propagation_dropout: float,
    ) -> None:
        super().__init__()
        self.hops, self.alpha = hops, alpha
        self.input_dropout, self.propagation_dropout = input_dropout, propagation_dropout
        self.encoder, in_dim = input_features(spec, hidden_dim)
        self.first = Linear(in_dim, hidden_dim, bias)
        self.act = NormAct(hidden_dim, norm=False, relu=True, dropout=dropout)
        self.second = Dense(hidden_dim, spec.num_outputs, bias)

    def forward(self, batch: Batch) -> Tensor:
        home = self._mlp(batch)
        drops = self.training and self.propagation_dropout > 0
        if not drops and batch.edge_weight is None:
            return teleport_propagate(batch.graph, home, self.alpha, self.hops)
        x, home = home, self.alpha * home
        for _ in range(self.hops):
            x = self._hop(batch, x, home)
        return x

    def _mlp(self, batch: Batch) -> Tensor:
        """Z_0. Shapes: batch.x (N, F) → (N, C)."""
        x = dropout(self.encoder(batch), self.input_dropout, self.training)
        z: Tensor = self.second(self.act(self.first(x)))
        return z

    def embed(self, batch: Batch) -> Tensor:
        """[Z_0 | α Z_0], the second alone without hops: see gbench/train/layerwise.py."""
        z = self._mlp(batch)
        return torch.cat([z, self.alpha * z], 1) if self.hops else z

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The hops. Beside Z_k stands α Z_0."""
        return [partial(self._step, hop) for hop in range(1, self.hops + 1)]

    def _step(self, hop: int, batch: Batch, x: Tensor) -> Tensor:
        width = self.second.out_features
        home = x[: batch.num_nodes, width:]
        z = self._hop(batch, x[:, :width], home)
        return z if hop == self.hops else torch.cat([z, home], 1)

    def _hop(self, batch: Batch, x: Tensor, home: Tensor) -> Tensor:
        rate = self.propagation_dropout if self.training else 0.0
        if not rate:
            return returning_average(batch, x, home, self.alpha)
        return (1 - self.alpha) * dropped_average(batch, x, rate) + home


def dropped_average(batch: Batch, x: Tensor, rate: float) -> Tensor:
    """drop(S) x: each of the E + N values of S is zero with probability `rate`.

    Shapes: x (M, F) → (N, F).
    """
    graph, rows = batch.graph, slice(batch.num_nodes)
    kept = dropout(x.new_ones(graph.num_entries + graph.num_rows), rate, True)
    entries, loops = kept.split([graph.num_entries, graph.num_rows])
    if batch.edge_weight is not None:
        value, own = gcn_values(graph, batch.edge_weight.to(x.dtype))
        return torch.addcmul(spmm(graph, x, value * entries), (own * loops)[:, None], x)
    degree = graph.in_degree if batch.degree is None else batch.degree
    root = (degree + 1).to(torch.promote_types(x.dtype, torch.float32)).rsqrt().to(x.dtype)
    scaled = root[:, None] * x
    total = spmm(graph, scaled, entries)
    if batch.degree is not None:  # a part of a big graph: see gbench/models/convolve.py
        present = graph.in_degree.clamp(min=1)
        total = total * (batch.degree[rows] / present).to(x.dtype)[:, None]
    out: Tensor = root[rows, None] * (total + loops[:, None] * scaled[rows])
    return out
