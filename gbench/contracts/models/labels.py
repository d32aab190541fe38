"""Labels of validation and test are not looked at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gbench.contracts.contract import Contract
from gbench.contracts.models.subject import Subject, same_bits
from gbench.contracts.pieces import Piece, with_other_labels


def check(subject: Subject) -> None:
    spec, split = subject.dataset.spec, subject.dataset.split
    hidden = torch.cat([split.valid, split.test])
    hidden = hidden[~torch.isin(hidden, split.train)]
    changed = with_other_labels(subject.pieces, hidden, spec.level, spec.num_outputs)
    one, other = _told(subject, subject.pieces), _told(subject, changed)
    for (what, a), b in zip(one.items(), other.values(), strict=True):
        same_bits(a, b, f"with other labels of validation and test the {what} change")


def _told(subject: Subject, pieces: Sequence[Piece]) -> dict[str, Tensor]:
    """What a training and an evaluation give."""
    task = subject.build()
    found = {"losses in training": torch.stack(subject.train(task, pieces))}
    weights = [p.detach().flatten() for p in task.model.parameters()]
    found["trained weights"] = torch.cat(weights)
    parts = {"validation": subject.dataset.split.valid, "test": subject.dataset.split.test}
    for part, ids in parts.items():
        chosen = pieces if subject.is_node_level else [pieces[index] for index in ids.tolist()]
        found[f"answers in {part}"] = subject.answers(task.model, chosen, torch.float32)
    return found


CONTRACT = Contract(
    "labels",
    "labels of validation and test change nothing, in training or in evaluation",
    "it reads the labels that it is tested on: its results mean nothing",
    "batch.y in forward, and buffers filled from it",
    check,
    ("answers", "repeatable"),
)
