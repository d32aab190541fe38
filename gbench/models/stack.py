"""Convolutions one after another, with a norm, linear skips and a sum of layers where asked for.

The arrangement of GraphSAGE and of Luo, Shi and Wu, "Classic GNNs are Strong Baselines", NeurIPS
2024.

Legend: N nodes, F features, D hidden_dim, C outputs, L num_layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import input_features
from gbench.models.linear import Linear
from gbench.models.norm_act import NormAct

JK = ("last", "sum", "max", "cat")


class Stack(nn.Module):
    """z_l = conv_l(h_{l-1}) (+ W_l h_{l-1} + b_l), h_l = drop(relu(norm(z_l))).

    With linear_head the classes are W h_L + b (of h_1 .. h_L with another `jk` than last: their
    sum, their maximum, or side by side); without, the last convolution ends in them. With
    pre_linear h_0 = drop(W x + b). Categories are embedded first, a positional encoding stands
    beside dense features.

    Shapes: x (N, F) → (N, D) → ... → (N, C).
    Raises UserError for a `jk` that is unknown, or that has no linear head.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        convolution: Callable[[int, int], nn.Module],
        *,
        hidden_dim: int,
        num_layers: int,
        norm: str,
        residual: bool,
        jk: str,
        linear_head: bool,
        pre_linear: bool,
        input_dropout: float,
        dropout: float,
        allow_sparse: bool = True,
    ) -> None:
        super().__init__()
        if jk not in JK or (jk != "last" and not linear_head):
            raise UserError(
                f"model.jk={jk}: pass one of {', '.join(JK)}, all but last with a linear head "
                "(model.linear_head=true of sage)"
            )
        self.input_dropout, self.jk, self.width = input_dropout, jk, hidden_dim
        self.encoder, in_dim = input_features(
            spec, hidden_dim, allow_sparse=allow_sparse or pre_linear
        )
        self.before: nn.Module | None = None
        if pre_linear:
            self.before = Linear(in_dim, hidden_dim)
            self.before_act = NormAct(hidden_dim, norm="none", relu=False, dropout=dropout)
            in_dim = hidden_dim
        widths = [in_dim, *[hidden_dim] * num_layers]
        if not linear_head:
            widths[-1] = spec.num_outputs
        pairs = list(itertools.pairwise(widths))
        self.layers = nn.ModuleList(convolution(a, b) for a, b in pairs)
        self.skips = nn.ModuleList(Linear(a, b) for a, b in pairs if residual)
        self.norm_acts = nn.ModuleList(
            NormAct(hidden_dim, norm=norm, relu=True, dropout=dropout)
            for _ in range(num_layers - (not linear_head))
        )
        self.head: nn.Module | None = None
        if linear_head:
            width = hidden_dim * (num_layers if jk == "cat" else 1)
            self.head = Dense(width, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        x = self.embed(batch)
        for step in self.steps():
            x = step(batch, x)
        return x

    def embed(self, batch: Batch) -> Tensor:
        """The features as they enter the first layer (see gbench/train/layerwise.py)."""
        x: Tensor = dropout(self.encoder(batch), self.input_dropout, self.training)
        if self.before is not None:
            x = self.before_act(self.before(x))
        return x

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The layers. Where `jk` takes several, what is made of those before stands beside h_l."""
        return [partial(self._step, index) for index in range(len(self.layers))]

    def _step(self, index: int, batch: Batch, x: Tensor) -> Tensor:
        hidden, made = x, None
        if self.jk != "last" and index > 0:
            hidden, made = x[:, -self.width :], x[: batch.num_nodes, : -self.width]
        out: Tensor = self.layers[index](batch, hidden)
        if self.skips:
            out = out + self.skips[index](_rows(hidden, batch.num_nodes))
        if self.head is None and index + 1 == len(self.layers):
            return out
        out = self.norm_acts[index](out)
        if self.jk != "last":
            made = self._joined(made, out)
        if index + 1 < len(self.layers):
            return out if made is None else torch.cat([made, out], 1)
        assert self.head is not None
        logits: Tensor = self.head(out if made is None else made)
        return logits

    def _joined(self, made: Tensor | None, out: Tensor) -> Tensor:
        """Of h_1 .. h_l what the head will read, from that of the layers before."""
        if made is None:
            return out
        if self.jk == "cat":
            return torch.cat([made, out], 1)
        return made + out if self.jk == "sum" else torch.maximum(made, out)


def _rows(x: Tensor, count: int) -> Tensor:
    """The first rows, which a layer answers for; sparse features come as a whole graph's."""
    return x[:count] if isinstance(x, Tensor) else x
