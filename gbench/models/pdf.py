"""PDF, parameterized decomposition and filtering: Yang et al., ICML 2023.

Legend: N nodes, E entries, P = Σ n² pairs, K bases, D hidden_dim, U kinds of bonds, B graphs, C
outputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import CSR, embedding_sum, pair_conv, pair_softmax, segment_reduce, spmm
from gbench.kernels.linear import linear
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import Embeddings, NodeFeatures
from gbench.models.graph_head import GraphHead, activation
from gbench.models.norm_act import NormAct
from gbench.models.pair_features import (
    entries_of,
    pair_values,
    pairs_of,
)
from gbench.models.readout import Readout


class DenseNormAct(nn.Module):
    """act(norm(W x + b)), norm one of batch, layer and none. Shapes: x (R, I) → (R, D)."""

    def __init__(self, in_dim: int, dim: int, *, norm: str, act: str) -> None:
        super().__init__()
        self.linear = Dense(in_dim, dim)
        self.norm_act = NormAct(dim, norm=norm, relu=act == "relu", dropout=0.0)
        self.act = activation("gelu") if act == "gelu" else None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm_act(self.linear(x))
        return out if self.act is None else self.act(out)


class PDFLayer(nn.Module):
    """h ← h + drop(Σ_j f_ij ⊙ act(W (h_j + e_ij) + b));  h ← h + drop(two DenseNormAct of it).

    e_ij embeds the bond (j → i), where edges have categories, and without a bond the first category
    of each: the messages are those of no bond, of each node once, and for each bond the difference.

    Shapes: h (N, D), f (P, D), bonds (U, D) with no bond first → (N, D).
    """

    def __init__(self, dim: int, *, norm: str, act: str, dropout: float) -> None:
        super().__init__()
        self.linear = Dense(dim, dim)
        self.act = activation(act)
        self.first = DenseNormAct(dim, dim, norm=norm, act=act)
        self.second = DenseNormAct(dim, dim, norm=norm, act=act)
        self.dropout = dropout

    def forward(self, batch: Batch, h: Tensor, f: Tensor, bonds: Tensor | None) -> Tensor:
        u = self.linear(h)
        if bonds is None:
            told = pair_conv(pairs_of(batch), f, self.act(u).to(f.dtype))
        else:
            table = linear(bonds, self.linear.weight)
            told = pair_conv(pairs_of(batch), f, self.act(u + table[0]).to(f.dtype))
            told = told + self._of_bonds(batch, u, f, table)
        h = h + dropout(told, self.dropout, self.training)
        out: Tensor = h + dropout(self.second(self.first(h)), self.dropout, self.training)
        return out

    def _of_bonds(self, batch: Batch, u: Tensor, f: Tensor, table: Tensor) -> Tensor:
        """What bonds say beyond what would be said without them. Shapes: → (N, D)."""
        assert batch.edge_code is not None
        zero = torch.zeros(1, dtype=torch.int64, device=u.device)
        kind = embedding_sum(batch.edge_code.long()[:, None] + 1, table, zero)
        sender = spmm(_senders(batch), u)
        more = self.act(sender + kind) - self.act(sender + table[0])
        of_edges = f.index_select(0, entries_of(batch)) * more.to(f.dtype)
        return segment_reduce(batch.graph.rowptr, of_edges, "sum", batch.graph.longest)


def _senders(batch: Batch) -> CSR:
    """The pattern E × N of each entry's sender: an index whose gradient is summed in one order."""
    if "pdf_senders" not in batch.memo:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            graph = batch.graph
            count = torch.arange(graph.num_entries + 1, dtype=torch.int32, device=graph.device)
            arrays = (count, graph.col, graph.rowptr_t, graph.perm_t, graph.perm_t)
            batch.memo["pdf_senders"] = CSR(*arrays, longest=graph.longest)
    found: CSR = batch.memo["pdf_senders"]
    return found


class PDF(nn.Module):
    """PDFLayers with one filter for all, f = drop(DenseNormAct twice of the bases), and a readout.

    With `softmax` f is a softmax over the senders j, of each channel by itself.

    Shapes: bases (P, K) → f (P, D); h (N, D) → (B, D) → (B, C).
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py
    needs: ClassVar = ("pairs",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        norm: str,
        filter_norm: str,
        softmax: bool,
        act: str,
        readout: str,
        head: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.features = NodeFeatures(spec, hidden_dim)
        self.bonds = None
        if spec.edge_categories is not None:
            self.bonds = Embeddings(spec.edge_categories, hidden_dim, normal=True)
        self.filter = nn.Sequential(
            DenseNormAct(spec.pair_dim, hidden_dim, norm=filter_norm, act=act),
            DenseNormAct(hidden_dim, hidden_dim, norm=filter_norm, act=act),
        )
        self.softmax, self.dropout = softmax, dropout
        self.layers = nn.ModuleList(
            PDFLayer(hidden_dim, norm=norm, act=act, dropout=dropout) for _ in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head = GraphHead(head, hidden_dim, spec.num_outputs, act, rate=dropout)

    def forward(self, batch: Batch) -> Tensor:
        f = dropout(self.filter(pair_values(batch)), self.dropout, self.training)
        if self.softmax:
            f = pair_softmax(pairs_of(batch), f)
        h, bonds = self.features(batch), self._kinds(batch)
        for layer in self.layers:
            h = layer(batch, h, f, bonds)
        out: Tensor = self.head(self.readout(batch, h))
        return out

    def _kinds(self, batch: Batch) -> Tensor | None:
        """No bond, then each combination of the batch's. Shapes: → (1 + U, D)."""
        if self.bonds is None or batch.edge_combos is None:
            return None
        combos = batch.edge_combos
        table: Tensor = self.bonds(torch.cat([combos.new_zeros(1, combos.size(1)), combos]))
        return table
