"""Hyperedges as edges: each a clique of its members, or a star around a node of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import torch
from torch import Tensor

from gbench.data.source import Graph
from gbench.data.transforms.added import with_nodes
from gbench.errors import UserError

MOST_EDGES = 10**8  # of cliques


def hypergraph(
    graphs: Sequence[Graph],
    *,
    expansion: str,
    column: int | None,
    hyperedges: Sequence[Sequence[int]] | str,
    keep: bool,
) -> list[Graph]:
    """The graphs with edges for their hyperedges, beside their own if `keep`.

    Hyperedges are the nodes that share a category of `column` of x, or, of a single graph, those
    listed in `hyperedges`: lists of node numbers, or a file with one hyperedge in each line.
    expansion=star adds a node for each and edges between it and its members, both ways.
    expansion=clique joins its members with each other, by weights Σ 1 / (|e| - 1) over the
    hyperedges e that two nodes share; what else edges carried is dropped.

    Raises UserError for hyperedges that are not given in one of these ways.
    """
    if expansion not in ("star", "clique"):
        raise UserError(f"transform.expansion={expansion}: allowed is one of star, clique")
    members = [_members(graph, column, hyperedges, len(graphs)) for graph in graphs]
    if expansion == "clique":
        return [_cliques(graph, own, keep) for graph, own in zip(graphs, members, strict=True)]
    if not keep:
        graphs = [_without_edges(graph) for graph in graphs]
    counts = [len(own) for own in members]
    edges = [_stars(graph.x.size(0), own) for graph, own in zip(graphs, members, strict=True)]
    return with_nodes(graphs, counts, edges)


def _stars(number: int, members: Sequence[Sequence[int]]) -> Tensor:
    old = torch.tensor([node for own in members for node in own], dtype=torch.int64)
    sizes = torch.tensor([len(own) for own in members], dtype=torch.int64)
    new = number + torch.arange(len(members)).repeat_interleave(sizes)
    return torch.cat([torch.stack([old, new]), torch.stack([new, old])], 1)


def _cliques(graph: Graph, members: Sequence[Sequence[int]], keep: bool) -> Graph:
    total = sum(len(own) * (len(own) - 1) for own in members)
    if total > MOST_EDGES:
        raise UserError(
            f"transform=hypergraph: the cliques of {len(members):,} hyperedges have {total:,} "
            f"edges, and {MOST_EDGES:,} are allowed: take transform.expansion=star"
        )
    weights: dict[tuple[int, int], float] = {}
    for own in members:
        for pair in permutations(own, 2):
            weights[pair] = weights.get(pair, 0.0) + 1 / (len(own) - 1)
    if keep:
        given = graph.edge_weight
        own_weights = [1.0] * graph.edge_index.size(1) if given is None else given.tolist()
        for pair, weight in zip(graph.edge_index.t().tolist(), own_weights, strict=True):
            weights[tuple(pair)] = weights.get(tuple(pair), 0.0) + weight
    edge_index = torch.tensor([*weights], dtype=torch.int64).view(-1, 2).t()
    return graph._replace(
        edge_index=edge_index,
        edge_weight=torch.tensor([*weights.values()], dtype=torch.float32),
        edge_attr=None,
        edge_numbers=None,
    )


def _without_edges(graph: Graph) -> Graph:
    """Nothing that edges carried is left either."""
    return graph._replace(
        edge_index=graph.edge_index[:, :0], edge_attr=None, edge_weight=None, edge_numbers=None
    )


def _members(
    graph: Graph, column: int | None, hyperedges: Sequence[Sequence[int]] | str, num_graphs: int
) -> list[list[int]]:
    """The distinct nodes of each hyperedge; one of a single node joins nothing and is left out."""
    if (column is None) == (not hyperedges):
        raise UserError(
            "transform=hypergraph: say where the hyperedges are, by either transform.column= (of "
            "x, a column of categories) or transform.hyperedges= (lists of nodes, or a file)"
        )
    number = graph.x.size(0)
    if column is None:
        if num_graphs > 1:
            raise UserError(
                f"transform.hyperedges is for one graph, and there are {num_graphs:,}: give "
                "transform.column="
            )
        found = [sorted({*own}) for own in _read(hyperedges)]
        wrong = [node for own in found for node in own if not 0 <= node < number]
        if wrong:
            raise UserError(f"transform.hyperedges names node {wrong[0]}, outside 0..{number - 1}")
    else:
        if graph.x.is_floating_point() or not 0 <= column < graph.x.size(1):
            what = "numbers" if graph.x.is_floating_point() else f"{graph.x.size(1)} columns"
            raise UserError(f"transform.column={column}: x has {what}, not that many categories")
        codes = graph.x[:, column].tolist()
        shared: dict[int, list[int]] = {}
        for node, code in enumerate(codes):
            shared.setdefault(code, []).append(node)
        found = [shared[code] for code in sorted(shared)]
    return [own for own in found if len(own) > 1]


def _read(hyperedges: Sequence[Sequence[int]] | str) -> list[list[int]]:
    if not isinstance(hyperedges, str):
        return [list(own) for own in hyperedges]
    try:
        lines = Path(hyperedges).expanduser().read_text(encoding="utf-8").splitlines()
        return [[int(word) for word in line.replace(",", " ").split()] for line in lines]
    except (OSError, ValueError) as error:
        raise UserError(
            f"transform.hyperedges={hyperedges}: expected a file with the node numbers of one "
            f"hyperedge in each line ({error})"
        ) from error
