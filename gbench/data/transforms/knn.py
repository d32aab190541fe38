"""The graph of the k nearest neighbours of each node, by its features or by a position."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gbench.data.source import Graph
from gbench.errors import UserError

ENTRIES_AT_ONCE = 1 << 22  # distances: 32 MiB


def knn(
    graph: Graph, *, k: int, metric: str, columns: Sequence[int], both_ways: bool, keep: bool
) -> Graph:
    """Edges to each node from the k others nearest to it, exactly; from all where there are fewer.

    `columns` are those of x that tell a node's place; none: all of them, with x_numbers. Of equally
    near nodes those of smaller number come first. `both_ways` adds each edge's reverse; `keep`
    leaves the graph's own edges, and then each edge is there once. What edges carried is dropped.

    Raises UserError for categories without numbers, for columns that are not there and for a metric
    other than euclidean and cosine.
    """
    place = _place(graph, columns)
    if metric not in ("euclidean", "cosine"):
        raise UserError(f"transform.metric={metric}: allowed is one of euclidean, cosine")
    if k < 1:
        raise UserError(f"transform.k={k}: allowed is a number at least 1")
    # of unit vectors ‖a - b‖² = 2 - 2 cos: the order is that of the cosine
    place = normalize(place) if metric == "cosine" else place
    edges = [nearest(place, k)]
    if both_ways:
        edges.append(edges[0].flip(0))
    if keep:
        edges.append(graph.edge_index)
    edge_index = torch.cat(edges, 1)
    if len(edges) > 1:
        edge_index = edge_index.unique(dim=1)
    return graph._replace(
        edge_index=edge_index, edge_attr=None, edge_weight=None, edge_numbers=None
    )


def nearest(place: Tensor, k: int) -> Tensor:
    """Edges from the k rows nearest to each, itself left out. Shapes: (N, F) float64 → (2, E)."""
    number = place.size(0)
    count = min(k, number - 1)
    if count < 1:
        return torch.empty(2, 0, dtype=torch.int64)
    found, rows = [], max(1, ENTRIES_AT_ONCE // number)
    square = place.square().sum(1)
    for first in range(0, number, rows):
        part = place[first : first + rows]
        distance = square[first : first + rows, None] + square - 2 * (part @ place.t())
        own = torch.arange(part.size(0))
        distance[own, own + first] = torch.inf
        found.append(_smallest(distance, count))
    source = torch.cat(found)
    target = torch.arange(number).repeat_interleave(count)
    return torch.stack([source.flatten(), target])


def _smallest(distance: Tensor, count: int) -> Tensor:
    """The columns of the `count` least of each row, of equal ones the first: (R, N) → (R, count).

    Equal to rounding: distances come by way of a product.
    """
    limit = distance.kthvalue(count, dim=1, keepdim=True).values
    near = 1e-9 * distance.clamp(max=limit).abs().amax(1, keepdim=True).clamp(min=1.0)
    rank = torch.where(distance < limit - near, 0, 1).masked_fill(distance > limit + near, 2)
    return rank.sort(dim=1, stable=True).indices[:, :count]


def _place(graph: Graph, columns: Sequence[int]) -> Tensor:
    """Shapes: → (N, F) float64."""
    numbers = graph.x if graph.x.is_floating_point() else graph.x_numbers
    if numbers is None:
        raise UserError(
            "transform=knn measures distances of numbers, and the nodes have categories alone"
        )
    if columns:
        if not all(0 <= column < numbers.size(1) for column in columns):
            raise UserError(
                f"transform.columns={[*columns]}: nodes have {numbers.size(1)} numbers, the first "
                "is 0"
            )
        numbers = numbers[:, list(columns)]
    return numbers.double()
