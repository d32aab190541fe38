"""SIR-GCN: Lim et al., "SIR-GCN", TMLR 2025.

Legend: N nodes, M columns of a layer's graph, E entries, D hidden_dim, B graphs, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import segment_reduce
from gbench.kernels.activated_sum import activated_sum
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.edge_encoder import EdgeEncoder
from gbench.models.encoders import NodeEncoder
from gbench.models.entries import of_columns, of_rows
from gbench.models.norm_act import NormAct
from gbench.models.readout import Readout

SLOPE = 0.2  # of leaky ReLU below zero


class SIRConv(nn.Module):
    """W_R ⊕_j c_ij σ(W_Q x_i + b_Q + W_K x_j + W_E e_ij) + b, over the in-neighbours j of i.

    ⊕ is a sum with c = 1, a mean, a sum with c = (d_j d_i)^-1/2 (sym), or the maximum of W_R σ(…),
    of which alone an entry has a vector of its own. d are in-degrees, of 1 at least, as of GCN
    here; the authors take the sender's out-degree, which differs where edges have no reverse.
    Dropout acts on the parts of σ's argument. A node without in-neighbours gets b, of max 0.

    Shapes: x (M, D) → (N, D).
    """

    def __init__(
        self, spec: DataSpec, dim: int, *, aggregate: str, act: str, edges: bool, dropout: float
    ) -> None:
        super().__init__()
        self.aggregate, self.act, self.rate = aggregate, act, dropout
        self.query, self.key = Dense(dim, dim), Dense(dim, dim, bias=False)
        self.value = Dense(dim, dim)
        has_edges = edges and bool(spec.edge_categories or spec.edge_dim)
        self.edges = EdgeEncoder(spec, dim, bias=False) if has_edges else None

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        graph = batch.graph
        query = self._dropped(self.query(x[: graph.num_rows]))
        key = self._dropped(self.key(x))
        edge, code = self._edges(batch)
        if self.aggregate == "max":
            inside = of_rows(graph, query) + of_columns(graph, key)
            if edge is not None:
                inside = inside + edge
            message = self.value(_activated(inside, self.act))
            return segment_reduce(graph.rowptr, message, "max", longest=graph.longest)
        degrees = graph.in_degree if batch.degree is None else batch.degree
        degree = degrees[: graph.num_rows].to(query.dtype)
        scale = None
        if self.aggregate == "sym":
            scale = degrees.clamp(min=1).to(query.dtype).rsqrt()
        slope = SLOPE if self.act == "leaky-relu" else 0.0
        kind = "gelu" if self.act == "gelu" else "relu"
        total = activated_sum(graph, query, key, edge, code, scale=scale, act=kind, slope=slope)
        if batch.degree is not None:  # in a part of a big graph, those present stand for all
            present = graph.in_degree.clamp(min=1).to(query.dtype)
            total = total * (degree / present)[:, None]
        least = degree.clamp(min=1)[:, None]
        if self.aggregate == "mean":
            total = total / least
        elif self.aggregate == "sym":
            total = total * least.rsqrt()
        out: Tensor = self.value(total)
        return out

    def _edges(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """A row for each combination of categories and the code of each entry, or rows alone.

        An entry has a row where it has a vector of its own: of max, and with dropout in training.
        """
        if self.edges is None:
            return None, None
        is_own = self.aggregate == "max" or (self.training and self.rate > 0)
        if self.edges.linear is None and batch.edge_combos is not None and not is_own:
            assert self.edges.embeddings is not None
            return self.edges.embeddings(batch.edge_combos), batch.edge_code
        rows = self.edges(batch)
        return None if rows is None else self._dropped(rows), None

    def _dropped(self, x: Tensor) -> Tensor:
        out: Tensor = dropout(x, self.rate, self.training)
        return out


def _activated(x: Tensor, act: str) -> Tensor:
    if act == "gelu":
        return functional.gelu(x)
    return functional.leaky_relu(x, SLOPE if act == "leaky-relu" else 0.0)


class Norm(nn.Module):
    """Batch or layer norm, before a leaky ReLU, ReLU or GELU where one is asked for.

    Shapes: x (N, D) → (N, D).
    """

    def __init__(self, dim: int, kind: str, act: str = "") -> None:
        super().__init__()
        self.batch_norm = None
        self.layer_norm = nn.LayerNorm(dim) if kind == "layer" else None
        if kind == "batch":
            self.batch_norm = NormAct(dim, norm=True, relu=False, dropout=0.0)
        self.act = act

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        if self.batch_norm is not None:
            x = self.batch_norm(x, rows=rows)
        elif self.layer_norm is not None:
            x = self.layer_norm(x)
        return _activated(x, self.act) if self.act else x


class SIRLayer(nn.Module):
    """One layer, by `frame`, the arrangement.

    plain      σ(norm(conv(x) + L x + b_L)), L with skip=linear; x + σ(…) with skip=identity
    platonov   x + drop(W gelu(drop(conv(norm(x)))) + b), as Platonov et al. (ICLR 2023) have it

    Shapes: x (M, D) → (N, D).
    """

    def __init__(
        self,
        spec: DataSpec,
        dim: int,
        *,
        frame: str,
        aggregate: str,
        act: str,
        layer_norm: bool,
        skip: str,
        edges: bool,
        dropout: float,
        conv_dropout: float,
    ) -> None:
        super().__init__()
        self.frame, self.skip, self.rate = frame, skip, dropout
        self.conv = SIRConv(
            spec, dim, aggregate=aggregate, act=act, edges=edges, dropout=conv_dropout
        )
        self.norm = Norm(
            dim, "layer" if layer_norm else "batch", "" if frame == "platonov" else act
        )
        has_linear = frame == "platonov" or skip == "linear"
        self.linear = Dense(dim, dim) if has_linear else None

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        own = x[: batch.num_nodes]
        if self.frame == "platonov":
            assert self.linear is not None
            y = self._dropped(self.conv(batch, self.norm(x)))
            return own + self._dropped(self.linear(functional.gelu(y)))
        y = self.conv(batch, x)
        if self.skip == "linear":
            assert self.linear is not None
            y = y + self.linear(own)
        y = self._dropped(self.norm(y, batch.valid_nodes))
        return own + y if self.skip == "identity" else y

    def _dropped(self, x: Tensor) -> Tensor:
        out: Tensor = dropout(x, self.rate, self.training)
        return out


class SIRGCN(nn.Module):
    """An encoder, SIR layers and a head, arranged by `frame`.

    platonov   of nodes: input dropout, GELU, layers, norm, a linear layer
    plain      of graphs: layers, then head=nodes: an MLP of each node, whose answers are summed; or
               head=graph: the readout, then an MLP of widths D / 2 and D / 4 with batch norm

    Shapes: x (N, F) → (N, D) → (B, C), or (N, C) of nodes.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        frame: str,
        aggregate: str,
        activation: str,
        layer_norm: bool,
        skip: str,
        edges: bool,
        readout: str,
        answers: str,
        input_dropout: float,
        dropout: float,
        conv_dropout: float,
    ) -> None:
        super().__init__()
        self.frame, self.input_dropout = frame, input_dropout
        self.encoder = NodeEncoder(spec, hidden_dim)
        self.layers = nn.ModuleList(
            SIRLayer(
                spec,
                hidden_dim,
                frame=frame,
                aggregate=aggregate,
                act=activation,
                layer_norm=layer_norm,
                skip=skip,
                edges=edges,
                dropout=dropout,
                conv_dropout=conv_dropout,
            )
            for _ in range(num_layers)
        )
        self.last_norm = (
            Norm(hidden_dim, "layer" if layer_norm else "batch") if frame == "platonov" else None
        )
        self.readout = Readout(spec, readout)
        self.reads_nodes = answers == "nodes" or spec.level == "node"
        self.head = _head(hidden_dim, spec.num_outputs, frame, answers, activation)

    def forward(self, batch: Batch) -> Tensor:
        x = self.embed(batch)
        for layer in self.layers:
            x = layer(batch, x)
        return self._answer(batch, x)

    def embed(self, batch: Batch) -> Tensor:
        """The features as they enter the first layer (see gbench/train/layerwise.py)."""
        x: Tensor = dropout(self.encoder(batch), self.input_dropout, self.training)
        return functional.gelu(x) if self.frame == "platonov" else x

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The layers of a node-level model, the last with the head."""
        return [partial(self._step, index) for index in range(len(self.layers))]

    def _step(self, index: int, batch: Batch, x: Tensor) -> Tensor:
        x = self.layers[index](batch, x)
        return self._answer(batch, x) if index + 1 == len(self.layers) else x

    def _answer(self, batch: Batch, x: Tensor) -> Tensor:
        if self.last_norm is not None:
            x = self.last_norm(x)
        out: Tensor
        if self.reads_nodes:
            out = self.readout(batch, self.head(x))
        else:
            out = self.head(self.readout(batch, x))
        return out


def _head(dim: int, outputs: int, frame: str, answers: str, act: str) -> nn.Module:
    if frame == "platonov":
        return Dense(dim, outputs)
    if answers == "nodes":
        return nn.Sequential(Dense(dim, dim), Activation(act), Dense(dim, outputs))
    widths = (dim, max(1, dim // 2), max(1, dim // 4))
    hidden = [
        layer
        for before, after in pairwise(widths)
        for layer in (Dense(before, after), Norm(after, "batch", act))
    ]
    return nn.Sequential(*hidden, Dense(widths[-1], outputs))


class Activation(nn.Module):
    """The activation of this name. Shapes: any → the same."""

    def __init__(self, act: str) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return _activated(x, self.act)
