"""Node-level baselines from PyG's layers, as its examples put them together.

Legend: N nodes, E edges, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import APPNP

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
