"""PNA and GPS of PyG's layers, PNAConv and GPSConv, step by step beside ours.

Legend: N nodes, E edges, B graphs, D hidden_dim, C outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import (
    GINEConv,
    GPSConv,
    PNAConv,
    global_add_pool,
    global_mean_pool,
)
from torch_geometric.nn.aggr import Aggregation

from gbench.bench import peers
from gbench.bench.train.molecules import MoleculePair
from gbench.bench.train.pair import Comparison
from gbench.kernels.pna_aggregate import EPS


class Deviation(Aggregation):  # type: ignore[misc]
    """√(relu(E m² - (E m)²) + 1e-5), 0 of nothing, where PyG's own is cut off below √1e-5."""

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        mean, square = (
            self.reduce(part, index, ptr, dim_size, dim, reduce="mean") for part in (x, x * x)
        )
        there = self.reduce(torch.ones_like(x[..., :1]), index, ptr, dim_size, dim, reduce="max")
        deviation: Tensor = ((square - mean * mean).relu() + EPS).sqrt() * there
        return deviation


class PyGPNA(nn.Module):
    """Our PNA with aggregates=messages of PNAConv. Shapes: a batch of B graphs → (B, C)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        dim, towers, layers = settings["hidden_dim"], settings["towers"], settings["num_layers"]
        self.atoms = peers.ogb_encoders().AtomEncoder(dim)
        self.bonds = peers.ogb_encoders().BondEncoder(settings["edge_dim"])
        self.convs = nn.ModuleList(
            PNAConv(
                dim,
                dim,
                aggregators=["mean", "max", "min", Deviation()],
                scalers=["identity", "amplification", "attenuation"],
                deg=torch.tensor([0, 1]),
                edge_dim=settings["edge_dim"],
                towers=towers,
                divide_input=settings["divide_input"],
            )
            for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim) for _ in range(layers))
        self.mixes = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        self.head, self.dropout = nn.Identity(), settings["dropout"]

    def forward(self, batch: Any) -> Tensor:
        x, edges = self.atoms(batch.x), self.bonds(batch.edge_attr)
        sizes = batch.ptr.diff()[batch.batch].to(x.dtype)
        for conv, norm, mix in zip(self.convs, self.norms, self.mixes, strict=True):
            y = norm(conv(x, batch.edge_index, edges) * sizes.rsqrt()[:, None])
            y = functional.dropout(y, self.dropout, self.training)
            x = x + functional.leaky_relu(mix(y))
        out: Tensor = self.head(global_mean_pool(x, batch.batch, batch.num_graphs))
        return out

    def take_weights(self, ours: Any) -> None:
        """Begin with the parameters of a PNA of ours."""
        peers.embedding_weights(self.atoms, ours.nodes.features.table)
        peers.embedding_weights(self.bonds, ours.edges.embeddings.table)
        conv: Any
        layer: Any
        for place, (conv, layer) in enumerate(zip(self.convs, ours.layers, strict=True)):
            width = layer.message.size(2)
            conv.lin = nn.Identity()  # the mixing layer comes after the norm
            conv.aggr_module.avg_deg_log = ours.delta.clone()
            with torch.no_grad():
                conv.edge_encoder.weight.copy_(torch.eye(width))
                conv.edge_encoder.bias.zero_()
                for tower, (pre, post) in enumerate(zip(conv.pre_nns, conv.post_nns, strict=True)):
                    sender, receiver, edge = layer.message[tower].split(width)
                    pre[0].weight.copy_(torch.cat([receiver, sender, edge]).t())
                    pre[0].bias.copy_(layer.bias[tower, 0])
                    post[0].weight.copy_(layer.update.weight[tower].t())
                    post[0].bias.copy_(layer.update.bias[tower])
            self.norms[place].load_state_dict(layer.norm.norm.state_dict())
            self.mixes[place].load_state_dict(layer.mix.state_dict())
        self.head = deepcopy(ours.head)  # of torch's layers on both sides


class PyGGPS(nn.Module):
    """Our GPS with conv=gine, without an encoding, of GPSConv, which pads to the largest graph.

    Shapes: a batch of B graphs → (B, C).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        dim = settings["hidden_dim"]
        self.atoms = peers.ogb_encoders().AtomEncoder(dim)
        self.bonds = peers.ogb_encoders().BondEncoder(dim)
        self.layers = nn.ModuleList(
            GPSConv(
                dim,
                GINEConv(nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))),
                heads=settings["num_heads"],
                dropout=settings["dropout"],
                attn_kwargs={"dropout": settings["attention_dropout"]},
            )
            for _ in range(settings["num_layers"])
        )
        self.pool = {"mean": global_mean_pool, "sum": global_add_pool}[settings["readout"]]
        self.head = nn.Identity()

    def forward(self, batch: Any) -> Tensor:
        x, edges = self.atoms(batch.x), self.bonds(batch.edge_attr)
        for layer in self.layers:
            x = layer(x, batch.edge_index, batch.batch, edge_attr=edges)
        out: Tensor = self.head(self.pool(x, batch.batch, batch.num_graphs))
        return out

    def take_weights(self, ours: Any) -> None:
        """Begin with the parameters of a GPS of ours."""
        peers.embedding_weights(self.atoms, ours.nodes.features.features.table)
        peers.embedding_weights(self.bonds, ours.edges.encoder.embeddings.table)
        layer: Any
        for layer, own in zip(self.layers, ours.layers, strict=True):
            layer.conv.nn.load_state_dict(own.conv.mlp.state_dict())
            with torch.no_grad():
                layer.attn.in_proj_weight.copy_(own.attention.inner.weight)
                layer.attn.in_proj_bias.copy_(own.attention.inner.bias)
            layer.attn.out_proj.load_state_dict(own.attention.outer.state_dict())
            layer.mlp[0].load_state_dict(own.first.state_dict())
            layer.mlp[3].load_state_dict(own.second.state_dict())
            norms = (own.local_norm, own.global_norm, own.norm)
            for norm, mine in zip((layer.norm1, layer.norm2, layer.norm3), norms, strict=True):
                norm.module.load_state_dict(mine.norm.state_dict())
        self.head = deepcopy(ours.head)  # of torch's layers on both sides


PNA = (
    *("model=pna", "data=ogbg-molhiv", "experiment=null", "model.aggregates=messages"),
    *("model.hidden_dim=70", "model.edge_dim=14", "model.dropout=0"),
)
GPS = (
    *("model=gps", "data=peptides-func", "experiment=null", "encoding=none"),
    *("model.hidden_dim=96", "model.head=linear"),
)
# ogbg-molhiv's molecules are a little larger than ZINC's: 25.5 and 23.2 atoms
PAIRS = {
    "pna-molhiv-128": Comparison(
        "ogbg-molhiv", partial(MoleculePair, 128, PNA, PyGPNA, "PyG's PNAConv and loader")
    ),
    "gps-peptides-128": Comparison(
        "peptides-func",
        partial(MoleculePair, 128, GPS, PyGGPS, "PyG's GPSConv and loader", trained=512),
    ),
}
