"""Names of nodes mean nothing."""

from __future__ import annotations

import torch

from gbench.contracts.contract import Contract
from gbench.contracts.models.subject import Subject
from gbench.contracts.pieces import permuted


def check(subject: Subject) -> None:
    generator = torch.Generator().manual_seed(4)
    others, places, start = [], [], 0
    for piece in subject.pieces:
        order = torch.randperm(piece.num_nodes, generator=generator)
        if subject.dataset.spec.reads_first_node:
            order = torch.cat([torch.tensor([0]), order[order > 0]])
        shuffle = torch.randperm(piece.graph.edge_index.size(1), generator=generator)
        others.append(permuted(piece, order, shuffle, subject.dataset.spec.level))
        places.append(order + start)
        start += piece.num_nodes
    model = subject.model()
    before, after = subject.answers(model, subject.pieces), subject.answers(model, others)
    if subject.is_node_level:
        before = before[torch.cat(places)]
    subject.same(before, after, "with nodes and edges in another order the answers change")


CONTRACT = Contract(
    "node-order",
    "the order of nodes and edges does not matter",
    "the metric depends on how the files happen to number the nodes, which says nothing of a graph",
    "indexing by node number, positions, reshapes across nodes, order of edges in a reduction",
    check,
    ("answers", "repeatable"),
)
