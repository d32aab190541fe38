"""GCN: Kipf & Welling, "Semi-Supervised Classification with Graph Convolutional Networks", 2017.

On data with categorical edge features the layer is the one that OGB (Hu et al., NeurIPS 2020) runs
on molecules.

Legend: N nodes, B graphs, F features, D hidden_dim, C outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import gcn_bond_aggregate
from gbench.models.convolve import gcn_average
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import Embeddings, NodeEncoder, bond_tables, input_features
from gbench.models.linear import Linear
from gbench.models.norm_act import NormAct
from gbench.models.readout import Readout
from gbench.models.virtual_node import VirtualNode, told


class GCNLayer(nn.Module):
    """S x W + b with S = D^-1/2 (A + I) D^-1/2 and D_i = in-degree of i + 1.

    Edge weights are A's entries, and D_i is 1 + their sum (see gbench/models/convolve.py).

    ReLU and dropout, where they are asked for, are applied to that.

    Shapes: x (N, in_dim) → (N, out_dim).
    """

    uses: ClassVar = ("edge_weight",)
    roots_of_weights: ClassVar = True  # see gbench/models/edge_weights.py

    def __init__(self, in_dim: int, out_dim: int, *, bias: bool) -> None:
        super().__init__()
        self.linear = Linear(in_dim, out_dim, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)
        self.bias = nn.Parameter(torch.zeros(out_dim)) if bias else None

    def forward(
        self, batch: Batch, x: Tensor | SparseFeatures, *, relu: bool = False, rate: float = 0.0
    ) -> Tensor:
        return gcn_average(batch, self.linear(x), self.bias, relu=relu, rate=rate)

    def of(self, batch: Batch, x: Tensor | SparseFeatures, nodes: Tensor) -> Tensor:
        """The same of some nodes, (S x) W + b. Shapes: nodes (T,) → (T, out_dim)."""
        if isinstance(x, Tensor):
            out: Tensor = self.linear(gcn_average(batch, x, of=nodes))
            return out if self.bias is None else out + self.bias
        return gcn_average(batch, self.linear(x), self.bias, of=nodes)


class BondGCNLayer(nn.Module):
    """OGB's GCN layer: messages carry the embedding of their bond.

    With x' = x W + b, r learned and deg_i = out-degree of i + 1,
    out_i = Σ_{j→i} (deg_i deg_j)^-1/2 relu(x'_j + e_ij) + relu(x'_i + r) / deg_i.

    Shapes: x (N, in_dim) → (N, out_dim).
    """

    def __init__(
        self, in_dim: int, out_dim: int, *, bias: bool, edge_categories: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.linear = Linear(in_dim, out_dim, bias=bias)
        self.root = nn.Parameter(torch.randn(out_dim))  # N(0, 1): OGB's is a default nn.Embedding
        self.bonds = Embeddings(edge_categories, out_dim)

    def forward(
        self, batch: Batch, x: Tensor | SparseFeatures, table: Tensor | None = None
    ) -> Tensor:
        """`table`: what the bonds make of the batch's edge_combos, if that is known already."""
        assert batch.edge_code is not None and batch.edge_combos is not None
        table = self.bonds(batch.edge_combos) if table is None else table
        return gcn_bond_aggregate(batch.graph, self.linear(x), table, batch.edge_code, self.root)


class GCN(nn.Module):
    """num_layers convolutions, each but the last followed by (batch norm,) ReLU and dropout.

    Node level (Kipf): Z = S drop(relu(S drop(X) W_0)) W_1, the last convolution ends in the C
    classes. Graph level (OGB): the last convolution keeps D, is normalised and dropped like the
    others but has no ReLU, then readout and one linear layer. Categorical node features are
    embedded first, dense ones enter the first convolution as they are.

    With virtual_node (graph level, OGB) all features are embedded first, and h ← h + v before each
    layer, where v starts at zero, is learned, and is updated after every layer but the last.

    Shapes: x (N, F) → (N, D) → ... → (N, C), or (N, D) → (B, D) → (B, C) at graph level.
    Raises UserError for a virtual node at node level (its batch norm needs several graphs), and for
    edges that have both categories and weights.
    """

    answers_targets: ClassVar = True  # see gbench/data/batch.py
    waits: ClassVar = ""  # see gbench/train/capturing.py
    fills_frames: ClassVar = True
    uses: ClassVar = ("edge_weight",)
    roots_of_weights: ClassVar = True  # see gbench/models/edge_weights.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        bias: bool,
        norm: str,
        virtual_node: bool = False,
        input_dropout: float,
        dropout: float,
        readout: str,
    ) -> None:
        super().__init__()
        self.input_dropout = input_dropout
        if virtual_node and spec.level == "node":
            raise UserError("model.virtual_node=true needs graph-level data: this is node-level")
        if spec.edge_categories is not None and spec.has_edge_weight:
            raise UserError(
                "the edges have categories, for which this is OGB's layer, and weights, which that "
                "layer does not know: take model=gin, which reads both, or leave one of them out"
            )
        self.encoder: nn.Module = NodeEncoder(spec, hidden_dim)
        in_dim = hidden_dim
        if not virtual_node:
            self.encoder, in_dim = input_features(spec, hidden_dim)
        out_dim = spec.num_outputs if spec.level == "node" else hidden_dim
        widths = [in_dim, *[hidden_dim] * (num_layers - 1), out_dim]
        # `layers.0.` is the prefix of everything that Kipf's weight decay may touch
        self.layers = nn.ModuleList(
            GCNLayer(a, b, bias=bias)
            if spec.edge_categories is None
            else BondGCNLayer(a, b, bias=bias, edge_categories=spec.edge_categories)
            for a, b in itertools.pairwise(widths)
        )
        self.norm_acts = nn.ModuleList(
            NormAct(hidden_dim, norm=norm, relu=True, dropout=dropout)
            for _ in range(num_layers - 1)
        )
        self.readout = Readout(spec, readout)
        if spec.level == "node":
            self.norm_acts.append(nn.Identity())
            self.head: nn.Module = nn.Identity()
        else:
            self.norm_acts.append(NormAct(hidden_dim, norm=norm, relu=False, dropout=dropout))
            self.head = Dense(hidden_dim, spec.num_outputs)
        self.virtual_start = nn.Parameter(torch.zeros(hidden_dim)) if virtual_node else None
        self.virtual_nodes = nn.ModuleList(
            VirtualNode(hidden_dim, dropout=dropout) for _ in range(num_layers - 1) if virtual_node
        )

    def forward(self, batch: Batch) -> Tensor:
        x = self.encoder(batch)
        x = dropout(x, self.input_dropout, self.training)
        v = None if self.virtual_start is None else self.virtual_start.expand(batch.num_graphs, -1)
        tables = bond_tables(self.layers, batch)
        steps = zip(self.layers, self.norm_acts, tables, strict=True)
        for index, (layer, norm_act, table) in enumerate(steps):
            if batch.asked is not None and layer is self.layers[-1] and isinstance(layer, GCNLayer):
                return layer.of(batch, x, batch.asked)
            if v is not None:
                x = told(batch, x, v)
                if index < len(self.virtual_nodes):
                    v = self.virtual_nodes[index](batch, x, v)
            if table is None:
                x = _step(layer, norm_act, batch, x)
            else:
                x = _normalised(norm_act, batch, layer(batch, x, table))
        out: Tensor = self.head(self.readout(batch, x))
        return out

    def embed(self, batch: Batch) -> Tensor:
        """The features as they enter the first layer (see gbench/train/layerwise.py)."""
        x: Tensor = dropout(self.encoder(batch), self.input_dropout, self.training)
        return x

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The layers of a node-level model, each with what follows it."""
        pairs = zip(self.layers, self.norm_acts, strict=True)
        return [partial(_step, layer, norm_act) for layer, norm_act in pairs]


def _step(layer: nn.Module, norm_act: nn.Module, batch: Batch, x: Tensor) -> Tensor:
    """A layer and what follows it, in one operation where that is no norm."""
    if isinstance(layer, GCNLayer) and isinstance(norm_act, NormAct) and norm_act.norm is None:
        rate = norm_act.dropout if norm_act.training else 0.0
        return layer(batch, x, relu=norm_act.relu, rate=rate)  # type: ignore[no-any-return]
    return _normalised(norm_act, batch, layer(batch, x))


def _normalised(norm_act: nn.Module, batch: Batch, x: Tensor) -> Tensor:
    if isinstance(norm_act, NormAct):
        return norm_act(x, rows=batch.valid_nodes)  # type: ignore[no-any-return]
    return x  # the last layer at node level ends in the classes
