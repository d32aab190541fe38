"""Names of nodes mean nothing.

It is looked at on graphs whose Laplacians have no equal eigenvalues: of equal ones the eigenvectors
are any basis of their space, of which no encoding can say more than its span.
"""

from __future__ import annotations

import torch

from gbench.contracts.contract import Contract
from gbench.contracts.encodings.subject import Encoding
from gbench.contracts.pieces import Piece, permuted


def check(encoding: Encoding) -> None:
    generator = torch.Generator().manual_seed(4)
    others, places, start = [], [], 0
    for graph in encoding.graphs:
        size, edges = graph.x.size(0), graph.edge_index.size(1)
        order = torch.randperm(size, generator=generator)
        shuffle = torch.randperm(edges, generator=generator)
        piece = Piece(graph, None, torch.zeros(size, dtype=torch.int64))
        others.append(permuted(piece, order, shuffle, "graph").graph)
        rows = torch.arange(size**2).view(size, size)[order][:, order].reshape(-1)
        places.append(start + (rows if encoding.are_pairs else order))
        start += encoding.rows(graph)
    before, after = encoding.of(encoding.graphs)[torch.cat(places)], encoding.of(others)
    sizes = [encoding.rows(graph) for graph in others]
    encoding.same(before, after, sizes, "with nodes and edges in another order it is another")


CONTRACT = Contract(
    "node-order",
    "the order of nodes and edges does not matter, but for a sign where random_signs: true says so",
    "the metric depends on how the files happen to number the nodes",
    "positions and indexing by node number; eigenvectors without random_signs: true",
    check,
    ("answers", "repeatable"),
)
