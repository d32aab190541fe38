"""GATv2: Brody, Alon and Yahav, "How Attentive are Graph Attention Networks?", ICLR 2022.

Legend: N rows, M columns (M = N but in parts of a big graph), B graphs, H heads, F features of a
head, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.kernels import edge_softmax
from gbench.kernels.gatv2_score import gatv2_score
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.gat import looped_numbers, with_loops
from gbench.models.linear import Linear
from gbench.models.readout import Readout


class GATv2Layer(nn.Module):
    """Σ_{j→i or j = i} drop(α_ijh) (W_l x_j)_h of each head h, side by side, + b.

    α_ijh is the softmax over j of ⟨a_h, leaky_relu(W_l x_j + W_r x_i)_h⟩, of slope 0.2 below 0.
    Both products add a bias too, where there is one; with shared weights W_r = W_l.

    Of edges with numbers e_ji, edge_dim of them, W_e e_ji is added within the leaky ReLU, and the
    loop of a node has the mean of those of its in-coming edges, 0 without any. This is PyG's
    GATv2Conv with edge_dim. W and a start Glorot-uniform.

    Shapes: x (M, in_dim) → (N, H · F).
    """

    loops_anew: ClassVar = True  # see gbench/train/unread.py

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        num_heads: int,
        share_weights: bool,
        bias: bool,
        attention_dropout: float,
        edge_dim: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.attention_dropout = (num_heads, out_dim), attention_dropout
        width = num_heads * out_dim
        self.key = Linear(in_dim, width, bias=bias)
        self.query = None if share_weights else Linear(in_dim, width, bias=bias)
        self.edge = Dense(edge_dim, width, bias=False) if edge_dim else None
        self.weight = nn.Parameter(torch.empty(num_heads, out_dim))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        nn.init.xavier_uniform_(self.weight)
        for linear in (self.key, self.query, self.edge):
            if linear is not None:
                nn.init.xavier_uniform_(linear.weight)
                if linear.bias is not None:
                    nn.init.zeros_(linear.bias)

    def forward(self, batch: Batch, x: Tensor | SparseFeatures) -> Tensor:
        rows = batch.graph.num_rows
        key = self.key(x).unflatten(1, self.shape)
        query, edge = key[:rows], None
        if self.query is not None:
            receivers = x[:rows] if isinstance(x, Tensor) else x
            query = self.query(receivers)[:rows].unflatten(1, self.shape)
        if self.edge is None:
            graph = with_loops(batch)
        else:
            graph, numbers = looped_numbers(batch)
            edge = self.edge(numbers.to(key.dtype)).unflatten(1, self.shape)
        score = gatv2_score(graph, query, key, self.weight, edge).to(key.dtype)
        rate = self.attention_dropout if self.training else 0.0
        factor = dropout(torch.ones_like(score), rate, True) if rate else None
        out = edge_softmax(graph, score, key, factor).flatten(1)
        return out if self.bias is None else out + self.bias


class GATv2(nn.Module):
    """num_layers attention layers, each but the last with ReLU, residual, layer norm and dropout.

    The authors' network, in this order; the residual is added where a layer is as wide as what
    enters it. Node level: the last layer has one head of C features and nothing follows it. Graph
    level: the last layer is like the others, then readout and one linear layer.
    Categorical node features are embedded first. Numbers of edges enter the scores, and a weight is
    one more of them. Categories of edges are not looked at.

    Shapes: x (N, features) → (N, H · F) → ... → (N, C), or (N, H · F) → (B, H · F) → (B, C).
    """

    uses: ClassVar = ("edge_weight", "edge_attr")

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_heads: int,
        num_layers: int,
        share_weights: bool,
        bias: bool,
        residual: bool,
        layer_norm: bool,
        input_dropout: float,
        dropout: float,
        attention_dropout: float,
        readout: str,
    ) -> None:
        super().__init__()
        # see gbench/train/capturing.py; at node level the looped graph is made once
        self.waits = ""
        if spec.level == "graph":
            self.waits = "torch waits for the GPU where loops are added to the edges"
        self.residual, self.input_dropout, self.dropout = residual, input_dropout, dropout
        width = num_heads * hidden_dim
        self.encoder, in_dim = input_features(spec, width)
        is_output = [
            spec.level == "node" and index + 1 == num_layers for index in range(num_layers)
        ]
        self.layers = nn.ModuleList(
            GATv2Layer(
                width if index else in_dim,
                spec.num_outputs if is_last else hidden_dim,
                num_heads=1 if is_last else num_heads,
                share_weights=share_weights,
                bias=bias,
                attention_dropout=attention_dropout,
                edge_dim=spec.edge_dim + spec.has_edge_weight,
            )
            for index, is_last in enumerate(is_output)
        )
        has_norm = [layer_norm and not is_last for is_last in is_output]
        self.norms = nn.ModuleList(
            nn.LayerNorm(width) if has else nn.Identity() for has in has_norm
        )
        self.is_output = is_output
        self.readout = Readout(spec, readout)
        self.head: nn.Module = nn.Identity()
        if spec.level != "node":
            self.head = Dense(width, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        x = self.embed(batch)
        for step in self.steps():
            x = step(batch, x)
        out: Tensor = self.head(self.readout(batch, x))
        return out

    def embed(self, batch: Batch) -> Tensor:
        """The features as they enter the first layer (see gbench/train/layerwise.py)."""
        x: Tensor = dropout(self.encoder(batch), self.input_dropout, self.training)
        return x

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The layers, each with what follows it."""
        return [partial(self._step, index) for index in range(len(self.layers))]

    def _step(self, index: int, batch: Batch, x: Tensor) -> Tensor:
        layer = cast("GATv2Layer", self.layers[index])
        out: Tensor = layer(batch, x)
        if self.is_output[index]:
            return out
        out = out.relu()
        if self.residual and isinstance(x, Tensor) and x.size(1) == out.size(1):
            out = out + x[: out.size(0)]
        dropped: Tensor = dropout(self.norms[index](out), self.dropout, self.training)
        return dropped
