"""GATv2: Brody, Alon and Yahav, "How Attentive are Graph Attention Networks?", ICLR 2022.

Legend: N rows, M columns (M = N but in parts of a big graph), E entries with the loops, H heads, F
features of a head.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.kernels import edge_softmax
from gbench.kernels.act_dropout import act_dropout
from gbench.kernels.gatv2_score import gatv2_score
from gbench.models.dropout import dropout
from gbench.models.gat import GAT, looped_numbers, with_loops
from gbench.models.linear import Linear


class GATv2Layer(nn.Module):
    """Σ_{j→i or j = i} drop(α_ijh) W_h x_j of each head h, side by side or their mean, + b.

    α_ijh is the softmax over j of ⟨a_h, leaky_relu(R_h x_i + W_h x_j)⟩, of slope 0.2 below 0; with
    numbers e_ji of edges V_h e_ji is added inside, and the loop of a node has the mean of those of
    its in-coming edges. R is W where `receiver` is None.

    Without numbers of edges no vector (E, H · F) is made: see gbench/kernels/gatv2_score.py.

    Shapes: x (M, in_dim) → W x (M, H, F) → (N, H · F), or (N, F) where heads are averaged.
    """

    receiver: Linear | None
    edge_linear: nn.Linear | None

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        num_heads: int,
        averages: bool,
        attention_dropout: float,
        edge_dim: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.averages = (num_heads, out_dim), averages
        self.attention_dropout = attention_dropout
        self.linear = Linear(in_dim, num_heads * out_dim, bias=False)
        self.receiver = Linear(in_dim, num_heads * out_dim, bias=False)
        self.score = nn.Parameter(torch.empty(num_heads, out_dim))
        self.bias = nn.Parameter(torch.zeros(out_dim if averages else num_heads * out_dim))
        self.edge_linear = None
        if edge_dim:
            self.edge_linear = nn.Linear(edge_dim, num_heads * out_dim, bias=False)
        for linear in filter(None, (self.linear, self.receiver, self.edge_linear)):
            nn.init.xavier_uniform_(linear.weight)
        nn.init.xavier_uniform_(self.score)

    def forward(self, batch: Batch, x: Tensor | SparseFeatures) -> Tensor:
        return act_dropout(self.without_bias(batch, x), self.bias, act="none")

    def without_bias(self, batch: Batch, x: Tensor | SparseFeatures) -> Tensor:
        """What `forward` adds b to."""
        sent = self.linear(x)
        received = sent if self.receiver is None else self.receiver(x)
        graph, numbers = with_loops(batch), None
        if self.edge_linear is not None:
            graph, numbers = looped_numbers(batch)
            numbers = numbers.to(sent.dtype)
        received = received[: graph.num_rows]
        edge = None if self.edge_linear is None else self.edge_linear(numbers)
        ends = (received.unflatten(1, self.shape), sent.unflatten(1, self.shape))
        edge = None if edge is None else edge.to(sent.dtype).unflatten(1, self.shape)
        score = gatv2_score(graph, *ends, self.score, edge)
        rate = self.attention_dropout if self.training else 0.0
        factor = dropout(torch.ones_like(score), rate, True) if rate else None
        out = edge_softmax(graph, score, sent.unflatten(1, self.shape), factor)
        return out.mean(1) if self.averages and out.size(1) > 1 else out.flatten(1)


class GATv2(GAT):
    """GAT with the layers of GATv2: which neighbour counts most may differ from node to node.

    share_weights: the receiver's matrix is the sender's, as in the authors' runs.

    Shapes: as GAT's.
    """

    layer: ClassVar = GATv2Layer

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_heads: int,
        num_output_heads: int,
        num_layers: int,
        share_weights: bool,
        input_dropout: float,
        dropout: float,
        attention_dropout: float,
        readout: str,
    ) -> None:
        super().__init__(
            spec,
            hidden_dim=hidden_dim,
            num_heads=num_heads,
            num_output_heads=num_output_heads,
            num_layers=num_layers,
            input_dropout=input_dropout,
            dropout=dropout,
            attention_dropout=attention_dropout,
            readout=readout,
        )
        if spec.level == "graph":
            self.waits = "torch waits for the GPU where loops are added to the edges"
            self.fills_frames = False
        if share_weights:
            for layer in self.layers:
                cast("GATv2Layer", layer).receiver = None
