"""Where runs are wrong on the test part: what `gbench errors` shows, all of it as plain values.

Several runs are taken together: an answer is what one run says of one item, and shares are of all
answers. Of tasks and targets each known entry is an answer.

Legend: T items that any run was asked about, C classes, K tasks or targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gbench.figures import counted
from gbench.predictions import by_class
from gbench.predictions.calibration import Calibration, calibration
from gbench.predictions.grouped import Group, Measure, grouped
from gbench.predictions.predictions import Array, Predictions
from gbench.predictions.wrong import Wrong, wrong_in_all

SCORES = {"numbers": "mean |error|"}  # of groups; of all other labels accuracy
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)  # of residuals that are told
WORST = 10  # items with the largest errors, of numbers


@dataclass(frozen=True)
class Residuals:
    """Answers less labels of one target."""

    name: str
    labelled: int
    mean_absolute: float
    root_mean_square: float
    bias: float  # their mean
    quantiles: dict[str, float]


@dataclass(frozen=True)
class Task:
    """One task, or links: what is 1, what is answered 1 (p above 1/2), and how they are ranked."""

    name: str
    labelled: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    positives: int
    rocauc: float  # NaN where the labels are of one class
    ap: float


@dataclass(frozen=True)
class Report:
    """All of it. What there is nothing to say of is empty or None."""

    data: str
    protocol: str
    split: str
    labels: str
    metric: str
    runs: list[str]
    models: list[str]
    items: int
    answers: int
    score_name: str  # of the groups
    classes: list[by_class.Scores] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)  # rows the labels
    tasks: list[Task] = field(default_factory=list)
    residuals: list[Residuals] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    calibration: Calibration | None = None
    wrong: list[Wrong] | None = None  # None: of numbers
    twins: int = 0  # of those that every run gets wrong
    worst: list[dict[str, Any]] = field(default_factory=list)  # of numbers
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The same of dicts, lists, texts and numbers, as JSON has them."""
        told = asdict(self)
        told["classes"] = [each._asdict() for each in self.classes]
        told["groups"] = [
            {**each._asdict(), "bins": [b._asdict() for b in each.bins]} for each in self.groups
        ]
        if self.calibration is not None:
            bins = [b._asdict() for b in self.calibration.bins]
            told["calibration"] = {"ece": self.calibration.ece, "bins": bins}
        return told


def report(
    given: Sequence[Predictions], measures: Iterable[Measure] = (), conflict: Array | None = None
) -> Report:
    """The report of runs that belong together: see `check_together`.

    Shapes: measures and conflict (N,), of all items of the dataset, conflict bool.
    """
    first = given[0]
    labelled = [p.rows(_rows(p.is_labelled)) for p in given]
    items = np.unique(np.concatenate([p.items for p in labelled]))
    totals, counts = _totals(labelled, items)
    told: dict[str, Any] = {
        "data": first.data,
        "protocol": first.protocol,
        "split": first.split,
        "labels": first.labels,
        "metric": first.metric,
        "runs": [p.run for p in given],
        "models": [*dict.fromkeys(p.model for p in given)],
        "items": len(items),
        "answers": int(counts.sum()),
        "score_name": SCORES.get(first.labels, "accuracy"),
    }
    groups = [grouped(m._replace(values=m.values[items]), totals, counts) for m in measures]
    notes = [*dict.fromkeys(note for p in given for note in p.notes)]
    if without := len(np.unique(np.concatenate([p.items for p in given]))) - len(items):
        notes.append(f"left out: {counted(without, 'item')} without a label")
    common = {**told, "groups": [g for g in groups if len(g.bins) > 1], "notes": notes}
    if first.labels == "numbers":
        return Report(
            **common, residuals=_residuals(labelled), worst=_worst(labelled, items, totals, counts)
        )
    wrong = wrong_in_all(labelled, items, conflict)
    common |= {"wrong": wrong, "twins": sum(each.has_twin for each in wrong)}
    common |= {"calibration": _calibration(labelled)}
    if first.labels != "classes":
        return Report(**common, tasks=_tasks(labelled))
    number = len(first.classes)
    matrix = np.zeros((number, number), dtype=np.int64)
    for p in labelled:
        matrix += by_class.confusion(p.true, p.predicted, number)
    scores = by_class.scores(matrix, first.classes)
    return Report(**common, classes=scores, confusion=matrix.tolist())


def _rows(mask: Array) -> Array:
    return mask if mask.ndim == 1 else np.asarray(mask.any(axis=1))


def score_of(given: Predictions) -> Array:
    """Right or wrong, or the size of the error; NaN without a label. Shapes: (T,) or (T, K)."""
    return np.abs(given.residual) if given.labels == "numbers" else given.is_right


def _totals(given: Sequence[Predictions], items: Array) -> tuple[Array, Array]:
    """The sum of the scores of each item's answers, and how many there are. Shapes: (T,), (T,)."""
    totals, counts = np.zeros(len(items)), np.zeros(len(items), dtype=np.int64)
    for p in given:
        values = score_of(p).reshape(len(p), -1)
        place = np.searchsorted(items, p.items)
        totals[place] += np.nansum(values, axis=1)
        counts[place] += (~np.isnan(values)).sum(axis=1)
    return totals, counts


def _residuals(given: Sequence[Predictions]) -> list[Residuals]:
    found = []
    for k, name in enumerate(given[0].classes):
        values = np.concatenate([p.residual[:, k] for p in given])
        values = values[~np.isnan(values)]
        if not values.size:
            continue
        found_at = zip(QUANTILES, np.quantile(values, QUANTILES).tolist(), strict=True)
        quantiles = {f"{q:g}": value for q, value in found_at}
        size = float(np.abs(values).mean())
        square = float(np.sqrt((values**2).mean()))
        found.append(Residuals(name, values.size, size, square, float(values.mean()), quantiles))
    return found


def _tasks(given: Sequence[Predictions]) -> list[Task]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    found = []
    for k, name in enumerate(given[0].classes):
        columns = [
            np.concatenate([getattr(p, key)[:, k] for p in given])
            for key in ("true", "predicted", "scores")
        ]
        known = ~np.isnan(columns[0])
        true, predicted, scores = (column[known] for column in columns)
        true = true > 0
        right = int((true & (predicted > 0)).sum())
        at = by_class.of_counts(name, right, int(true.sum()), int(predicted.sum()))
        is_both = 0 < at.support < len(true)
        found.append(
            Task(
                name if given[0].labels == "tasks" else "links",
                len(true),
                float((true == (predicted > 0)).mean()) if len(true) else float("nan"),
                at.precision,
                at.recall,
                at.f1,
                at.support,
                float(roc_auc_score(true, scores)) if is_both else float("nan"),
                float(average_precision_score(true, scores)) if is_both else float("nan"),
            )
        )
    return found


def _calibration(given: Sequence[Predictions]) -> Calibration | None:
    """None where scores are no probabilities."""
    if given[0].scale != "probability":
        return None
    sure, right = [], []
    for p in given:
        known = p.is_labelled
        most = p.scores.max(axis=1) if p.labels == "classes" else np.maximum(p.scores, 1 - p.scores)
        sure.append(most[known])
        right.append(p.is_right[known])
    return calibration(np.concatenate(sure), np.concatenate(right))


def _worst(
    given: Sequence[Predictions], items: Array, totals: Array, counts: Array
) -> list[dict[str, Any]]:
    """The items with the largest mean absolute error over their answers."""
    mean = totals / counts
    found = []
    for place in np.argsort(-mean, kind="stable")[:WORST]:
        p = next(p for p in given if items[place] in p.items)
        row = int(np.flatnonzero(p.items == items[place])[0])
        found.append(
            {
                "item": int(items[place]),
                "id": str(p.ids[row]),
                "error": float(mean[place]),
                "true": p.true[row].tolist(),
                "predicted": p.predicted[row].tolist(),
            }
        )
    return found
