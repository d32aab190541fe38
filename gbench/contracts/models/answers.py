"""The answers themselves: shape, kind, finite, whatever the graph."""

from __future__ import annotations

import torch

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.models.subject import Subject
from gbench.contracts.pieces import Piece
from gbench.models.answers import called


def check(subject: Subject) -> None:
    task = subject.build()
    losses = torch.stack(subject.train(task, subject.pieces))
    if not bool(losses.isfinite().all()):
        raise BrokenError(f"the training loss of the first steps is {losses.tolist()}")
    for name, parameter in task.model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise BrokenError(f"after {len(losses)} steps {name} is not finite")
    task.eval()
    companies = (
        [subject.pieces]
        if subject.is_node_level
        else [subject.pieces] + [[piece] for piece in subject.pieces]
    )
    for pieces in companies:
        batch = subject.batch(task.model, pieces, torch.float32)
        before = batch.x.clone()
        with torch.no_grad():
            answer = task.answer(batch)
        what = f"{len(pieces)} graphs" if len(pieces) > 1 else _described(pieces[0])
        if not bool(answer.isfinite().all()):
            raise BrokenError(f"{called(task.model)} answers {_worst(answer)} to {what}")
        if not torch.equal(batch.x, before):
            raise BrokenError(f"{called(task.model)} writes into batch.x, which others read")


def _described(piece: Piece) -> str:
    edges = piece.graph.edge_index.size(1)
    return f"a graph of {piece.num_nodes} nodes and {edges} directed edges"


def _worst(answer: torch.Tensor) -> float:
    return answer[~answer.isfinite()][0].item()


CONTRACT = Contract(
    "answers",
    "finite numbers, a row per node or graph, also where there are no edges",
    "training ends in an error, or with nan, on data that has such nodes or graphs",
    "divisions by a degree, a variance or a number of edges that may be 0",
    check,
)
