"""DAGNN: Liu, Gao and Ji, "Towards Deeper Graph Neural Networks", KDD 2020.

Legend: N nodes, F features, D hidden_dim, C outputs, K hops.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import gcn_gated_sum
from gbench.models.convolve import gcn_average
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.linear import Linear
from gbench.models.norm_act import NormAct
from gbench.models.receptive import shells_of


class DAGNN(nn.Module):
    """Σ_{k=0..K} σ(⟨w, H_k⟩ + b) H_k with H_k = S^k Z, Z = W_2 drop(relu(W_1 drop(X) + b_1)) + b_2.

    S = D^-1/2 (A + I) D^-1/2, D_i = in-degree of i + 1, or with edge weights 1 + their sum. Each
    node weighs each of its K + 1 hops by a gate, and all gates share w and b. On ogbn-arxiv the
    authors normalise W_1 X + b_1 first (norm=batch). A positional encoding stands beside the
    features, categories are embedded.

    Shapes: x (N, F) → (N, D) → Z and each H_k (N, C) → (N, C).
    """

    answers_targets: ClassVar = True  # see gbench/data/batch.py
    waits: ClassVar = ""  # see gbench/train/capturing.py
    uses: ClassVar = ("edge_weight",)
    roots_of_weights: ClassVar = True  # see gbench/models/edge_weights.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        hops: int,
        norm: str,
        input_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.hops, self.input_dropout = hops, input_dropout
        self.encoder, in_dim = input_features(spec, hidden_dim)
        self.first = Linear(in_dim, hidden_dim)
        self.norm_act = NormAct(hidden_dim, norm=norm, relu=True, dropout=dropout)
        self.second = Dense(hidden_dim, spec.num_outputs)
        self.gate = Dense(spec.num_outputs, 1)

    def forward(self, batch: Batch) -> Tensor:
        if batch.edge_weight is None and batch.asked is not None:
            return self._answers(batch, batch.asked)
        hidden = self._mlp(self.encoder(batch))
        if batch.edge_weight is None:
            return gcn_gated_sum(batch.graph, hidden, *self._gate(), self.hops)
        total = self._gated(hidden)
        for _ in range(self.hops):
            hidden = gcn_average(batch, hidden)
            total = total + self._gated(hidden)
        return total if batch.asked is None else total.index_select(0, batch.asked)

    def _answers(self, batch: Batch, nodes: Tensor) -> Tensor:
        """Of some nodes, by hops over those alone that these depend on. Shapes: → (T, C)."""
        shells, x = shells_of(batch, nodes, self.hops), self.encoder(batch)
        # A batch norm is one of all nodes; an encoding's signs may be others each time.
        if isinstance(self.norm_act.norm, nn.BatchNorm1d) or batch.pe is not None:
            hidden = self._mlp(x).index_select(0, shells.nodes)
        else:
            hidden = self._mlp(shells.rows(x))
        graph = shells.batches[0].graph
        return shells.answers(gcn_gated_sum(graph, hidden, *self._gate(), self.hops, shells.reach))

    def _gate(self) -> tuple[Tensor, Tensor]:
        return self.gate.weight.view(-1), self.gate.bias.view(())

    def _mlp(self, x: Any) -> Tensor:
        """Z. Shapes: x (N, F), dense or sparse → (N, C)."""
        x = dropout(x, self.input_dropout, self.training)
        z: Tensor = self.second(self.norm_act(self.first(x)))
        return z

    def embed(self, batch: Batch) -> Tensor:
        """[Z | σ(⟨w, Z⟩ + b) Z], the second alone without hops: see gbench/train/layerwise.py."""
        z = self._mlp(self.encoder(batch))
        return torch.cat([z, self._gated(z)], 1) if self.hops else self._gated(z)

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The hops. Beside H_k stands the gated sum of the hops up to it."""
        return [partial(self._step, hop) for hop in range(1, self.hops + 1)]

    def _step(self, hop: int, batch: Batch, x: Tensor) -> Tensor:
        width = self.gate.in_features
        hidden = gcn_average(batch, x[:, :width])
        total = x[: batch.num_nodes, width:] + self._gated(hidden)
        return total if hop == self.hops else torch.cat([hidden, total], 1)

    def _gated(self, hidden: Tensor) -> Tensor:
        gate: Tensor = self.gate(hidden)
        return gate.sigmoid() * hidden
