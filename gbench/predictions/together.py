"""Several runs together: which belong together, and what they say of each item on average.

Legend: R runs, T items that any of them was asked about, C classes, K tasks or targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gbench.errors import UserError
from gbench.predictions.predictions import Array, Predictions
from gbench.records.record import RunRecord

if TYPE_CHECKING:
    from pandas import DataFrame


def check_together(records: Sequence[RunRecord], *, one_setting: bool) -> None:
    """Raise UserError unless these are runs on the same data and split, each given once.

    With `one_setting` they differ in nothing but seed and fold.
    """
    first = records[0]
    seen = set[str]()
    for record in records:
        if record.run in seen:
            raise UserError(f"{record.run} is given twice")
        seen.add(record.run)
        pair = f"{first.run} and {record.run} do not belong together"
        if record.data != first.data:
            raise UserError(f"{pair}: their data are {first.data} and {record.data}")
        if record.split != first.split:
            raise UserError(f"{pair}: their splits are {first.split} and {record.split}")
        if record.fingerprint != first.fingerprint:
            raise UserError(
                f"{pair}: {first.data} had changed between them, so that their items are not the "
                "same (another fingerprint)"
            )
        if one_setting and record.identity != first.identity:
            raise UserError(
                f"{pair}: they are two settings (gbench compare {first.run} {record.run}), and "
                "predictions are averaged over runs that differ in seed and fold alone"
            )


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The mean answer of R runs to each item, over those of them that were asked about it.

    Shapes: count (T,) how many; folds, seeds and runs (T,) str, which, in the order in which they
    were given; disagreement (T,) or (T, K).
    """

    mean: Predictions
    count: Array
    folds: Array
    seeds: Array
    runs: Array
    disagreement: Array

    def frame(self) -> DataFrame:
        """As that of one run; `disagreement` is beside the answers, and how many runs they are of.

        fold, seed and run list those of each item.
        """
        import pandas

        word = "std" if self.mean.labels == "numbers" else "disagreement"
        spread = self.disagreement.reshape(len(self.mean), -1)
        ends = [f"_{n}" for n in self.mean.classes] if spread.shape[1] > 1 else [""]
        return pandas.DataFrame(
            self.mean.told_of_items()
            | self.mean.told_of_answers()
            | {f"{word}{end}": spread[:, k] for k, end in enumerate(ends)}
            | {"runs": self.count, "fold": self.folds, "seed": self.seeds, "run": self.runs}
        )

    def arrays(self) -> dict[str, Any]:
        """As those of one run, with `disagreement` and `runs`, how many."""
        more = {"fold": self.folds, "seed": self.seeds, "run": self.runs}
        told = {key: value.astype(str) for key, value in more.items()}
        return self.mean.arrays() | told | {"disagreement": self.disagreement, "runs": self.count}


def ensemble(given: Sequence[Predictions]) -> Ensemble:
    """The mean over runs that were asked about the same data, an item by those that have it.

    Probabilities (values, scores) are averaged, and the answer is that of the mean. Disagreement:
    of classes, tasks and links the share of an item's runs whose own answer is not the one that
    most of them give; of numbers the sample standard deviation, NaN of one run. Raises UserError
    where an item is in other parts of the split in one run than in another, as with --split all
    over folds: its mean would mix training and test.
    """
    items, first = np.unique(np.concatenate([g.items for g in given]), return_index=True)
    every = [np.searchsorted(items, g.items) for g in given]
    rows = np.concatenate([np.arange(len(g)) for g in given])[first]
    of_run = np.repeat(np.arange(len(given)), [len(g) for g in given])[first]
    base = _gathered(given, of_run, rows)
    for g, place in zip(given, every, strict=True):
        if (base.parts[place] != g.parts).any():
            raise UserError(
                f"{given[0].run} and {g.run} are of folds in which the same items are in different "
                f"parts: --split {g.split} would average training with test. Take --split test, "
                "or the runs of one fold"
            )
    count = np.zeros(len(items), dtype=np.int64)
    total = np.zeros((len(items), given[0].scores.shape[1]))
    for g, place in zip(given, every, strict=True):
        count[place] += 1
        total[place] += g.scores
    mean = total / count[:, None]
    whole = replace(base, scores=mean, predicted=answer(base, mean))
    return Ensemble(
        whole,
        count,
        _listed(given, every, len(items), "fold"),
        _listed(given, every, len(items), "seed"),
        _listed(given, every, len(items), "run"),
        _disagreement(given, every, mean, count),
    )


def answer(like: Predictions, scores: Array) -> Array:
    """What averaged scores stand for. Shapes: (T, C) → (T,), or (T, K) → (T, K)."""
    if like.labels == "classes":
        return np.asarray(scores.argmax(axis=1))
    if like.labels == "numbers":
        return scores
    return (scores > (0.0 if like.scale == "score" else 0.5)).astype(np.float64)


def _gathered(given: Sequence[Predictions], of_run: Array, rows: Array) -> Predictions:
    """One predictions of items that stand in several, each from the run that is named for it."""
    start = np.cumsum([0, *(len(g) for g in given)])[of_run] + rows
    names = ("items", "ids", "graph", "true", "scores", "predicted", "parts", "ends")
    columns: dict[str, Any] = {}
    for name in names:
        values = [getattr(g, name) for g in given]
        columns[name] = None if values[0] is None else np.concatenate(values)[start]
    return replace(given[0], **columns)


def _listed(given: Sequence[Predictions], every: Sequence[Array], size: int, name: str) -> Array:
    """Of each item the different values of a field over its runs. Shapes: → (size,) str."""
    values = [str(getattr(g, name)) for g in given]
    told = np.full(size, "", dtype=object)
    for value in dict.fromkeys(values):
        has = np.zeros(size, dtype=bool)
        for own, place in zip(values, every, strict=True):
            has[place] |= own == value
        told[has] = [f"{before} {value}".lstrip() for before in told[has]]
    return told


def _disagreement(
    given: Sequence[Predictions], every: Sequence[Array], mean: Array, count: Array
) -> Array:
    labels = given[0].labels
    if labels == "numbers":
        squares = np.zeros_like(mean)
        for g, place in zip(given, every, strict=True):
            squares[place] += (g.predicted - mean[place]) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.sqrt(squares / (count - 1)[:, None])
        return np.where(count[:, None] > 1, spread, np.nan)
    votes = np.zeros_like(mean)  # for each class, or for 1 of each task
    for g, place in zip(given, every, strict=True):
        if labels == "classes":
            votes[place, g.predicted] += 1
        else:
            votes[place] += g.predicted
    if labels == "classes":
        return np.asarray(1 - votes.max(axis=1) / count)
    return np.asarray(np.minimum(votes, count[:, None] - votes) / count[:, None])
