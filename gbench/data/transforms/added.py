"""Nodes and edges added to graphs, with values for all that their own have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gbench.data.source import Graph


def with_nodes(
    graphs: Sequence[Graph], counts: Sequence[int], edges: Sequence[Tensor]
) -> list[Graph]:
    """Each graph with so many nodes behind its own, and edges (2, E) behind its own.

    What is added has zeros for numbers, weight 1 and, where there are categories, one of its own:
    in each column the one after the largest of all graphs.
    """
    fill = {name: _fill([getattr(g, name) for g in graphs]) for name in ("x", "edge_attr")}
    made = []
    for graph, count, more in zip(graphs, counts, edges, strict=True):
        number, weight = more.size(1), graph.edge_weight
        made.append(
            graph._replace(
                x=_more(graph.x, count, fill["x"]),
                edge_index=torch.cat([graph.edge_index, more], 1),
                edge_attr=_more_or_none(graph.edge_attr, number, fill["edge_attr"]),
                edge_weight=None if weight is None else torch.cat([weight, torch.ones(number)]),
                x_numbers=_more_or_none(graph.x_numbers, count, None),
                edge_numbers=_more_or_none(graph.edge_numbers, number, None),
            )
        )
    return made


def _fill(values: Sequence[Tensor | None]) -> Tensor | None:
    """The next category of each column; None of numbers."""
    codes = [v for v in values if v is not None and not v.is_floating_point() and len(v)]
    return torch.stack([each.amax(0) for each in codes]).amax(0) + 1 if codes else None


def _more_or_none(values: Tensor | None, rows: int, fill: Tensor | None) -> Tensor | None:
    return None if values is None else _more(values, rows, fill)


def _more(values: Tensor, rows: int, fill: Tensor | None) -> Tensor:
    row = values.new_zeros(values.size(1)) if fill is None else fill.to(values.dtype)
    return torch.cat([values, row.expand(rows, -1)])
