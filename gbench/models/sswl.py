"""SSWL and SSWL+: Zhang et al., "A Complete Expressiveness Hierarchy for Subgraph GNNs", ICML 2023.

Legend: N nodes, P = Σ n² pairs (u, v): node v in the subgraph of u; D hidden_dim, U kinds of bonds,
B graphs, C outputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import embedding_sum, gine_aggregate, segment_add, segment_reduce, spmm
from gbench.models.dense import Dense
from gbench.models.encoders import Embeddings, NodeFeatures
from gbench.models.norm_act import NormAct, linear_norm_act
from gbench.models.pair_features import pair_values, pairs_of
from gbench.models.pair_patterns import Product, patterns_of

SCHEMES = {
    "swl": ("uL",),
    "pswl": ("uL", "vv"),
    "sswl": ("uL", "vL"),
    "sswl-plus": ("uL", "vL", "vv"),
}
FARTHEST = 5  # distances from here on are alike


class MLP(nn.Module):
    """Linear, batch norm, ReLU, linear. Shapes: x (P, D) → (P, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = Dense(dim, dim)
        self.norm_act = NormAct(dim, norm=True, relu=True, dropout=0.0)
        self.second = Dense(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(linear_norm_act(self.first, self.norm_act, x))
        return out


class Aggregation(nn.Module):
    """MLP((1 + ε) h(u, v) + m(u, v)), where m is by `kind`.

    uL    Σ relu(h(u, w) + e_wv) over the neighbours w of v
    vL    Σ relu(h(w, v) + e_wu) over the neighbours w of u
    vv    h(v, v)

    e is an embedding of the bond, of this aggregation alone; 0 where edges have no categories.

    Shapes: h (P, D) → (P, D).
    """

    zero: Tensor

    def __init__(self, kind: str, spec: DataSpec, dim: int) -> None:
        super().__init__()
        self.kind = kind
        self.eps = nn.Parameter(torch.zeros(()))
        self.bonds = None
        if kind != "vv" and spec.edge_categories is not None:
            self.bonds = Embeddings(spec.edge_categories, dim, normal=True)
        self.register_buffer("zero", torch.zeros(1, dim), persistent=False)
        self.mlp = MLP(dim)

    def forward(self, batch: Batch, h: Tensor) -> Tensor:
        patterns = patterns_of(batch)
        if self.kind == "vv":
            mixed = (1 + self.eps) * h + spmm(patterns.own, h)
        else:
            along = patterns.along_sender if self.kind == "uL" else patterns.along_receiver
            mixed = self._along(batch, along, h)
        out: Tensor = self.mlp(mixed)
        return out

    def _along(self, batch: Batch, along: Product, h: Tensor) -> Tensor:
        if self.bonds is None or batch.edge_code is None:
            table = self.zero.to(h.dtype)
            code = torch.zeros_like(along.graph.col)
        else:
            assert batch.edge_combos is not None
            table, code = self.bonds(batch.edge_combos), batch.edge_code[along.edges]
        return gine_aggregate(along.graph, h, table, code, self.eps)


class SSWLLayer(nn.Module):
    """h ← relu(BN(Σ over the scheme's aggregations)). Shapes: h (P, D) → (P, D)."""

    def __init__(self, kinds: tuple[str, ...], spec: DataSpec, dim: int) -> None:
        super().__init__()
        self.aggregations = nn.ModuleList(Aggregation(kind, spec, dim) for kind in kinds)
        self.norm_act = NormAct(dim, norm=True, relu=True, dropout=0.0)

    def forward(self, batch: Batch, h: Tensor) -> Tensor:
        first, *others = (aggregation(batch, h) for aggregation in self.aggregations)
        out: Tensor = self.norm_act(sum(others, start=first))
        return out


class SSWL(nn.Module):
    """h(u, v) of all pairs of nodes, by SSWLLayers; at first x_v + T[min(distance(u, v), 5)].

    With pooling=vs the nodes of each subgraph are summed, s_u = Σ_v h(u, v), with sv the subgraphs
    of each node, s_v = Σ_u h(u, v); relu(BN(MLP(s))) of all pairs is averaged over each graph, and
    logits = W' relu(W g), inner width 2 D. The authors' code has one ε more, without effect.

    Shapes: h (P, D) → s (N, D) → g (B, D) → (B, C).
    Raises UserError without an encoding of pairs of one column, their distance.
    """

    # see gbench/train/capturing.py
    waits: ClassVar = "which pairs of nodes take from which others is counted for each batch"
    uses: ClassVar = ("pairs",)
    first: Tensor

    def __init__(
        self, spec: DataSpec, *, scheme: str, hidden_dim: int, num_layers: int, pooling: str
    ) -> None:
        super().__init__()
        if spec.pair_dim != 1:
            raise UserError(
                f"model=sswl-plus reads one value of pairs of nodes, their distance, and there "
                f"are {spec.pair_dim}: type encoding=spd, its one_hot=false"
            )
        self.nodes = NodeFeatures(spec, hidden_dim)
        self.distances = nn.Parameter(torch.randn(FARTHEST + 1, hidden_dim))
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)
        self.layers = nn.ModuleList(
            SSWLLayer(SCHEMES[scheme], spec, hidden_dim) for _ in range(num_layers)
        )
        self.pools_subgraphs = pooling == "sv"
        self.pool = MLP(hidden_dim)
        self.pool_norm = NormAct(hidden_dim, norm=True, relu=True, dropout=0.0)
        self.head = nn.Sequential(
            Dense(hidden_dim, 2 * hidden_dim),
            nn.ReLU(),
            Dense(2 * hidden_dim, spec.num_outputs),
        )

    def forward(self, batch: Batch) -> Tensor:
        pairs, patterns = pairs_of(batch), patterns_of(batch)
        distance = pair_values(batch).clamp(0, FARTHEST).long()
        h = embedding_sum(distance, self.distances, self.first)
        h = h + spmm(patterns.of_sender, self.nodes(batch))
        for layer in self.layers:
            h = layer(batch, h)
        if self.pools_subgraphs:
            s = spmm(patterns.to_sender, h)
        else:
            s = segment_reduce(pairs.ptr, h, "sum")
        # of each pair, so that the norms weigh a graph by its pairs
        spread = segment_add(pairs.ptr, s.new_zeros(h.size(0), s.size(1)), s)
        told = self.pool_norm(self.pool(spread))
        ends = pairs.ptr.index_select(0, batch.node_ptr)
        out: Tensor = self.head(segment_reduce(ends, told, "mean"))
        return out
