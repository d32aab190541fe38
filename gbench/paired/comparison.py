"""Two rows, item by item: who is right where, and what the difference is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gbench.board.mean_epoch import row_values
from gbench.board.statistics import Comparison, Run, spread
from gbench.board.statistics import compare as t_test
from gbench.errors import UserError
from gbench.paired import mcnemar
from gbench.paired.bootstrap import Interval, Pair, bootstrap
from gbench.paired.rows import Row
from gbench.paired.weighted import columns_read, weighted
from gbench.predictions.predict import predict
from gbench.predictions.predictions import Predictions

# metrics that say how often the answer is right; of others a table of right and wrong tells little
BY_ANSWER = ("accuracy", "f1-micro", "f1-macro", "balanced-accuracy", "mcc")
SAME = (
    "data",
    "split",
    "num_folds",
    "metric",
    "fingerprint",
)  # without which nothing is comparable
_WORDS = {"num_folds": "folds", "fingerprint": "fingerprint of the data"}

Keys = tuple[tuple[int, int], tuple[int, int]]  # seed and fold of A's run, and of B's


@dataclass(frozen=True)
class PairTable:
    """McNemar's table of one pair of runs."""

    a: str
    b: str
    seed: int  # of A's run; of B's as well, where there are several pairs
    fold: int
    table: mcnemar.Table


@dataclass(frozen=True)
class ItemComparison:
    """What two rows differ by on the items of the test part."""

    a: Row
    b: Row
    pairs: tuple[PairTable, ...]  # their tables; none of metrics that are not by answer
    num_pairs: int
    num_items: int  # different ones
    items: mcnemar.Table | None  # each item once
    interval: Interval
    runs: Comparison  # the t test over the runs, as the leaderboard makes it
    difference_of_runs: float  # A - B, of those that the test compares
    notes: tuple[str, ...]


def compare(a: Row, b: Row, tell: Callable[[str], None] = lambda text: None) -> ItemComparison:
    """Predict the test part with each run that has a partner, and compare.

    Raises UserError for rows of other data, another split or metric, or without common folds.
    """
    refuse_others(a, b)
    partners, notes = paired(a, b)
    said = [*_predictions(a, b, partners, tell)]
    return compared(a, b, said, notes)


def refuse_others(a: Row, b: Row) -> None:
    """Raise UserError for two rows whose items or metrics are not the same."""
    for name in SAME:
        values = [getattr(row.first, name) for row in (a, b)]
        if values[0] != values[1]:
            raise UserError(
                f"{a.name} and {b.name} do not compare item by item: their "
                f"{_WORDS.get(name, name)} is {values[0]} and {values[1]}"
            )


def paired(a: Row, b: Row) -> tuple[list[Keys], list[str]]:
    """Which run of A is held against which of B, and what to say of runs without a partner.

    Runs of one seed and fold are partners. One run and one run of the same fold are as well,
    whatever their seeds. Raises UserError where there are none.
    """
    if len(a.records) == len(b.records) == 1:
        (one,), (other,) = a.records, b.records
        if one[1] != other[1]:
            raise UserError(
                f"{a.name} was tested on fold {one[1]} and {b.name} on fold {other[1]}: the items "
                "are others"
            )
        return [(one, other)], []
    shared = [key for key in a.records if key in b.records]
    if not shared:
        raise UserError(
            f"{a.name} and {b.name} share no seed and fold: {_told(a)} against {_told(b)}. Name "
            "one run of each, or train them with the same seeds"
        )
    notes = [
        f"{row.name}: {len(alone)} without a partner of the same seed and fold left out"
        for row, other in ((a, b), (b, a))
        if (alone := [key for key in row.records if key not in other.records])
    ]
    return [(key, key) for key in shared], notes


def _told(row: Row) -> str:
    return ", ".join(f"seed {seed} fold {fold}" for seed, fold in [*row.records][:5])


def _predictions(
    a: Row, b: Row, partners: Sequence[Keys], tell: Callable[[str], None]
) -> Iterator[tuple[Predictions, Predictions]]:
    for number, (one, other) in enumerate(partners, start=1):
        tell(f"predicting {number}/{len(partners)}")
        yield predict(a.folders[one]), predict(b.folders[other])


def compared(
    a: Row, b: Row, said: Sequence[tuple[Predictions, Predictions]], notes: Sequence[str] = ()
) -> ItemComparison:
    """The comparison of rows whose predictions are at hand, by pair of runs.

    Items without a label are left out. Raises UserError where a pair was asked of other items.
    """
    told = [*notes, *(f"{name} has not finished" for row in (a, b) for name in row.unfinished)]
    known = [_labelled(one, other) for one, other in said]
    left_out = sum(len(one) for one, _ in said) - sum(len(one) for one, _ in known)
    if left_out:
        told.append(f"{left_out} items without a label left out")
    pairs = [
        Pair(one.items, weighted(one), weighted(other), columns_read(one)) for one, other in known
    ]
    tables: tuple[PairTable, ...] = ()
    items = None
    if known[0][0].labels == "classes" and known[0][0].metric in BY_ANSWER:
        right = [(one.is_right.astype(bool), other.is_right.astype(bool)) for one, other in known]
        tables = tuple(
            PairTable(one.run, other.run, one.seed, one.fold, mcnemar.table(*answers))
            for (one, other), answers in zip(known, right, strict=True)
        )
        items = mcnemar.by_item([one.items for one, _ in known], *zip(*right, strict=True))
    by_run = [
        dict(zip(row.records, row_values([*row.records.values()]), strict=True)) for row in (a, b)
    ]
    return ItemComparison(
        a,
        b,
        tables,
        len(known),
        len(np.unique(np.concatenate([one.items for one, _ in known]))),
        items,
        bootstrap(pairs),
        t_test(*by_run),
        _difference(*by_run),
        tuple(told),
    )


def _difference(a: Mapping[Run, float], b: Mapping[Run, float]) -> float:
    """Of the means: of shared runs, where there are as many as make the t test a paired one."""
    shared = [key for key in a if key in b]
    if len(shared) > 1:
        return spread([a[key] - b[key] for key in shared]).mean
    return spread([*a.values()]).mean - spread([*b.values()]).mean


def _labelled(one: Predictions, other: Predictions) -> tuple[Predictions, Predictions]:
    """Both, of the items that have a label, in one order."""
    if one.items.shape != other.items.shape or (np.sort(one.items) != np.sort(other.items)).any():
        raise UserError(f"{one.run} and {other.run} were tested on other items")
    if one.labels == "links":
        return one, other
    known: Any = one.is_labelled if one.is_labelled.ndim == 1 else one.is_labelled.any(1)
    one = one.rows(known)
    place = {item: number for number, item in enumerate(other.items.tolist())}
    return one, other.rows(np.array([place[item] for item in one.items.tolist()], dtype=int))
