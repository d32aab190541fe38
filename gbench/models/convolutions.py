"""The message passing layers of He et al. (ICML 2023), on patches and on whole graphs.

All keep the width and have no bias of their own where a batch norm follows. An edge's features are
a row of a table, the same in every layer.

Legend: N nodes (or their copies), E entries, D hidden_dim, H heads of F = D / H, U rows of table.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import (
    CSR,
    edge_softmax,
    embedding_sum,
    gcn_propagate,
    gine_aggregate,
    norm_act,
    segment_reduce,
)
from gbench.models.dense import Dense
from gbench.models.encoders import Embeddings, NodeEncoder
from gbench.models.entries import of_columns, of_rows
from gbench.models.norm_act import NormAct


class GINE(nn.Module):
    """MLP((1 + ε) x_i + Σ_{j→i} relu(x_j + e_ij)), MLP = linear, batch norm, ReLU, linear.

    Shapes: x (N, D), table (U, D), code (E,) → (N, D).
    """

    reads_edges = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(()))
        self.mlp = nn.Sequential(
            Dense(dim, dim, bias=False),
            NormAct(dim, norm=True, relu=True, dropout=0.0),
            Dense(dim, dim, bias=False),
        )

    def forward(self, graph: CSR, x: Tensor, table: Tensor, code: Tensor) -> Tensor:
        out: Tensor = self.mlp(gine_aggregate(graph, x, table, code, self.eps))
        return out


class GCN(nn.Module):
    """S x W with S = D^-1/2 (A + I) D^-1/2; edge features are not read.

    Shapes: x (N, D) → (N, D).
    """

    reads_edges = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = Dense(dim, dim, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, graph: CSR, x: Tensor) -> Tensor:
        return gcn_propagate(graph, self.linear(x))


class GatedGCN(nn.Module):
    """W x_i + Σ_{j→i} sigmoid(K x_i + Q x_j) ⊙ V x_j (Bresson & Laurent, 2017).

    K, Q and V have biases; edge features are not read.

    Shapes: x (N, D) → (N, D).
    """

    reads_edges = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.key = Dense(dim, dim)
        self.query = Dense(dim, dim)
        self.value = Dense(dim, dim)
        self.skip = Dense(dim, dim, bias=False)

    def forward(self, graph: CSR, x: Tensor) -> Tensor:
        gate_ED = (of_rows(graph, self.key(x)) + of_columns(graph, self.query(x))).sigmoid()
        message_ED = gate_ED * of_columns(graph, self.value(x))
        out: Tensor = self.skip(x) + segment_reduce(graph.rowptr, message_ED)
        return out


class Transformer(nn.Module):
    """W x_i + Σ_{j→i} α_ij (V x_j + E e_ij), 8 heads side by side (Shi et al., IJCAI 2021).

    α_ij is the softmax over j of Q x_i · (K x_j + E e_ij) / √F.

    Shapes: x (N, D), table (U, D), code (E,) → (N, D).
    Raises UserError where the heads do not divide D.
    """

    reads_edges = True
    heads = 8

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_heads(dim, self.heads)
        self.query = Dense(dim, dim, bias=False)
        self.key = Dense(dim, dim, bias=False)
        self.value = Dense(dim, dim, bias=False)
        self.edge = Dense(dim, dim, bias=False)
        self.skip = Dense(dim, dim, bias=False)
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    first: Tensor

    def forward(self, graph: CSR, x: Tensor, table: Tensor, code: Tensor) -> Tensor:
        edge_ED = embedding_sum(code[:, None], self.edge(table), self.first)
        key_ED = of_columns(graph, self.key(x)) + edge_ED
        value_ED = of_columns(graph, self.value(x)) + edge_ED
        by_head = (self.heads, x.size(1) // self.heads)
        score_EH = (of_rows(graph, self.query(x)) * key_ED).unflatten(1, by_head).sum(2)
        score_EH = score_EH / math.sqrt(by_head[1])
        attended = edge_softmax(_entry_by_entry(graph), score_EH, value_ED.unflatten(1, by_head))
        out: Tensor = self.skip(x) + attended.flatten(1)
        return out


def _entry_by_entry(graph: CSR) -> CSR:
    """The same rows, but every entry is a column of its own: N × E."""
    entries = torch.arange(graph.num_entries + 1, dtype=torch.int32, device=graph.device)
    rows = graph.row.int()
    return CSR(graph.rowptr, entries[:-1], entries, rows, entries[:-1], longest=graph.longest)


def check_heads(dim: int, heads: int) -> None:
    """Raise UserError where `heads` do not divide `dim`."""
    if dim % heads:
        raise UserError(f"model.hidden_dim={dim}: attention has {heads} heads, take a multiple")


CONVOLUTIONS: dict[str, type[GINE] | type[GCN] | type[GatedGCN] | type[Transformer]] = {
    "gine": GINE,
    "gcn": GCN,
    "gated-gcn": GatedGCN,
    "transformer": Transformer,
}


class ResidualLayer(nn.Module):
    """x + dropout(relu(batch_norm(conv(x)))), conv one of CONVOLUTIONS.

    Shapes: x (N, D), edges (table (U, D), code (E,)) or () → (N, D).
    """

    def __init__(self, conv: str, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[conv](dim)
        self.norm = nn.BatchNorm1d(dim)
        self.dropout = dropout

    def forward(self, graph: CSR, x: Tensor, edges: tuple[Tensor, ...]) -> Tensor:
        return norm_act(self.conv(graph, x, *edges), self.norm, dropout=self.dropout, residual=x)


class InputEncoder(nn.Module):
    """Nodes as of NodeEncoder, and a table of edge features where the convolution reads them.

    Without categories all edges share one vector, which is learned.

    Shapes: → x (N, D), edges (table (U, D), code (E,)) or ().
    """

    def __init__(self, spec: DataSpec, conv: str, dim: int) -> None:
        super().__init__()
        self.nodes = NodeEncoder(spec, dim)
        self.edges = None
        if CONVOLUTIONS[conv].reads_edges:
            self.edges = Embeddings(spec.edge_categories or (1,), dim)
        # OGB's encoders, of 9 and 3 columns, start Xavier-uniform; the authors' others are a
        # default nn.Embedding.
        for encoder in (self.nodes.features, self.edges):
            if isinstance(encoder, Embeddings) and encoder.offsets.numel() < 3:
                nn.init.normal_(encoder.table)

    def forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        x: Tensor = self.nodes(batch)
        if self.edges is None:
            return x, ()
        if batch.edge_code is None or batch.edge_combos is None:
            code = torch.zeros(batch.graph.num_entries, dtype=torch.uint8, device=x.device)
            return x, (self.edges(code.new_zeros(1, 1)), code)
        return x, (self.edges(batch.edge_combos), batch.edge_code)


class Head(nn.Sequential):
    """Linear without bias, batch norm, ReLU, linear. Shapes: x (B, D) → (B, C)."""

    def __init__(self, dim: int, num_outputs: int) -> None:
        super().__init__(
            Dense(dim, dim, bias=False),
            NormAct(dim, norm=True, relu=True, dropout=0.0),
            Dense(dim, num_outputs),
        )
