"""PNA: Corso et al., "Principal Neighbourhood Aggregation for Graph Nets", NeurIPS 2020.

Legend: N nodes, E entries, B graphs, D hidden_dim, T towers, I inputs of one, O = D / T, C outputs.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import pna_aggregate
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.edge_encoder import EdgeEncoder
from gbench.models.encoders import NodeEncoder
from gbench.models.graph_head import GraphHead
from gbench.models.norm_act import NormAct
from gbench.models.readout import Readout

SCALERS = 3


def scalers(batch: Batch, delta: Tensor, dtype: torch.dtype) -> Tensor:
    """1, log(d + 1) / δ and δ / log(d + 1) of each node's in-degree d; all are 0 where d is.

    They are kept with the batch, for all layers. Shapes: → (N, 3).
    """
    kept = batch.memo.get("pna scalers")
    if kept is None or kept[0] is not delta or kept[1].dtype is not dtype:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            log = batch.graph.in_degree.to(dtype).log1p()
            least = log.clamp(min=math.log(2))
            found = torch.stack([torch.ones_like(log), log / delta, delta / least], 1)
            found = (found * (log > 0)[:, None]).to(dtype)
        kept = batch.memo["pna scalers"] = delta, found
    factors: Tensor = kept[1]
    return factors


class Scaled(nn.Module):
    """U [h_i ‖ A_i ‖ log(d_i + 1) / δ · A_i ‖ δ / log(d_i + 1) · A_i] + b for each of T towers.

    A_i are the four aggregates of the in-neighbours' messages a_j + e_ij + r_i. What the receiver
    adds, r_i, moves the mean, the maximum and the minimum alone, and the factors are numbers of a
    row: so U is applied to the aggregates of a_j + e_ij, scaler by scaler, and `beside` it to r and
    to h.

    Shapes: A (N, 4, T · I), scalers (N, 3), beside (T, N, 4 · O) or None, of r by scaler and of h →
    (N, T · O).
    """

    def __init__(self, towers: int, own: int, messages: int, out: int) -> None:
        super().__init__()
        self.own = own
        width = own + 4 * SCALERS * messages
        self.weight = nn.Parameter(torch.empty(towers, width, out))
        self.bias = nn.Parameter(torch.zeros(towers, out))
        for weight in self.weight.data:
            small_(weight.t())

    def forward(self, aggregates: Tensor, factors: Tensor, beside: Tensor | None = None) -> Tensor:
        towers, _, out = self.weight.shape
        by_scaler = self.weight[:, self.own :].unflatten(1, (SCALERS, -1)).transpose(1, 2)
        each = aggregates.unflatten(2, (towers, -1)).permute(2, 0, 1, 3).flatten(2)
        if beside is None:
            scaled = each @ by_scaler.flatten(2)
        else:
            scaled = torch.baddbmm(beside[:, :, : SCALERS * out], each, by_scaler.flatten(2))
        scaled = scaled.unflatten(2, (SCALERS, out)) * factors[None, :, :, None]
        total = scaled.sum(2) + self.bias[:, None]
        if beside is not None:
            total = total + beside[:, :, SCALERS * out :]
        out_ND: Tensor = total.transpose(0, 1).flatten(1)
        return out_ND

    def of_receiver(self, receiver: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """What U makes of r_i = h_i receiver + bias, and of h_i itself, as one matrix of h_i.

        Shapes: receiver (T, I', I), bias (T, 1, I) → (T, I', 4 · O), (T, 1, 4 · O).
        """
        towers, _, out = self.weight.shape
        blocks = self.weight[:, self.own :].unflatten(1, (SCALERS, 4, -1))
        moved = blocks[:, :, :3].sum(2).transpose(1, 2).flatten(2)  # (T, I, 3 · O)
        own = self.weight[:, : self.own]
        shift = torch.cat([bias @ moved, moved.new_zeros(towers, 1, out)], 2)
        return torch.cat([receiver @ moved, own], 2), shift


def small_(weight: Tensor) -> None:
    """Xavier-uniform with gain 1 / inputs, as the authors draw. Shapes: (outputs, inputs)."""
    nn.init.xavier_uniform_(weight, gain=1 / weight.size(1))


def small_linear(inputs: int, outputs: int) -> Dense:
    """A linear layer that begins so, and with a bias of 0."""
    linear = Dense(inputs, outputs)
    small_(linear.weight.data)
    nn.init.zeros_(linear.bias)
    return linear


class SimpleLayer(nn.Module):
    """dropout(h + relu(batch_norm(U [scaled aggregates of h_j] + b))).

    Shapes: h (N, D), scalers (N, 3) → (N, D).
    """

    def __init__(self, dim: int, *, rate: float) -> None:
        super().__init__()
        self.update = Scaled(1, 0, dim, dim)
        self.norm_act = NormAct(dim, norm=True, relu=True, dropout=0.0)
        self.rate = rate

    def forward(self, batch: Batch, h: Tensor, factors: Tensor, *edges: Tensor | None) -> Tensor:
        x = self.update(pna_aggregate(batch.graph, h), factors)
        x = self.norm_act(x, h, batch.valid_nodes)
        dropped: Tensor = dropout(x, self.rate, self.training)
        return dropped


class TowerLayer(nn.Module):
    """h + leaky_relu(W [y_1 ‖ … ‖ y_T] + b), y_t = dropout(batch_norm(U_t [h_i ‖ scaled] / √n)).

    `scaled` are the aggregates of M_t [h_j ‖ h_i ‖ e_ij], of all of h or with divide_input of a
    tower's own slice; n the number of the graph's nodes. M is the sum of its three parts, so that
    no entry has a vector of its own unless edges have numbers.

    Shapes: h (N, D), edges (U, edge_dim) with a code (E,) or (E, edge_dim), scalers (N, 3) →
    (N, D).
    """

    def __init__(
        self, dim: int, *, towers: int, divides: bool, edge_dim: int, rate: float, graph_norm: bool
    ) -> None:
        super().__init__()
        self.towers, self.divides, self.graph_norm = towers, divides, graph_norm
        width = dim // towers if divides else dim
        self.message = nn.Parameter(torch.empty(towers, 2 * width + edge_dim, width))
        self.bias = nn.Parameter(torch.zeros(towers, 1, width))
        for weight in self.message.data:
            small_(weight.t())
        self.update = Scaled(towers, width, width, dim // towers)
        self.norm = NormAct(dim, norm=True, relu=False, dropout=rate)
        self.mix = small_linear(dim, dim)

    def forward(
        self,
        batch: Batch,
        h: Tensor,
        factors: Tensor,
        edges: Tensor | None = None,
        code: Tensor | None = None,
    ) -> Tensor:
        width = self.message.size(2)
        sender, receiver, edge = self.message.split(
            [width, width, self.message.size(1) - 2 * width], 1
        )
        own = h.unflatten(1, (self.towers, -1)) if self.divides else h[:, None]
        own = own.expand(-1, self.towers, -1).transpose(0, 1)
        received, shift = self.update.of_receiver(receiver, self.bias)
        both = own @ torch.cat([sender, received], 2)
        sent = both[:, :, :width].transpose(0, 1).flatten(1)
        if edges is not None:
            edges = edges @ edge.transpose(0, 1).flatten(1)
        aggregates = pna_aggregate(batch.graph, sent, edges, code)
        x: Tensor = self.update(aggregates, factors, both[:, :, width:] + shift)
        if self.graph_norm:
            x = x * _inverse_root_size(batch, x.dtype)
        x = self.norm(x, rows=batch.valid_nodes)
        return h + nn.functional.leaky_relu(self.mix(x))


def _inverse_root_size(batch: Batch, dtype: torch.dtype) -> Tensor:
    """1 / √n for each node, n the nodes of its graph: (N, 1)."""
    root = batch.node_ptr.diff().to(dtype).rsqrt()
    return root[batch.batch][:, None]


class PNA(nn.Module):
    """Layers of PNA, a readout, and linear layers of widths D, D / 2 and D / 4.

    aggregates=neighbours, as for ogbg-molhiv: of in-neighbours' vectors themselves, and no edges
    are read. aggregates=messages: of a linear layer of sender, receiver and with edge_dim > 0 the
    edge, by towers. δ of the scalers is the mean of log(degree + 1) over the training nodes, and is
    kept in the checkpoint. A node without in-neighbours has aggregates of 0, and its degree counts
    as 1 where it divides.

    Shapes: x (N, F) → (N, D) → (B, D) → (B, C).
    Raises UserError where the training part has no edges, and where the towers
    do not divide D.
    """

    waits: ClassVar = ""  # see gbench/train/capturing.py
    fills_frames: ClassVar = True
    statistics: ClassVar = ("mean_log_degree",)
    delta: Tensor

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        aggregates: str,
        towers: int,
        divide_input: bool,
        edge_dim: int,
        graph_norm: bool,
        readout: str,
        dropout: float,
    ) -> None:
        super().__init__()
        delta = spec.statistics.get("mean_log_degree", 0.0)
        if not delta:
            raise UserError(
                "model=pna divides by the mean of log(degree + 1) over the training nodes, and the "
                "training part has no edges (mean_log_degree is 0): take data with edges, or a "
                "model that needs none, such as model=mlp"
            )
        self.register_buffer("delta", torch.tensor(float(delta)))
        self.nodes = NodeEncoder(spec, hidden_dim)
        has_edges = bool(spec.edge_categories or spec.edge_dim)
        self.edges = None
        if aggregates == "messages":
            if hidden_dim % towers:
                raise UserError(
                    f"model.hidden_dim={hidden_dim}: model.towers={towers} do not divide it"
                )
            self.edges = EdgeEncoder(spec, edge_dim) if edge_dim and has_edges else None
        self.layers = nn.ModuleList(
            SimpleLayer(hidden_dim, rate=dropout)
            if aggregates == "neighbours"
            else TowerLayer(
                hidden_dim,
                towers=towers,
                divides=divide_input,
                edge_dim=0 if self.edges is None else edge_dim,
                rate=dropout,
                graph_norm=graph_norm,
            )
            for _ in range(num_layers)
        )
        self.readout = Readout(spec, readout)
        self.head = GraphHead("halves", hidden_dim, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        h: Tensor = self.nodes(batch)
        factors = scalers(batch, self.delta, h.dtype)
        edges = self._edges(batch)
        for layer in self.layers:
            h = layer(batch, h, factors, *edges)
        out: Tensor = self.head(self.readout(batch, h))
        return out

    def _edges(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """A row for each combination of categories and the code of each entry, or rows alone."""
        if self.edges is None:
            return None, None
        if self.edges.linear is None:
            assert self.edges.embeddings is not None and batch.edge_combos is not None
            return self.edges.embeddings(batch.edge_combos), batch.edge_code
        return self.edges(batch), None
