"""GNN-AK+: each layer runs a GNN in the surroundings of every node.

Zhao et al., "From Stars to Subgraphs: Uplifting Any GNN with Local Structure Awareness", ICLR 2022.

Legend: B graphs with N nodes in all, one copy for each node with C nodes in all (see
gbench/data/bag.py), K entries of the copies, D hidden_dim, H hop_dim, U kinds of edges, T outputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.bag import Bag, Bagging
from gbench.data.bagging import bag_of
from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import embedding_sum, gine_aggregate, segment_reduce, spmm
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import Embeddings, NodeEncoder
from gbench.models.entries import of_columns
from gbench.models.norm_act import NormAct
from gbench.models.readout import Readout

MOST_HOPS = 18  # of the rows of the table of hops the first is for what is not within reach


class InnerLayer(nn.Module):
    """x + dropout(relu(BN(MLP((1 + ε) x_i + Σ_{j→i} relu(x_j + e_ij))))) within each copy.

    MLP = linear, batch norm, ReLU, linear, without biases; e_ij is a row of the table.

    Shapes: x (C, D + H), table (U, D + H), code (K,) → (C, D + H).
    """

    def __init__(self, dim: int, *, rate: float) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(
            Dense(dim, dim, bias=False),
            NormAct(dim, norm=True, relu=True, dropout=0.0),
            Dense(dim, dim, bias=False),
        )
        self.norm_act = NormAct(dim, norm=True, relu=True, dropout=rate)

    def forward(self, bag: Bag, x: Tensor, table: Tensor, code: Tensor) -> Tensor:
        out: Tensor = self.norm_act(
            self.mlp(gine_aggregate(bag.graph, x, table, code, self.eps)), x
        )
        return out


class Gate(nn.Module):
    """sigmoid(W h + b), h the embedding of the hop: x is multiplied by it. x (C, D) → (C, D)."""

    def __init__(self, hop_dim: int, dim: int) -> None:
        super().__init__()
        self.linear = Dense(hop_dim, dim)

    def forward(self, x: Tensor, hops: Tensor, code: Tensor, first: Tensor) -> Tensor:
        return x * embedding_sum(code, self.linear(hops).sigmoid(), first)


class KernelLayer(nn.Module):
    """A GNN in the copy around each node, and what a node is told by it.

    Inside are InnerLayers on [x ‖ h], h (H) the embedding of the hop to the root, and a linear
    layer back to D. Of that a node gets its own place in its own copy (centroid), the sum or mean
    of its copy (subgraph) and, if asked for, that of its places in all copies (context), the last
    two after linear, batch norm and ReLU, each times a Gate where H > 0. Side by side, or added,
    they pass dropout and a linear layer without bias.

    Shapes: x (N, D) → copies (C, D + H) → (N, D).
    """

    first: Tensor

    def __init__(
        self,
        dim: int,
        hop_dim: int,
        *,
        num_inner_layers: int,
        context: bool,
        combine: str,
        reduce: str,
        rate: float,
    ) -> None:
        super().__init__()
        self.reduce, self.is_added, self.rate = reduce, combine == "add", rate
        wide = dim + hop_dim
        self.inner = nn.ModuleList(InnerLayer(wide, rate=rate) for _ in range(num_inner_layers))
        self.output = Dense(wide, dim) if hop_dim else nn.Identity()
        names = ["centroid", "subgraph", *(["context"] if context else [])]
        self.transforms = nn.ModuleDict({name: _transform(dim) for name in names[1:]})
        self.hops = nn.Embedding(MOST_HOPS + 2, hop_dim) if hop_dim else None
        self.gates = nn.ModuleDict({name: Gate(hop_dim, dim) for name in names if hop_dim})
        self.combine = Dense(dim if self.is_added else len(names) * dim, dim, bias=False)
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    def forward(self, bag: Bag, x: Tensor, table: Tensor, code: Tensor) -> Tensor:
        assert bag.hop is not None
        assert bag.root is not None
        hop = bag.hop[:, None] + 1
        copies = of_columns(bag.members, x)
        if self.hops is not None:
            embedded = embedding_sum(hop, self.hops.weight, self.first)
            copies = torch.cat([copies, embedded.to(copies.dtype)], 1)
        for layer in self.inner:
            copies = layer(bag, copies, table, code)
        copies = self.output(copies)
        own = copies.index_select(0, bag.root)
        told = [self._gated("centroid", own, torch.ones_like(hop[: own.size(0)]))]
        for name, transform in self.transforms.items():
            values = transform(dropout(copies, self.rate, self.training))
            values = self._gated(name, values, hop)
            if name == "subgraph":
                told.append(segment_reduce(bag.members.rowptr, values, self.reduce))
            else:
                told.append(spmm(bag.copies, values, reduce=self.reduce))
        both = torch.stack(told).sum(0) if self.is_added else torch.cat(told, 1)
        out: Tensor = self.combine(dropout(both, self.rate, self.training))
        return out

    def _gated(self, name: str, values: Tensor, hop: Tensor) -> Tensor:
        if self.hops is None:
            return values
        gated: Tensor = self.gates[name](values, self.hops.weight, hop, self.first)
        return gated


def _transform(dim: int) -> nn.Sequential:
    return nn.Sequential(
        Dense(dim, dim, bias=False), NormAct(dim, norm=True, relu=True, dropout=0.0)
    )


class GNNAK(nn.Module):
    """x ← x + dropout(relu(BN(KernelLayer(x)))), a readout, and a head: GNN-AK+ around GINE.

    Numbers of nodes enter by linear, batch norm and ReLU, categories by their embeddings. Each
    layer embeds the categories of edges anew, D + H wide; edges without any share one vector. Head:
    dropout, linear without bias, batch norm, ReLU, linear. With context=false and hop_dim=0 it is
    GNN-AK.

    Shapes: nodes → x (N, D) → (B, D) → (B, T).
    Raises UserError for more than 18 hops.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        hop_dim: int,
        num_layers: int,
        num_inner_layers: int,
        hops: int,
        context: bool,
        combine: str,
        readout: str,
        dropout: float,
    ) -> None:
        super().__init__()
        if hops > MOST_HOPS:
            raise UserError(f"model.hops={hops}: allowed is a number at most {MOST_HOPS}")
        self.dropout = dropout
        floats = num_layers * (8 + 6 * num_inner_layers) * (hidden_dim + hop_dim)
        self.bagging = Bagging("ego-nets", hops, cut=True, floats=floats)
        self.encoder = NodeEncoder(spec, hidden_dim)
        self.enter = None
        if spec.node_categories is None:
            self.enter = NormAct(hidden_dim, norm=True, relu=True, dropout=0.0)
        kinds = spec.edge_categories or (1,)
        self.edges = nn.ModuleList(
            Embeddings(kinds, hidden_dim + hop_dim) for _ in range(num_layers)
        )
        self.layers = nn.ModuleList(
            KernelLayer(
                hidden_dim,
                hop_dim,
                num_inner_layers=num_inner_layers,
                context=context,
                combine=combine,
                reduce=readout,
                rate=dropout,
            )
            for _ in range(num_layers)
        )
        self.norm_acts = nn.ModuleList(
            NormAct(hidden_dim, norm=True, relu=True, dropout=dropout) for _ in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head = nn.Sequential(
            Dense(hidden_dim, hidden_dim, bias=False),
            NormAct(hidden_dim, norm=True, relu=True, dropout=0.0),
            Dense(hidden_dim, spec.num_outputs),
        )

    def forward(self, batch: Batch) -> Tensor:
        bag = bag_of(batch, self.bagging)
        x: Tensor = self.encoder(batch)
        if self.enter is not None:
            x = self.enter(x)
        if batch.edge_code is None or batch.edge_combos is None:
            code = torch.zeros(bag.graph.num_entries, dtype=torch.uint8, device=x.device)
            kinds = code.new_zeros(1, 1)
        else:
            code, kinds = batch.edge_code.index_select(0, bag.edge), batch.edge_combos
        for edges, layer, norm_act in zip(self.edges, self.layers, self.norm_acts, strict=True):
            x = norm_act(layer(bag, x, edges(kinds), code), x)
        out: Tensor = self.head(dropout(self.readout(batch, x), self.dropout, self.training))
        return out
