"""GCN, SGC and DAGNN from PyG's layers, as PyG's examples and DAGNN's authors put them together.

Legend: N nodes, E edges, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GCNConv, MessagePassing, SGConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gbench.data.spec import DataSpec


class PyGGCN(nn.Module):
    """Two cached GCNConv. Shapes: x (N, F), edge_index (2, E) → (N, C)."""

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        widths = [spec.num_features, settings["hidden_dim"], spec.num_outputs]
        self.layers = nn.ModuleList(
            GCNConv(a, b, cached=True, bias=settings["bias"]) for a, b in pairwise(widths)
        )
        self.input_dropout, self.dropout = settings["input_dropout"], settings["dropout"]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = functional.dropout(x, self.input_dropout, self.training)
        x = self.layers[0](x, edge_index).relu()
        x = functional.dropout(x, self.dropout, self.training)
        out: Tensor = self.layers[1](x, edge_index)
        return out

    @staticmethod
    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our GCN as they are called here."""
        return {name.replace("linear", "lin"): value for name, value in state.items()}


class PyGSGC(nn.Module):
    """One cached SGConv. Shapes: x (N, F), edge_index (2, E) → (N, C)."""

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.layer = SGConv(spec.num_features, spec.num_outputs, K=settings["hops"], cached=True)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.layer(x, edge_index)
        return out

    @staticmethod
    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our SGC as they are called here."""
        return {name.replace("linear", "layer.lin"): value for name, value in state.items()}


class Prop(MessagePassing):  # type: ignore[misc]
    """The gated sum over all hops, by messages; normalised anew in each call, as by the authors."""

    def __init__(self, num_classes: int, hops: int) -> None:
        super().__init__(aggr="add")
        self.hops = hops
        self.proj = nn.Linear(num_classes, 1)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        edge_index, norm = gcn_norm(edge_index, None, x.size(0), dtype=x.dtype)
        hidden = [x]
        for _ in range(self.hops):
            x = self.propagate(edge_index, x=x, norm=norm)
            hidden.append(x)
        stacked = torch.stack(hidden, 1)
        scores = self.proj(stacked).sigmoid()
        return torch.matmul(scores.transpose(1, 2), stacked).squeeze(1)

    def message(self, x_j: Tensor, norm: Tensor) -> Tensor:
        return norm.view(-1, 1) * x_j


class PyGDAGNN(nn.Module):
    """An MLP and Prop. Shapes: x (N, F), edge_index (2, E) → (N, C)."""

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(spec.num_features, settings["hidden_dim"])
        self.lin2 = nn.Linear(settings["hidden_dim"], spec.num_outputs)
        self.prop = Prop(spec.num_outputs, settings["hops"])
        self.input_dropout, self.dropout = settings["input_dropout"], settings["dropout"]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        x = functional.dropout(x, self.input_dropout, self.training)
        x = self.lin1(x).relu()
        x = self.lin2(functional.dropout(x, self.dropout, self.training))
        out: Tensor = self.prop(x, edge_index)
        return out

    @staticmethod
    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our DAGNN as they are called here."""
        here = {"first": "lin1", "second": "lin2", "gate": "prop.proj"}
        names = (name.partition(".") for name in state)
        return {f"{here[first]}.{rest}": state[f"{first}.{rest}"] for first, _, rest in names}
