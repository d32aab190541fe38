"""Dir-GNN from PyG's DirGNNConv around its SAGEConv.

Around its GCNConv the wrapper is another model than the paper's: both ends of an edge are scaled by
their in-degree.

Legend: N nodes, E edges, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import DirGNNConv, SAGEConv

from gbench.data.spec import DataSpec


class PyGDirSAGE(nn.Module):
    """Layers, the maximum over them, a linear layer. Shapes: x (N, F), edge_index (2, E) → (N, C).

    As our Dir-GNN with base=sage, jk=max and without dropout.
    """

    def __init__(self, spec: DataSpec, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, layers = settings["hidden_dim"], settings["num_layers"]
        self.alpha = nn.Parameter(torch.zeros(1), requires_grad=False)  # each layer has its own
        self.layers = nn.ModuleList(
            DirGNNConv(SAGEConv(in_dim, width, root_weight=False), settings["alpha"])
            for in_dim in (spec.num_features, *[width] * (layers - 1))
        )
        self.head = nn.Linear(width, spec.num_outputs)
        self.normalize = settings["normalize"]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        kept = []
        for layer in self.layers:
            x = layer(x, edge_index).relu()
            x = functional.normalize(x, dim=1) if self.normalize else x
            kept.append(x)
        out: Tensor = self.head(reduce(torch.maximum, kept))
        return out

    @staticmethod
    def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our Dir-GNN as they are called here."""
        names = {"predecessors": "conv_in.lin_l", "successors": "conv_out.lin_l", "own": "lin"}
        return {
            ".".join(names.get(part, part) for part in name.split(".")): value
            for name, value in state.items()
        }
