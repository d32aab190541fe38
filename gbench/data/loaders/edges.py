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


def largest_component(edge_index: Tensor, num_nodes: int) -> Tensor:
    """The nodes of the largest connected part of an undirected graph, in order, int64."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    row, col = edge_index.numpy()
    matrix = coo_matrix((torch.ones(row.size).numpy(), (row, col)), (num_nodes, num_nodes))
    part = torch.from_numpy(connected_components(matrix, directed=False)[1]).long()
    return (part == torch.bincount(part).argmax()).nonzero().view(-1)


def among(edge_index: Tensor, nodes: Tensor, num_nodes: int) -> Tensor:
    """The edges that join two of `nodes`, which are renumbered 0, 1, ... in their order."""
    place = torch.full((num_nodes,), -1)
    place[nodes] = torch.arange(nodes.numel())
    renumbered = place[edge_index]
    return renumbered[:, (renumbered >= 0).all(dim=0)]
