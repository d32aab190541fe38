"""Nodes that are joined to all others, both ways (Gilmer et al., ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gbench.data.source import Graph
from gbench.data.transforms.added import with_nodes
from gbench.errors import UserError


def virtual_node(graphs: Sequence[Graph], *, count: int) -> list[Graph]:
    """Each graph with `count` more nodes, which have an edge to and from every one of its own.

    Raises UserError for a count below 1.
    """
    if count < 1:
        raise UserError(f"transform.count={count}: allowed is a number at least 1")
    edges = [_to_all(graph.x.size(0), count) for graph in graphs]
    return with_nodes(graphs, [count] * len(graphs), edges)


def _to_all(number: int, count: int) -> Tensor:
    """Both ways between nodes 0..number - 1 and the next `count`: (2, 2 · number · count)."""
    old = torch.arange(number).repeat(count)
    new = torch.arange(number, number + count).repeat_interleave(number)
    return torch.cat([torch.stack([old, new]), torch.stack([new, old])], 1)
