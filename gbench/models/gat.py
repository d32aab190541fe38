"""GAT: Veličković et al., "Graph Attention Networks", ICLR 2018.

Legend: N rows, M columns (M = N but in parts of a big graph), B graphs, H heads, F features of a
head, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gbench.data.batch import Batch
from gbench.data.loaders.edges import without_loops
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.kernels import CSR, edge_softmax, segment_reduce
from gbench.kernels.act_dropout import act_dropout
from gbench.kernels.gat_attention import SLOPE, gat_attention
from gbench.kernels.linear import linear
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.edge_weights import with_weights_as_numbers
from gbench.models.encoders import input_features
from gbench.models.entries import of_columns, of_rows
from gbench.models.linear import Linear
from gbench.models.readout import Readout
from gbench.models.receptive import field_of


class GATLayer(nn.Module):
    """Σ_{j→i or j = i} drop(α_ijh) W_h x_j of each head h, side by side or their mean, + b.

    α_ijh is the softmax over j of leaky_relu(⟨a_h, W_h x_i⟩ + ⟨a'_h, W_h x_j⟩), of slope 0.2 below
    0. Each W_h, a_h and a'_h starts Glorot-uniform on its own, as in the authors' code.

    Of edges with numbers e_ji, edge_dim of them, the score has a term ⟨a''_h, V_h e_ji⟩ more, and
    the loop of a node the mean of those of its in-coming edges, 0 without any: PyG's GATConv with
    edge_dim. V_h and a''_h are multiplied first, so that no edge has a vector of its own.

    With `in_frames` a batch may lie in a frame, of whose size draws on the CPU then know nothing.

    Shapes: x (M, in_dim) → W x (M, H, F) → (N, H · F), or (N, F) where heads are averaged.
    """

    edge: Tensor | None
    loops_anew: ClassVar = True  # see gbench/train/unread.py

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        num_heads: int,
        averages: bool,
        attention_dropout: float,
        edge_dim: int = 0,
        in_frames: bool = False,
    ) -> None:
        super().__init__()
        self.shape, self.averages = (num_heads, out_dim), averages
        self.attention_dropout, self.in_frames = attention_dropout, in_frames
        self.linear = Linear(in_dim, num_heads * out_dim, bias=False)
        self.own = nn.Parameter(torch.empty(num_heads, out_dim))
        self.other = nn.Parameter(torch.empty(num_heads, out_dim))
        self.bias = nn.Parameter(torch.zeros(out_dim if averages else num_heads * out_dim))
        heads = self.linear.weight.data.split(out_dim)
        for part in (*heads, *self.own.data.split(1), *self.other.data.split(1)):
            nn.init.xavier_uniform_(part)
        self.edge_linear = self.edge = None
        if edge_dim:
            self.edge_linear = Dense(edge_dim, num_heads * out_dim, bias=False)
            self.edge = nn.Parameter(torch.empty(num_heads, out_dim))
            for part in (*self.edge_linear.weight.data.split(out_dim), *self.edge.data.split(1)):
                nn.init.xavier_uniform_(part)

    def forward(self, batch: Batch, x: Tensor | SparseFeatures) -> Tensor:
        return act_dropout(self.without_bias(batch, x), self.bias, act="none")

    def without_bias(self, batch: Batch, x: Tensor | SparseFeatures) -> Tensor:
        """What `forward` adds b to."""
        hidden = self.linear(x).unflatten(1, self.shape)
        rate = self.attention_dropout if self.training else 0.0
        if self.edge_linear is not None and self.edge is not None:
            graph, numbers = looped_numbers(batch)
            folded = (self.edge_linear.weight.unflatten(0, self.shape) * self.edge[:, :, None]).sum(
                1
            )
            term = linear(numbers.to(hidden.dtype), folded.to(hidden.dtype))
            out = _attention(graph, hidden, self.own, self.other, rate, term)
        elif self.in_frames and not hidden.is_cuda:
            out = _attention(with_loops(batch), hidden, self.own, self.other, rate)
        else:
            out = gat_attention(batch.graph, hidden, self.own, self.other, rate)
        return out.mean(1) if self.averages and out.size(1) > 1 else out.flatten(1)


class GAT(nn.Module):
    """num_layers attention layers, each but the last followed by ELU and dropout.

    Node level (the paper): the last layer has num_output_heads heads of C features and averages
    them. Graph level: the last layer is like the others, then readout and one linear layer.
    Categorical node features are embedded first. Numbers of edges enter the scores, and a weight is
    one more of them: a factor of an attention that is normalised anyway has no form in the paper.
    Categories of edges are not looked at.

    Shapes: x (N, features) → (N, H · F) → ... → (N, C), or (N, H · F) → (B, H · F) → (B, C).
    """

    answers_targets: ClassVar = True  # see gbench/data/batch.py
    uses: ClassVar = ("edge_weight", "edge_attr")

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_heads: int,
        num_output_heads: int,
        num_layers: int,
        input_dropout: float,
        dropout: float,
        attention_dropout: float,
        readout: str,
    ) -> None:
        super().__init__()
        edge_dim = spec.edge_dim + spec.has_edge_weight
        self.has_edge_numbers = edge_dim > 0
        # see gbench/train/capturing.py; at node level the looped graph is made once
        self.waits, self.fills_frames = "", True
        if edge_dim and spec.level == "graph":
            self.waits = "torch waits for the GPU where loops with numbers are added to the edges"
            self.fills_frames = False
        self.input_dropout, self.dropout = input_dropout, dropout
        width = num_heads * hidden_dim
        self.encoder, in_dim = input_features(spec, width)
        is_output = [
            spec.level == "node" and index + 1 == num_layers for index in range(num_layers)
        ]
        self.layers = nn.ModuleList(
            GATLayer(
                width if index else in_dim,
                spec.num_outputs if averages else hidden_dim,
                num_heads=num_output_heads if averages else num_heads,
                averages=averages,
                attention_dropout=attention_dropout,
                edge_dim=edge_dim,
                in_frames=spec.level == "graph",
            )
            for index, averages in enumerate(is_output)
        )
        self.readout = Readout(spec, readout)
        self.head: nn.Module = nn.Identity()
        if spec.level != "node":
            self.head = Dense(width, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        if batch.asked is not None and not self.has_edge_numbers:
            return self._answers(batch, batch.asked)
        x = self.embed(batch)
        for step in self.steps():
            x = step(batch, x)
        out: Tensor = self.head(self.readout(batch, x))
        return out

    def _answers(self, batch: Batch, nodes: Tensor) -> Tensor:
        """Of some nodes, by layers that have the rows alone that these depend on."""
        field = field_of(batch, nodes, len(self.layers))
        rows: Any = field.rows(self.encoder(batch))
        x = dropout(rows, self.input_dropout, self.training)
        for step, part in zip(self.steps(), field.batches, strict=True):
            x = step(part, x)
        return field.answers(x)

    def embed(self, batch: Batch) -> Tensor:
        """The features as they enter the first layer (see gbench/train/layerwise.py)."""
        x: Tensor = dropout(self.encoder(batch), self.input_dropout, self.training)
        return x

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The layers, each with what follows it."""
        return [partial(self._step, cast("GATLayer", layer)) for layer in self.layers]

    def _step(self, layer: GATLayer, batch: Batch, x: Tensor) -> Tensor:
        if layer.averages:
            out: Tensor = layer(batch, x)
            return out
        rate = self.dropout if self.training else 0.0
        return act_dropout(layer.without_bias(batch, x), layer.bias, act="elu", rate=rate)


def _attention(
    graph: CSR,
    x: Tensor,
    own: Tensor,
    other: Tensor,
    rate: float,
    term: Tensor | None = None,
) -> Tensor:
    """gat_attention in a graph with its loops; scores may have a term (E, H) of their own."""
    left, right = (x[: graph.num_rows] * own).sum(2), (x * other).sum(2)
    score = of_rows(graph, left) + of_columns(graph, right)
    score = F.leaky_relu(score if term is None else score + term, SLOPE)
    factor = dropout(torch.ones_like(score), rate, True) if rate else None
    return edge_softmax(graph, score, x, factor)


def with_loops(batch: Batch) -> CSR:
    """The batch's graph, in which each node receives from itself, once."""
    graph: CSR | None = batch.memo.get("with_loops")
    if graph is None:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            nodes = torch.arange(batch.num_nodes, device=batch.graph.device)
            edges = torch.cat([without_loops(batch.graph.edge_index), nodes.expand(2, -1)], 1)
            graph, _ = CSR.from_edge_index(edges, batch.num_nodes, batch.graph.num_cols)
        batch.memo["with_loops"] = graph
    return graph


def looped_numbers(batch: Batch) -> tuple[CSR, Tensor]:
    """The graph of `with_loops`, and the numbers of its edges, the weight last: (E, F).

    A loop has the mean of its node's in-coming edges that are none.
    """
    made_of = batch.graph, batch.edge_attr, batch.edge_weight
    kept = batch.memo.get("looped_numbers")
    if kept is None or any(a is not b for a, b in zip(kept[0], made_of, strict=True)):
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            numbers = with_weights_as_numbers(batch).edge_attr
            assert numbers is not None
            kept = made_of, *_looped(batch.graph, numbers.detach())
        batch.memo["looped_numbers"] = kept
    _, looped, values = kept
    return looped, values


def _looped(graph: CSR, numbers: Tensor) -> tuple[CSR, Tensor]:
    source, target = graph.edge_index
    is_edge = source != target
    source, target, numbers = source[is_edge], target[is_edge], numbers[is_edge]
    pattern, order = CSR.from_edge_index(torch.stack([source, target]), graph.num_rows)
    mean = segment_reduce(pattern.rowptr, numbers[order], "mean")
    nodes = torch.arange(graph.num_rows, device=graph.device)
    ends = torch.stack([torch.cat([source, nodes]), torch.cat([target, nodes])])
    looped, order = CSR.from_edge_index(ends, graph.num_rows)
    return looped, torch.cat([numbers, mean])[order]
