"""GRIT: Ma et al., "Graph Inductive Biases in Transformers without Message Passing", ICML 2023.

Legend: N nodes, P = Σ n² pairs, K values of a pair, D hidden_dim, H heads of F = D / H, B graphs, C
outputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import pair_conv, pair_gate, pair_softmax, pair_sum
from gbench.models.ckgconv import DegreeScaler, norm
from gbench.models.convolutions import check_heads
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import NodeFeatures
from gbench.models.graph_head import GraphHead
from gbench.models.pair_features import (
    EdgesOnPairs,
    own_values,
    pair_values,
    pairs_of,
)
from gbench.models.readout import Readout

BOUND = 5.0  # of the scores


def linear(in_dim: int, out_dim: int, *, bias: bool) -> Dense:
    """A linear layer whose weights start Xavier-normal."""
    made = Dense(in_dim, out_dim, bias=bias)
    nn.init.xavier_normal_(made.weight)
    return made


class PairAttention(nn.Module):
    """Attention by what two nodes and their pair say, which becomes the pair's new state.

        ê_ij = relu(ρ((Q h_i + K h_j) ⊙ W e_ij) + B e_ij),    ρ(t) = sign(t) √|t|
        α_ij = drop(softmax_j(clamp(a · ê_ij, ±5)))            by head
        y_i  = Σ_j α_ij V h_j + (Σ_j α_ij ê_ij) V'

    Shapes: h (N, D), e (P, D) → y (N, D), ê (P, D).
    """

    def __init__(self, dim: int, num_heads: int, *, dropout: float) -> None:
        super().__init__()
        size = dim // num_heads
        self.query = linear(dim, dim, bias=True)
        self.key, self.value = linear(dim, dim, bias=False), linear(dim, dim, bias=False)
        self.edge = linear(dim, 2 * dim, bias=True)
        self.score = nn.Parameter(torch.empty(size, num_heads))
        self.enhance = nn.Parameter(torch.empty(size, num_heads, size))
        nn.init.xavier_normal_(self.score)
        nn.init.xavier_normal_(self.enhance)
        self.dropout = dropout

    def forward(self, batch: Batch, h: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        pairs, heads = pairs_of(batch), self.score.size(1)
        state = pair_gate(pairs, self.query(h), self.key(h), self.edge(e))
        # a · ê by head is a product with a matrix of one block for each head
        apart = torch.eye(heads, dtype=self.score.dtype, device=state.device)
        blocks = (apart[:, None] * self.score).flatten(0, 1)
        weight = pair_softmax(pairs, (state @ blocks.to(state.dtype)).clamp(-BOUND, BOUND))
        weight = dropout(weight, self.dropout, self.training)
        told = pair_sum(pairs, weight, state).unflatten(1, (heads, -1))
        told = torch.einsum("nhd,dhc->nhc", told, self.enhance.to(told.dtype)).flatten(1)
        return pair_conv(pairs, weight, self.value(h)) + told, state


class GRITLayer(nn.Module):
    """h ← BN(h + O s(y)), e ← BN(e + O' ê), h ← BN(h + W' relu(W h)); y and ê of PairAttention.

    s is the DegreeScaler by log(1 + deg), the inner width of the last 2 D. The last layer of a
    model leaves e as it is: nobody reads it.

    Shapes: h (N, D), e (P, D) → the same.
    """

    def __init__(
        self, dim: int, num_heads: int, *, dropout: float, attention_dropout: float, is_last: bool
    ) -> None:
        super().__init__()
        self.attention = PairAttention(dim, num_heads, dropout=attention_dropout)
        self.scaler = DegreeScaler(dim)
        self.output = Dense(dim, dim)
        self.first_norm, self.second_norm = norm(dim), norm(dim)
        self.edge_output = None if is_last else Dense(dim, dim)
        self.edge_norm = None if is_last else norm(dim)
        self.first, self.second = Dense(dim, 2 * dim), Dense(2 * dim, dim)
        self.dropout = dropout

    def forward(self, batch: Batch, h: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        told, state = self.attention(batch, h, e)
        degree = batch.graph.in_degree.to(told.dtype)
        told = dropout(self.scaler(told, (1 + degree).log()), self.dropout, self.training)
        h = self.first_norm(h + self.output(told))
        if self.edge_output is not None and self.edge_norm is not None:
            state = dropout(state, self.dropout, self.training)
            e = self.edge_norm(e + self.edge_output(state))
        told = dropout(self.first(h).relu(), self.dropout, self.training)
        told = dropout(self.second(told), self.dropout, self.training)
        return self.second_norm(h + told), e


class GRIT(nn.Module):
    """GRITLayers after h_i = x_i + W [w_ii | pe_i] and e_ij = W' w_ij + (the edge's features).

    w_ij are the pair's values (RRWP: I, M, ..., M^(K - 1)); a readout and an MLP follow.

    Shapes: h (N, D), e (P, D) → (B, D) → (B, C).
    Raises UserError where the heads do not divide D.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py
    needs: ClassVar = ("pairs",)

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        readout: str,
        head: str,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        check_heads(hidden_dim, num_heads)
        self.features = NodeFeatures(spec, hidden_dim)
        self.own = Dense(spec.pair_dim + spec.pe_dim, hidden_dim, bias=False)
        self.pairs = Dense(spec.pair_dim, hidden_dim, bias=False)
        nn.init.xavier_uniform_(self.own.weight)
        nn.init.xavier_uniform_(self.pairs.weight)
        self.edges = EdgesOnPairs(spec, hidden_dim)
        self.layers = nn.ModuleList(
            GRITLayer(
                hidden_dim,
                num_heads,
                dropout=dropout,
                attention_dropout=attention_dropout,
                is_last=layer == num_layers - 1,
            )
            for layer in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head = GraphHead(head, hidden_dim, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        own = own_values(batch)
        if batch.pe is not None:
            own = torch.cat([own, batch.pe], 1)
        h = self.features(batch) + self.own(own)
        e = self.edges(batch, self.pairs(pair_values(batch)))
        for layer in self.layers:
            h, e = layer(batch, h, e)
        out: Tensor = self.head(self.readout(batch, h))
        return out
