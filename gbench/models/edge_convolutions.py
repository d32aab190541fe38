"""The convolutions of GraphGPS and GNN+, which read edges: GINE, GCN with edges, and GatedGCN.

Legend: N nodes, E entries, U combinations of an edge's categories, D hidden_dim.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import gine_aggregate
from gbench.kernels.gated_aggregate import gated_aggregate
from gbench.kernels.gine_dense import gine_dense
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.edge_encoder import EdgeEncoder
from gbench.models.graph_head import activation
from gbench.models.norm_act import NormAct


def check_conv(conv: str, known: tuple[str, ...]) -> None:
    """Raise UserError for a convolution that a model does not have."""
    if conv not in known:
        raise UserError(f"model.conv={conv}: this model has {', '.join(known)}")


class Edges(NamedTuple):
    """A row for each entry, (E, D) without a code; or a table (U, D) and each entry's row (E,)."""

    rows: Tensor
    code: Tensor | None = None


class EdgeInput(nn.Module):
    """Edges as the first layer reads them; without features all share one vector, which is learned.

    Shapes: → Edges, with a row for each entry where `dense`.
    """

    def __init__(self, spec: DataSpec, dim: int, *, dense: bool) -> None:
        super().__init__()
        has_edges = bool(spec.edge_categories or spec.edge_dim)
        self.encoder = EdgeEncoder(spec, dim, normal=True) if has_edges else None
        self.shared = None if has_edges else nn.Parameter(torch.randn(1, dim))
        self.dense = dense

    def forward(self, batch: Batch) -> Edges:
        entries = batch.graph.num_entries
        if self.shared is not None:
            if self.dense:
                return Edges(self.shared.expand(entries, -1))
            code = torch.zeros(entries, dtype=torch.uint8, device=self.shared.device)
            return Edges(self.shared, code)
        assert self.encoder is not None
        if self.dense or self.encoder.linear is not None or batch.edge_combos is None:
            rows = self.encoder(batch)
            assert rows is not None
            return Edges(rows)
        assert self.encoder.embeddings is not None
        return Edges(self.encoder.embeddings(batch.edge_combos), batch.edge_code)


def edge_sum(batch: Batch, x: Tensor, edges: Edges, eps: Tensor) -> Tensor:
    """(1 + ε) x_i + Σ_{j→i} relu(x_j + e_ij). Shapes: x (N, D) → (N, D)."""
    if edges.code is None:
        return gine_dense(batch.graph, x, edges.rows.to(x.dtype), eps)
    return gine_aggregate(batch.graph, x, edges.rows, edges.code, eps)


class GINE(nn.Module):
    """MLP(x_i + Σ_{j→i} relu(x_j + e_ij)), MLP = linear, activation, linear; edges stay.

    Shapes: x (N, D) → (N, D).
    """

    dense = False
    eps: Tensor

    def __init__(self, dim: int, act: str) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Dense(dim, dim), activation(act), Dense(dim, dim))
        self.register_buffer("eps", torch.zeros(()), persistent=False)

    def forward(self, batch: Batch, x: Tensor, edges: Edges) -> Tensor:
        out: Tensor = self.mlp(edge_sum(batch, x, edges, self.eps.to(x.dtype)))
        return out


class EdgeGCN(nn.Module):
    """Σ_{j→i} relu(W x_j + e_ij) + b, as GNN+ runs GCN with edges; edges stay.

    No degree divides the sum, and a node's own vector is not in it.

    Shapes: x (N, D) → (N, D).
    """

    dense = False
    eps: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = Dense(dim, dim, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("eps", -torch.ones(()), persistent=False)  # the node's own part: none

    def forward(self, batch: Batch, x: Tensor, edges: Edges) -> Tensor:
        x = self.linear(x)
        return edge_sum(batch, x, edges, self.eps.to(x.dtype)) + self.bias


class GatedGCN(nn.Module):
    """GatedGCN with the state of edges, as Dwivedi et al. (JMLR 2023) and GraphGPS have it.

        s_ij = D x_i + E x_j + C e_ij       y_i = A x_i + Σ_j σ(s_ij) ⊙ B x_j / (Σ_j σ(s_ij) + 1e-6)
        x_i ← x_i + dropout(act(batch_norm(y_i)))       e_ij ← e_ij + dropout(act(batch_norm(s_ij)))

    The first terms are there with `residual`. Of the `last` layer nobody reads the edges: they stay
    as they are, without a batch norm, which official code allocates and counts. A batch in a frame
    is not known of its edges.

    Shapes: x (N, D), e (E, D) → (N, D), (E, D).
    """

    dense = True

    def __init__(
        self, dim: int, act: str, *, residual: bool, dropout: float, last: bool = False
    ) -> None:
        super().__init__()
        self.own, self.value, self.edge, self.receiver, self.sender = (
            Dense(dim, dim) for _ in range(5)
        )
        self.node_norm = NormActivation(dim, act, dropout=dropout)
        self.edge_norm = None if last else NormActivation(dim, act, dropout=dropout)
        self.residual = residual

    def forward(self, batch: Batch, x: Tensor, edges: Edges) -> tuple[Tensor, Edges]:
        e = edges.rows
        given = (self.edge(e), self.receiver(x), self.sender(x), self.value(x))
        averaged, state = gated_aggregate(batch.graph, *given)
        y = self.own(x) + averaged
        y = self.node_norm(y, x if self.residual else None)
        if self.edge_norm is None:
            return y, edges
        return y, Edges(self.edge_norm(state, e if self.residual else None))


class NormActivation(nn.Module):
    """x' + dropout(act(batch_norm(x))), fused where act is relu.

    Shapes: x (N, D), residual x' (N, D) or None → (N, D).
    """

    def __init__(self, dim: int, act: str, *, dropout: float) -> None:
        super().__init__()
        self.fused = act == "relu"
        rate = dropout if self.fused else 0.0
        self.norm_act = NormAct(dim, norm=True, relu=self.fused, dropout=rate)
        self.act, self.rate = activation(act), dropout

    def forward(
        self, x: Tensor, residual: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        if self.fused:
            out: Tensor = self.norm_act(x, residual, rows)
            return out
        x = dropout(self.act(self.norm_act(x, rows=rows)), self.rate, self.training)
        return x if residual is None else residual + x
