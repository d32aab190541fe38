"""Other graphs of a batch do not matter."""

from __future__ import annotations

import torch

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.models.subject import Subject
from gbench.contracts.pieces import Piece


def check(subject: Subject) -> None:
    if subject.is_node_level and len(subject.pieces) == 1:
        _check_nodes(subject)
    else:
        _check_graphs(subject)


def _check_nodes(subject: Subject) -> None:
    """Of a disjoint union of two graphs each node has what it has in its own graph."""
    model, (piece,) = subject.model(), subject.pieces
    alone, number = subject.answers(model, [piece]), piece.num_nodes
    other = _with_other_features(piece)
    what = "beside another graph, to which no edge leads, a node's answer changes"
    subject.same(alone, subject.answers(model, [piece, other])[:number], what)
    subject.same(alone, subject.answers(model, [other, piece])[number:], what)


def _check_graphs(subject: Subject) -> None:
    model = subject.model()
    together = subject.answers(model, subject.pieces)
    alone = torch.cat([subject.answers(model, [piece]) for piece in subject.pieces])
    try:
        subject.same(alone, together, "beside others in a batch a graph's answer changes")
    except BrokenError as error:
        first, *rest = subject.pieces
        now = subject.answers(model, [first, *map(_with_other_features, rest)])[0]
        reads = first.graph.x.is_floating_point() and not torch.allclose(now, together[0])
        how = "their features" if reads else "their number, size or order"
        raise BrokenError(f"{error}: it depends on {how}") from error


def _with_other_features(piece: Piece) -> Piece:
    x = piece.graph.x
    other = 2 * x.flip(1) + 1 if x.is_floating_point() else x.roll(1, 0)
    return piece._replace(graph=piece.graph._replace(x=other))


CONTRACT = Contract(
    "batching",
    "what it answers to a graph, or to its nodes, alone is its answer in any batch",
    "it mixes the graphs of a batch: the metric depends on the batch size and on which graphs "
    "meet, and of one graph on nodes that no path leads to",
    "means and norms over all nodes of a batch; batch.batch says the graph of each node",
    check,
    ("answers", "repeatable"),
)
