"""GNN+: Luo, Shi & Wu, "Can Classic GNNs Be Strong Baselines for Graph-level Tasks?", ICML 2025.

Legend: N nodes, E entries, B graphs, D hidden_dim, C outputs.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.edge_convolutions import (
    GINE,
    EdgeGCN,
    EdgeInput,
    Edges,
    GatedGCN,
    NormActivation,
    check_conv,
)
from gbench.models.encodings_beside import EncodingsBeside
from gbench.models.graph_head import GraphHead, activation
from gbench.models.norm_act import NormAct
from gbench.models.readout import Readout


class FeedForward(nn.Module):
    """h ← BN(h);  h ← BN(h + drop(W_2 drop(act(W_1 h)))), of width 2 D. Shapes: (N, D) → (N, D)."""

    def __init__(self, dim: int, act: str, *, dropout: float) -> None:
        super().__init__()
        self.before, self.after = (
            NormAct(dim, norm=True, relu=False, dropout=0.0) for _ in range(2)
        )
        self.first, self.second = Dense(dim, 2 * dim), Dense(2 * dim, dim)
        self.act, self.rate = activation(act), dropout

    def forward(self, h: Tensor) -> Tensor:
        h = self.before(h)
        inner = dropout(self.act(self.first(h)), self.rate, self.training)
        out: Tensor = self.after(h + dropout(self.second(inner), self.rate, self.training))
        return out


class PlusLayer(nn.Module):
    """h ← h + drop(act(BN(conv(h, e)))), without h where not `residual`, then FeedForward if asked.

    GINE has no BN here. GatedGCN moves the edges too.

    Shapes: h (N, D), e Edges → (N, D), Edges.
    """

    def __init__(
        self,
        conv: str,
        dim: int,
        *,
        act: str,
        residual: bool,
        ffn: bool,
        dropout: float,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.gated: GatedGCN | None = None
        self.conv: nn.Module | None = None
        self.norm: NormActivation | None = None
        self.residual, self.rate, self.act = residual, dropout, activation(act)
        if conv == "gated-gcn":
            self.gated = GatedGCN(dim, act, residual=residual, dropout=dropout, last=last)
        elif conv == "gine":
            self.conv = GINE(dim, act)
        else:
            self.conv, self.norm = EdgeGCN(dim), NormActivation(dim, act, dropout=dropout)
        self.ffn = FeedForward(dim, act, dropout=dropout) if ffn else None

    def forward(self, batch: Batch, h: Tensor, edges: Edges) -> tuple[Tensor, Edges]:
        if self.gated is not None:
            h, edges = self.gated(batch, h, edges)
        else:
            assert self.conv is not None
            z, before = self.conv(batch, h, edges), h if self.residual else None
            if self.norm is not None:
                h = self.norm(z, before)
            else:
                z = dropout(self.act(z), self.rate, self.training)
                h = z if before is None else before + z
        return h if self.ffn is None else self.ffn(h), edges


class DroppingHead(nn.Module):
    """(L - 1) times dropout, linear, activation; then dropout and linear: (B, D) → (B, C)."""

    def __init__(
        self, num_layers: int, dim: int, outputs: int, act: str, *, dropout: float
    ) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(Dense(dim, dim) for _ in range(num_layers - 1))
        self.last = Dense(dim, outputs)
        self.act, self.rate = activation(act), dropout

    def forward(self, x: Tensor) -> Tensor:
        for linear in self.hidden:
            x = self.act(linear(dropout(x, self.rate, self.training)))
        out: Tensor = self.last(dropout(x, self.rate, self.training))
        return out


class GNNPlus(nn.Module):
    """GCN with edges, GINE or GatedGCN with residuals, norms, dropout and feed-forward parts.

    head=halves: linear layers of D, D / 2 and D / 4; head=mlp: head_layers of D with dropout.
    Encodings stand beside the features, as in GPS.

    Shapes: x (N, F) → (N, D) → (B, D) → (B, C).
    Raises UserError for another convolution and where the encodings leave no columns of D for the
    features.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        conv: str,
        hidden_dim: int,
        num_layers: int,
        pe_dim: int,
        act: str,
        residual: bool,
        ffn: bool,
        readout: str,
        head: str,
        head_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check_conv(conv, ("gcn", "gine", "gated-gcn"))
        self.nodes = EncodingsBeside(spec, hidden_dim, pe_dim)
        self.edges = EdgeInput(spec, hidden_dim, dense=conv == "gated-gcn")
        self.layers = nn.ModuleList(
            PlusLayer(
                conv,
                hidden_dim,
                act=act,
                residual=residual,
                ffn=ffn,
                dropout=dropout,
                last=layer + 1 == num_layers,
            )
            for layer in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head: nn.Module
        if head == "mlp":
            outputs = spec.num_outputs
            self.head = DroppingHead(head_layers, hidden_dim, outputs, act, dropout=dropout)
        else:
            self.head = GraphHead(head, hidden_dim, spec.num_outputs, act)

    def forward(self, batch: Batch) -> Tensor:
        h: Tensor = self.nodes(batch)
        edges = self.edges(batch)
        for layer in self.layers:
            h, edges = layer(batch, h, edges)
        out: Tensor = self.head(self.readout(batch, h))
        return out
