"""Hansen & Gebhart, "Sheaf Neural Networks", 2020: convolution on a sheaf that is known.

Legend: N nodes, B graphs, E entries, d stalk dimension (S in shapes), F hidden_dim, D = d · F.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR, sheaf_laplacian
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.linear import Linear
from gbench.models.readout import Readout
from gbench.models.sheaf import mixed
from gbench.models.sheaf_learner import undirected


class SheafNetwork(nn.Module):
    """x_{t+1} = relu((I - Δ) (I ⊗ A) drop(x_t) B), Δ = D^-1/2 L D^-1/2 with D the blocks of L.

    With `signed` data the maps of an edge are 1 and -1 where its first category is 0, which says
    that its ends disagree, and 1 and 1 where it is 1. All other edges agree, which leaves A alone
    of a GCN's A + I. x_0 = W_0 drop(x) + b; logits = W readout(x_T) + b.

    Shapes: x (N, features) → x_t (N, S, F) → (N, D) → (N, classes), or (B, D) → (B, classes).
    Raises UserError for signs that the data do not have.
    """

    contracts: ClassVar = {"layer-wise": "the graph is made undirected as a whole"}
    answers_targets: ClassVar = True  # see gbench/data/batch.py
    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        signed: bool,
        stalk_dim: int,
        hidden_dim: int,
        num_layers: int,
        input_dropout: float,
        dropout: float,
        readout: str,
    ) -> None:
        super().__init__()
        if signed and (spec.edge_categories is None or spec.edge_categories[0] != 2):
            raise UserError(
                "model.signed=true: these data have no signs, which are a first edge category "
                "that is 0 or 1; take model.signed=false"
            )
        self.signed, self.shape = signed, (stalk_dim, hidden_dim)
        self.input_dropout, self.dropout = input_dropout, dropout
        width = stalk_dim * hidden_dim
        self.features, in_dim = input_features(spec, width)
        self.first = Linear(in_dim, width)
        self.left = nn.ModuleList(
            Dense(stalk_dim, stalk_dim, bias=False) for _ in range(num_layers)
        )
        self.right = nn.ModuleList(
            Dense(hidden_dim, hidden_dim, bias=False) for _ in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head = Dense(width, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        graph = undirected(batch)
        x = self.first(dropout(self.features(batch), self.input_dropout, self.training))
        x = x.to(self.first.weight.dtype).unflatten(1, self.shape)
        maps = self._maps(batch, graph, x)
        degree = (graph.in_degree - 1).clamp(min=0).to(x.dtype)  # the kernel adds 1
        with torch.autocast(x.device.type, enabled=False):
            for left, right in zip(self.left, self.right, strict=True):
                x = dropout(x, self.dropout, self.training)
                x = mixed(x, left, right)
                x = (x - sheaf_laplacian(graph, maps, x, degree=degree)).relu()
            out: Tensor = self.head(self.readout(batch, x.flatten(1)))
        return out

    def _maps(self, batch: Batch, graph: CSR, x: Tensor) -> Tensor:
        """The maps, multiples of I, as diagonals. Shapes: → (E, S)."""
        maps = x.new_ones(graph.num_entries, self.shape[0])
        if not self.signed:
            return maps
        if graph is not batch.graph:
            raise UserError(
                "model.signed=true: the sign of an edge counts in both directions, and these data "
                "have edges in one direction only or self-loops"
            )
        assert batch.edge_code is not None and batch.edge_combos is not None
        agrees = batch.edge_combos[batch.edge_code.long(), 0]
        turned = (agrees == 0) & (graph.row > graph.col)
        return torch.where(turned[:, None], -maps, maps)
