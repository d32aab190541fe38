"""The answers themselves: shape, kind, finite, whatever the graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.models.subject import Subject
from gbench.contracts.pieces import Piece
from gbench.data.batch import Batch
from gbench.models.answers import called


def check(subject: Subject) -> None:
    task = subject.build()
    batch = subject.training_batch(task, subject.pieces)
    with _left_alone(batch, task.model.train()):
        task.training_step(batch, 0)
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
        with torch.no_grad(), _left_alone(batch, task.model):
            answer = task.answer(batch)
        what = f"{len(pieces)} graphs" if len(pieces) > 1 else _described(pieces[0])
        if not bool(answer.isfinite().all()):
            raise BrokenError(f"{called(task.model)} answers {_worst(answer)} to {what}")


@contextmanager
def _left_alone(batch: Batch, model: nn.Module) -> Iterator[None]:
    """Raise BrokenError where the model changes what a batch holds."""
    found = vars(batch).items()
    before = {name: value.clone() for name, value in found if isinstance(value, Tensor)}
    yield
    for name, value in before.items():
        now = getattr(batch, name)
        if not isinstance(now, Tensor) or not torch.equal(now.nan_to_num(), value.nan_to_num()):
            mode = "training" if model.training else "evaluation"
            raise BrokenError(
                f"in {mode} {called(model)} writes into batch.{name}, which others read"
            )


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
