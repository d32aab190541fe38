"""The same seed, the same bits."""

from __future__ import annotations

import torch
from lightning.pytorch import seed_everything

from gbench.contracts.contract import Contract
from gbench.contracts.models.subject import Subject, same_bits


def check(subject: Subject) -> None:
    task = subject.trained()
    model = task.model.eval()
    batch = subject.batch(model, subject.pieces, torch.float32)
    with torch.no_grad():
        seed_everything(11, verbose=False)
        first = model(batch)
        seed_everything(12, verbose=False)
        second = model(subject.batch(model, subject.pieces, torch.float32))
    same_bits(first, second, "in evaluation the same question is answered twice, differently")
    again = subject.trained()
    others = dict(again.model.named_parameters())
    for name, parameter in task.model.named_parameters():
        same_bits(parameter, others[name], f"two trainings from one seed differ in {name}")


CONTRACT = Contract(
    "repeatable",
    "the same seed gives the same bits, and evaluation draws nothing",
    "no run can be done again, and each evaluation of the same weights gives another metric",
    "dropout or noise that ignores self.training, random numbers that gbench does not seed, "
    "sets in an order of their own",
    check,
    ("answers",),
)
