"""Equivariant subgraph aggregation: Bevilacqua et al., ICLR 2022 (DS-GNN and DSS-GNN).

Legend: B graphs with N nodes in all, S copies of them with C nodes (see gbench/data/bag.py), F
features of a node, D hidden_dim, L layers, E set_dim, T outputs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from gbench.data.bag import Bag, Bagging
from gbench.data.bagging import as_batch, bag_of
from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import segment_add, segment_reduce, spmm
from gbench.models.convolve import neighbour_sum
from gbench.models.dense import Dense
from gbench.models.encoders import input_features
from gbench.models.entries import of_columns
from gbench.models.gin import GINLayer
from gbench.models.norm_act import NormAct

MARKED = ("node-marked", "ego-nets-plus")  # policies that mark the root of a copy


class GraphConv(nn.Module):
    """W x_i + Σ_{j→i} V x_j + b (Morris et al., AAAI 2019). Shapes: x (N, F) → (N, D)."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.neighbours = Dense(in_dim, out_dim)
        self.root = Dense(in_dim, out_dim, bias=False)

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        out: Tensor = self.neighbours(neighbour_sum(batch, x)) + self.root(x)
        return out


def convolution(kind: str, spec: DataSpec, in_dim: int, out_dim: int, mlp_ratio: int) -> nn.Module:
    """GraphConv; or GIN with ε = 0, on data with categories of edges GINE with ε learned."""
    if kind == "graph-conv":
        return GraphConv(in_dim, out_dim)
    spec = replace(spec, edge_dim=0)  # copies of edges have their categories alone
    learn_eps = spec.edge_categories is not None
    return GINLayer(in_dim, out_dim, mlp_ratio=mlp_ratio, learn_eps=learn_eps, spec=spec)


class DSSLayer(nn.Module):
    """relu(BN(G x) + BN'(G' x̄)): G on each copy, G' on the graph itself.

    x̄ is the mean of each node's copies, and each copy gets what G' says of its node.

    Shapes: x (C, F) → (C, D).
    """

    def __init__(self, own: nn.Module, shared: nn.Module, dim: int) -> None:
        super().__init__()
        self.own, self.shared = own, shared
        self.own_norm = NormAct(dim, norm=True, relu=False, dropout=0.0)
        self.shared_norm = NormAct(dim, norm=True, relu=False, dropout=0.0)

    def forward(self, batch: Batch, copies: Batch, bag: Bag, x: Tensor) -> Tensor:
        shared = self.shared(batch, spmm(bag.copies, x, reduce="mean"))
        told = of_columns(bag.members, self.shared_norm(shared))
        out: Tensor = self.own_norm(self.own(copies, x), told)
        return out.relu()


class SetLayer(nn.Module):
    """elu(W s + b + V mean(s) + c), the mean over the copies of a graph: s (S, E) → (S, E)."""

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        self.own, self.mean = Dense(in_dim, dim), Dense(in_dim, dim)

    def forward(self, bag: Bag, s: Tensor) -> Tensor:
        told = self.mean(segment_reduce(bag.ptr, s, "mean"))
        return elu(segment_add(bag.ptr, self.own(s), told))


class SubgraphGNN(nn.Module):
    """A GNN on each copy of a graph in a bag, and an answer that no order of the copies changes.

    form=dss: DSSLayers; the mean over the nodes of each copy, then over the copies.
    form=ds: x ← relu(BN(G x)) on each copy alone; s, the sum or mean over its nodes of all L + 1
    layers side by side; SetLayers; the mean over the copies.
    Then T outputs by linear (to twice the width), ReLU, linear.

    policy: see gbench/data/bag.py; ego-nets-plus and node-marked put [1, 0] before the features of
    a copy's root and [0, 1] before the others'. Evaluation takes all copies, training `share` of
    each graph's, drawn anew for each batch.

    Shapes: nodes → copies (C, F) → (C, D) → (S, D or E) → (B, T).
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        form: str,
        policy: str,
        hops: int,
        share: float,
        layer: str,
        hidden_dim: int,
        num_layers: int,
        mlp_ratio: int,
        readout: str,
        num_set_layers: int,
        set_dim: int,
    ) -> None:
        super().__init__()
        self.is_dss, self.readout, self.is_marked = form == "dss", readout, policy in MARKED
        kept = num_layers * hidden_dim * (4 + 2 * mlp_ratio)
        own_policy = policy.removesuffix("-plus")
        is_ego = own_policy == "ego-nets"
        self.bagging = Bagging(own_policy, hops if is_ego else 0, share=share, floats=kept)
        self.encoder, width = input_features(spec, hidden_dim, allow_sparse=False)
        width += 2 * self.is_marked
        widths = [width, *[hidden_dim] * num_layers]

        def made(index: int) -> nn.Module:
            return convolution(layer, spec, widths[index], hidden_dim, mlp_ratio)

        self.layers, self.norm_acts, self.sets = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for index in range(num_layers):
            if self.is_dss:
                self.layers.append(DSSLayer(made(index), made(index), hidden_dim))
            else:
                self.layers.append(made(index))
                self.norm_acts.append(NormAct(hidden_dim, norm=True, relu=True, dropout=0.0))
        if not self.is_dss:
            dims = [sum(widths), *[set_dim] * num_set_layers]
            self.sets.extend(SetLayer(dim, set_dim) for dim in dims[:-1])
        last = hidden_dim if self.is_dss else set_dim
        self.head = nn.Sequential(
            Dense(last, 2 * last), nn.ReLU(), Dense(2 * last, spec.num_outputs)
        )

    def forward(self, batch: Batch) -> Tensor:
        bag = bag_of(batch, self.bagging)
        copies = as_batch(batch, bag)
        x: Tensor = of_columns(bag.members, self.encoder(batch))
        if self.is_marked:
            assert bag.hop is not None
            is_root = bag.hop == 0
            x = torch.cat([torch.stack([is_root, ~is_root], 1).to(x.dtype), x], 1)
        s = self._by_dss(batch, copies, bag, x) if self.is_dss else self._by_ds(copies, bag, x)
        out: Tensor = self.head(segment_reduce(bag.ptr, s, "mean"))
        return out

    def _by_dss(self, batch: Batch, copies: Batch, bag: Bag, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(batch, copies, bag, x)
        return segment_reduce(bag.members.rowptr, x, "mean")

    def _by_ds(self, copies: Batch, bag: Bag, x: Tensor) -> Tensor:
        ends = bag.members.rowptr
        read = [segment_reduce(ends, x, self.readout)]
        for layer, norm_act in zip(self.layers, self.norm_acts, strict=True):
            x = norm_act(layer(copies, x))
            read.append(segment_reduce(ends, x, self.readout))
        s = torch.cat(read, 1)
        for layer in self.sets:
            s = layer(bag, s)
        return s
