"""Edge lists in one form: no duplicates, both directions where the graph is undirected."""

from __future__ import annotations

import torch
from torch import Tensor


def coalesce(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Drop duplicates and sort by target, then by source. Shapes: (2, E) → (2, E')."""
    codes = torch.unique(edge_index[1] * num_nodes + edge_index[0])
    return torch.stack([codes % num_nodes, codes // num_nodes])


def without_loops(edge_index: Tensor) -> Tensor:
    """The edges that do not join a node to itself. Shapes: (2, E) → (2, E')."""
    return edge_index[:, edge_index[0] != edge_index[1]]


def both_directions(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Every edge and its reverse, once."""
    return coalesce(torch.cat([edge_index, edge_index.flip(0)], dim=1), num_nodes)
