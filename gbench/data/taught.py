"""What a teacher says of a dataset's items, laid beside the labels: `batch.teacher`.

The teacher is a finished run on the same data, split and fold; what it says was computed in
evaluation mode, by its own settings. Of classes it is log p, of other labels the answer as it is.
Of all items: those of validation and test too, whose labels the teacher has not seen either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gbench.data.dataset import Dataset
from gbench.errors import UserError
from gbench.named_runs import without_transform


@dataclass(frozen=True, eq=False)
class Other:
    """Another run's data, as far as they have to be those of this run. Shapes: train (T,) int64."""

    setting: str  # the setting that names the run, and its value
    data: str  # the title of its dataset
    split: str
    fold: int
    fingerprint: str
    num_items: int
    train: Tensor  # the ids that it was trained on


@dataclass(frozen=True, eq=False)
class Taught:
    """A teacher's answers to all nodes, or all graphs, in their order. Shapes: answers (N, C)."""

    other: Other
    answers: Tensor


def with_teacher(dataset: Dataset, taught: Taught) -> Dataset:
    """The dataset whose batches have `teacher`, rows as y.

    Raises UserError for a teacher of other data, split or fold, and for links.
    """
    if dataset.spec.level == "link":
        raise UserError(
            f"{taught.other.setting}: {dataset.card.title} is link-level, and a teacher answers "
            "nodes or graphs: pairs that are none are drawn anew in each epoch"
        )
    check_same(dataset, taught.other)
    if taught.answers.size(0) != dataset.store.y.size(0):
        raise UserError(
            f"{taught.other.setting}: the teacher answers {taught.answers.size(0)} items, and "
            f"{dataset.card.title} has {dataset.store.y.size(0)} here"
        )
    store = replace(dataset.store, teacher=taught.answers, memo={})
    spec = replace(dataset.spec, teacher_dim=taught.answers.size(1))
    return replace(dataset, store=store, spec=spec)


def check_same(dataset: Dataset, other: Other) -> None:
    """Raise UserError unless another run had the same data, split and fold."""
    card = dataset.card
    if other.data != card.title:
        raise UserError(
            f"{other.setting} was trained on {other.data}, and this run is on {card.title}: name a "
            f"run on {card.title}"
        )
    refuse_leak(dataset, other)
    if other.split != card.split:
        raise UserError(
            f"{other.setting} was trained on the split {other.split}, and this run's is "
            f"{card.split}: name a run with data.split={card.split}"
        )
    if other.fold != card.fold:
        raise UserError(
            f"{other.setting} was trained on fold {other.fold}, and this run's is {card.fold}: "
            f"name a run with data.fold={card.fold}"
        )
    if other.fingerprint != dataset.fingerprint:
        raise UserError(
            f"{other.setting}: the data of {card.title} have changed since it was trained on them: "
            "train it again"
        )


def refuse_leak(dataset: Dataset, other: Other) -> None:
    """Raise UserError where a run of this data was trained on what this one is judged by.

    A transform keeps the items in their order, and may add some behind them.
    """
    title = dataset.card.title
    if without_transform(other.data) != without_transform(title):
        return
    if other.data == title and other.num_items != len(dataset.store.y):
        return
    for part in ("test", "valid"):
        ids = getattr(dataset.split, part)
        if dataset.card.parts != "disjoint":
            ids = ids[~torch.isin(ids, dataset.split.train)]
        seen = int(torch.isin(ids, other.train).sum())
        if seen:
            what = {"node": "nodes", "graph": "graphs", "link": "pairs"}[dataset.spec.level]
            whose = f"the split {other.split}, fold {other.fold}"
            told = "tested on" if part == "test" else "validated on"
            raise UserError(
                f"{other.setting} was trained on {seen} {what} that this run is {told} ({whose}, "
                f"and here {dataset.card.split}, fold {dataset.card.fold}): its labels would leak. "
                "Name a run of the same split and fold"
            )
