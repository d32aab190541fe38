"""Blocks: Platonov et al., "A critical look at the evaluation of GNNs under heterophily", 2023.

Legend: N rows, M columns (M = N but in parts of a big graph), D hidden_dim, H heads, F = D / H,
E entries, C outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR, edge_softmax
from gbench.models.convolutions import check_heads
from gbench.models.convolve import gcn_average, neighbour_mean
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.entries import of_columns, of_rows
from gbench.models.gat import with_loops
from gbench.models.linear import Linear

BLOCKS = ("resnet", "gcn", "sage", "gat", "gat-sep", "gt", "gt-sep")


class FeedForward(nn.Module):
    """drop(W_2 gelu(drop(W_1 z + b_1)) + b_2). Shapes: z (N, parts · D) → (N, D)."""

    def __init__(self, dim: int, parts: int, rate: float) -> None:
        super().__init__()
        self.first, self.second, self.rate = Dense(parts * dim, dim), Dense(dim, dim), rate

    def forward(self, z: Tensor) -> Tensor:
        hidden = functional.gelu(dropout(self.first(z), self.rate, self.training))
        out: Tensor = dropout(self.second(hidden), self.rate, self.training)
        return out


class Own(nn.Module):
    """FFN(x_i). Shapes: x (M, D) → (N, D)."""

    parts = 1

    def __init__(self, dim: int, rate: float) -> None:
        super().__init__()
        self.ffn = FeedForward(dim, self.parts, rate)

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        out: Tensor = self.ffn(self._read(batch, x))
        return out

    def _read(self, batch: Batch, x: Tensor) -> Tensor:
        return x[: batch.num_nodes]


class Smoothed(Own):
    """FFN(S x) with S = D^-1/2 (A + I) D^-1/2. Shapes: x (M, D) → (N, D)."""

    uses: ClassVar = ("edge_weight",)
    roots_of_weights: ClassVar = True  # see gbench/models/edge_weights.py

    def _read(self, batch: Batch, x: Tensor) -> Tensor:
        return gcn_average(batch, x)


class Beside(Own):
    """FFN([x_i | the mean of the neighbours' x_j]). Shapes: x (M, D) → (N, D)."""

    parts = 2
    uses: ClassVar = ("edge_weight",)

    def _read(self, batch: Batch, x: Tensor) -> Tensor:
        return torch.cat([x[: batch.num_nodes], neighbour_mean(batch, x)], 1)


class Attention(nn.Module):
    """FFN of Σ_j α_ij y_j, y = W x + b, H heads side by side; with `sep` of [y_i | that sum].

    α is the softmax over the neighbours, without `sep` the node itself among them, of
    leaky_relu(⟨u, y_j⟩ + c + ⟨v, y_i⟩), of slope 0.2 below 0, u, c and v those of each head.

    Shapes: x (M, D) → (N, D).
    """

    def __init__(self, dim: int, heads: int, rate: float, *, sep: bool) -> None:
        super().__init__()
        self.sep, self.heads = sep, heads
        self.linear = Dense(dim, dim)
        self.other, self.own = Dense(dim, heads), Dense(dim, heads, bias=False)
        self.ffn = FeedForward(dim, 2 if sep else 1, rate)

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        graph = batch.graph if self.sep else with_loops(batch)
        y = self.linear(x)
        own = self.own(y[: batch.num_nodes])
        score = functional.leaky_relu(of_rows(graph, own) + of_columns(graph, self.other(y)), 0.2)
        made = edge_softmax(graph, score, y.unflatten(1, (self.heads, -1))).flatten(1)
        if self.sep:
            made = torch.cat([y[: batch.num_nodes], made], 1)
        out: Tensor = self.ffn(made)
        return out


class Transformer(nn.Module):
    """drop(W Σ_j α_ij V x_j + b), α the softmax over the neighbours of ⟨Q x_i, K x_j⟩ / √F.

    H heads side by side, Q, K and V with biases. Without `sep` a node is one of its neighbours;
    with it W reads [x_i | the sum].

    Shapes: x (M, D) → (N, D).
    """

    def __init__(self, dim: int, heads: int, rate: float, *, sep: bool) -> None:
        super().__init__()
        self.sep, self.heads, self.rate = sep, heads, rate
        self.query, self.key, self.value = (Dense(dim, dim) for _ in range(3))
        self.out = Dense(2 * dim if sep else dim, dim)

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        graph, own = batch.graph if self.sep else with_loops(batch), x[: batch.num_nodes]
        # E × D numbers that are made again on the way back and not kept
        score = checkpoint(
            _products,
            graph,
            self.query(own),
            self.key(x),
            self.heads,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        value = self.value(x).unflatten(1, (self.heads, -1))
        made = edge_softmax(graph, score, value).flatten(1)
        if self.sep:
            made = torch.cat([own, made], 1)
        out: Tensor = dropout(self.out(made), self.rate, self.training)
        return out


def _products(graph: CSR, query: Tensor, key: Tensor, heads: int) -> Tensor:
    """⟨Q x_i, K x_j⟩ / √F of each entry. Shapes: query (N, D), key (M, D) → (E, H)."""
    product_ED = of_rows(graph, query) * of_columns(graph, key)
    scale = math.sqrt(query.size(1) / heads)
    score: Tensor = product_ED.unflatten(1, (heads, -1)).sum(2) / scale
    return score


class Residual(nn.Module):
    """x + M(layer_norm(x)), for each M in turn; only the first looks at neighbours."""

    def __init__(self, block: str, dim: int, heads: int, rate: float) -> None:
        super().__init__()
        kind, _, sep = block.partition("-")
        self.normalization = nn.LayerNorm(dim)
        self.message: nn.Module
        self.after: FeedForward | None = None
        if kind == "gat":
            self.message = Attention(dim, heads, rate, sep=bool(sep))
        elif kind == "gt":
            self.message = Transformer(dim, heads, rate, sep=bool(sep))
            self.normalization_after = nn.LayerNorm(dim)
            self.after = FeedForward(dim, 1, rate)
        else:
            self.message = {"resnet": Own, "gcn": Smoothed, "sage": Beside}[kind](dim, rate)

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        out: Tensor = x[: batch.num_nodes] + self.message(batch, self.normalization(x))
        if self.after is not None:
            out = out + self.after(self.normalization_after(out))
        return out


class Platonov(nn.Module):
    """W_out layer_norm(h_L) + b, h_l a Residual of h_{l-1}, h_0 = gelu(drop(W_in x + b)).

    Only gcn, gat and gt add loops. Heads lie side by side in the D features; the authors' gat has
    them interleaved, which is another order of the same parameters. Categories are embedded first,
    a positional encoding stands beside dense features.

    Shapes: x (N, features) → (N, D) → ... → (N, C).
    Raises UserError for an unknown block and where heads do not divide D.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        block: str,
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if block not in BLOCKS:
            raise UserError(f"model.block={block}: pass one of {', '.join(BLOCKS)}")
        if block.startswith("g") and block != "gcn":
            check_heads(hidden_dim, num_heads)
        self.rate = dropout
        self.encoder, in_dim = input_features(spec, hidden_dim)
        self.first = Linear(in_dim, hidden_dim)
        self.layers = nn.ModuleList(
            Residual(block, hidden_dim, num_heads, dropout) for _ in range(num_layers)
        )
        self.normalization = nn.LayerNorm(hidden_dim)
        self.last = Dense(hidden_dim, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        x = self.embed(batch)
        for step in self.steps():
            x = step(batch, x)
        return x

    def embed(self, batch: Batch) -> Tensor:
        """h_0: see gbench/train/layerwise.py."""
        x = dropout(self.first(self.encoder(batch)), self.rate, self.training)
        return functional.gelu(x)

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The blocks."""
        return [partial(self._step, index) for index in range(len(self.layers))]

    def _step(self, index: int, batch: Batch, x: Tensor) -> Tensor:
        out: Tensor = self.layers[index](batch, x)
        if index + 1 < len(self.layers):
            return out
        logits: Tensor = self.last(self.normalization(out))
        return logits
