"""Node-level baselines from PyG's layers, as its examples put them together.

Legend: N nodes, E edges, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import APPNP, GATv2Conv, GCN2Conv, SAGEConv

from gbench.data.spec import DataSpec


class PyGAPPNP(nn.Module):
    """An MLP and a cached APPNP. Shapes: x (N, F), edge_index (2, E) → (N, C)."""

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, bias = settings["hidden_dim"], settings["bias"]
        self.first = nn.Linear(spec.num_features, width, bias)
        self.second = nn.Linear(width, spec.num_outputs, bias)
        self.propagate = APPNP(settings["hops"], settings["alpha"], cached=True)
        self.input_dropout, self.dropout = settings["input_dropout"], settings["dropout"]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = functional.dropout(x, self.input_dropout, self.training)
        x = self.first(x).relu()
        x = self.second(functional.dropout(x, self.dropout, self.training))
        out: Tensor = self.propagate(x, edge_index)
        return out


class PyGGCNII(nn.Module):
    """Cached GCN2Conv between two linear layers. Shapes: x (N, F), edge_index (2, E) → (N, C)."""

    decay_prefix = "layers."  # of ours: weights

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, alpha, lam = settings["hidden_dim"], settings["alpha"], settings["lam"]
        self.first = nn.Linear(spec.num_features, width)
        self.layers = nn.ModuleList(
            GCN2Conv(width, alpha, lam, layer, cached=True)
            for layer in range(1, settings["num_layers"] + 1)
        )
        self.last = nn.Linear(width, spec.num_outputs)
        self.input_dropout, self.dropout = settings["input_dropout"], settings["dropout"]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = functional.dropout(x, self.input_dropout, self.training)
        x = home = self.first(x).relu()
        for layer in self.layers:
            x = functional.dropout(x, self.dropout, self.training)
            x = layer(x, home, edge_index).relu()
        out: Tensor = self.last(functional.dropout(x, self.dropout, self.training))
        return out

    @staticmethod
    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our GCNII as they are called here, where each layer has its own."""
        kept = {name: value for name, value in state.items() if name != "weights"}
        layers = enumerate(state["weights"])
        return kept | {f"layers.{layer}.weight1": weight for layer, weight in layers}


class PyGSAGE(nn.Module):
    """SAGEConv, the last ends in the classes. Shapes: x (N, F), edge_index (2, E) → (N, C)."""

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        hidden = [settings["hidden_dim"]] * (settings["num_layers"] - 1)
        widths = [spec.num_features, *hidden, spec.num_outputs]
        self.layers = nn.ModuleList(SAGEConv(a, b) for a, b in pairwise(widths))
        self.input_dropout, self.dropout = settings["input_dropout"], settings["dropout"]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = functional.dropout(x, self.input_dropout, self.training)
        for layer in self.layers[:-1]:
            x = functional.dropout(layer(x, edge_index).relu(), self.dropout, self.training)
        out: Tensor = self.layers[-1](x, edge_index)
        return out

    @staticmethod
    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our SAGE as they are called here."""
        return {
            name.replace("neighbours", "lin_l").replace("root", "lin_r"): value
            for name, value in state.items()
        }


class PyGGATv2(nn.Module):
    """GATv2Conv in the authors' network. Shapes: x (N, F), edge_index (2, E) → (N, C)."""

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        heads, size = settings["num_heads"], settings["hidden_dim"]
        widths = [spec.num_features] + [heads * size] * (settings["num_layers"] - 1)
        outs = [(size, heads)] * (settings["num_layers"] - 1) + [(spec.num_outputs, 1)]
        self.layers = nn.ModuleList(
            GATv2Conv(width, out, heads=count, dropout=settings["attention_dropout"])
            for width, (out, count) in zip(widths, outs, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[1:])
        self.input_dropout, self.dropout = settings["input_dropout"], settings["dropout"]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = functional.dropout(x, self.input_dropout, self.training)
        for layer, norm in zip(self.layers[:-1], self.norms, strict=True):
            y = layer(x, edge_index).relu()
            y = norm(y + x if x.size(1) == y.size(1) else y)
            x = functional.dropout(y, self.dropout, self.training)
        out: Tensor = self.layers[-1](x, edge_index)
        return out

    @staticmethod
    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our GATv2 as they are called here."""
        names = {"key": "lin_l", "query": "lin_r"}
        found = {}
        for name, value in state.items():
            place, _, last = name.rpartition(".")
            head, _, part = place.rpartition(".")
            if part in names:
                found[f"{head}.{names[part]}.{last}"] = value
            elif last == "weight" and name.startswith("layers."):
                found[f"{place}.att"] = value[None]
            else:
                found[name] = value
        return found
