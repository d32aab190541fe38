"""Graphs with what their nodes carry along, in any order and company.

Legend: N nodes of one graph, K columns of its positional encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.patches.metis import Graphs
from gbench.data.patches.patch_set import Patching
from gbench.data.source import Graph
from gbench.data.spec import Level
from gbench.data.store import GraphStore, pack


class Piece(NamedTuple):
    """A graph; the encoding of its nodes (N, K), if there is one; the part of each node (N,).

    pairs (N, N, K): the encoding of its pairs of nodes, if there is one.
    """

    graph: Graph
    pe: Tensor | None
    part: Tensor
    pairs: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        return self.graph.x.size(0)


def permuted(piece: Piece, order: Tensor, shuffle: Tensor, level: Level) -> Piece:
    """The same graph with its nodes in this order (N,) and its edges in that (E,)."""
    given = piece.graph

    def of_edges(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[shuffle]

    graph = given._replace(
        x=given.x[order],
        edge_index=order.argsort()[given.edge_index][:, shuffle],
        y=given.y[order] if level == "node" else given.y,
        edge_attr=of_edges(given.edge_attr),
        edge_weight=of_edges(given.edge_weight),
        edge_numbers=of_edges(given.edge_numbers),
        x_numbers=None if given.x_numbers is None else given.x_numbers[order],
    )
    return Piece(
        graph,
        None if piece.pe is None else piece.pe[order],
        piece.part[order],
        None if piece.pairs is None else piece.pairs[order][:, order],
    )


def packed(pieces: Sequence[Piece], level: Level) -> GraphStore:
    """The pieces as a dataset keeps them."""
    store = pack([piece.graph for piece in pieces], level)
    encodings = [piece.pe for piece in pieces if piece.pe is not None]
    of_pairs = [piece.pairs.flatten(0, 1) for piece in pieces if piece.pairs is not None]
    return replace(
        store,
        pe=torch.cat(encodings) if encodings else None,
        pair_values=torch.cat(of_pairs) if of_pairs else None,
    )


def batch_of(
    pieces: Sequence[Piece],
    level: Level,
    dtype: torch.dtype,
    patching: Patching | None = None,
    more_patches: int = 0,
) -> Batch:
    """The pieces side by side, floats in `dtype`; in patches where a model asks for them.

    With `more_patches` there are so many more, which are empty.
    """
    store = packed(pieces, level)
    batch = store.batch(torch.arange(len(pieces)))
    x, others = batch.x, ("pe", "pairs", "edge_weight", "edge_attr", "x_numbers")
    floats = {name: getattr(batch, name) for name in others}
    cast: dict[str, Any] = {k: None if v is None else v.to(dtype) for k, v in floats.items()}
    batch = replace(
        batch,
        x=x.to(dtype) if x.is_floating_point() else x,
        memo={},
        **cast,
    )
    if patching is None:
        return batch
    from gbench.data.patches.grow import grown

    union, node_ptr = store.union()
    graphs = Graphs(*(a.numpy().astype(np.int64) for a in (node_ptr, union.rowptr, store.col)))
    number = patching.num_patches
    part = torch.cat([_last_taken(piece.part % number, number) for piece in pieces]) + more_patches
    ids = np.arange(len(pieces))
    patches = grown(
        graphs, ids, part.numpy().astype(np.int16), number + more_patches, patching.hops
    )
    return replace(batch, patches=replace(patches, coarse=patches.coarse.to(dtype)))


def _last_taken(part: Tensor, number: int) -> Tensor:
    """The last patch of a graph always has nodes."""
    return part + (number - 1 - part.max())


def with_other_labels(
    pieces: Sequence[Piece], rows: Tensor, level: Level, kinds: int
) -> list[Piece]:
    """The pieces with another label for each of these nodes, or graphs; missing ones stay so."""
    changed, first = [], 0  # of the nodes side by side
    for index, piece in enumerate(pieces):
        y = piece.graph.y.clone()
        if level == "node":
            own = rows[(rows >= first) & (rows < first + piece.num_nodes)] - first
            y[own] = _other(y[own], kinds)
            first += piece.num_nodes
        elif bool((rows == index).any()):
            y = _other(y, kinds)
        changed.append(piece._replace(graph=piece.graph._replace(y=y)))
    return changed


def _other(y: Tensor, kinds: int) -> Tensor:
    return 1 - y if y.is_floating_point() else (y + 1) % kinds
