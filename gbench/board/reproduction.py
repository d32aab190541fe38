"""Our runs of a published setting beside the figure that its paper prints."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gbench.board.mean_epoch import row_values
from gbench.board.published import Published, published_by
from gbench.board.statistics import Spread, Verdict, verdict
from gbench.board.tables import Row, rows
from gbench.records.record import RunRecord


@dataclass(frozen=True)
class Reproduction:
    """One experiment: all its runs, and what the paper says."""

    experiment: str
    data: str
    split: str
    metric: str
    published: Published | None  # None: no paper prints this protocol
    ours: Spread
    n: int
    verdict: Verdict | None
    seconds: float  # of all runs together, training and validation
    quirk: bool  # its protocol selects on test data or repeats an error of published code

    @property
    def difference(self) -> float:
        """Ours minus the paper's."""
        return math.nan if self.published is None else self.ours.mean - self.published.mean


def repetitions(published: Published | None, num_folds: int) -> list[str]:
    """The seeds and folds that a paper averages over, as words of a sweep.

    Where the dataset has folds each is run once, or n / folds times if the paper ran more. A paper
    that does not say how many runs it made gets ten.
    """
    n = 10 if published is None or published.n is None else published.n
    if num_folds == 1:
        return [f"seeds={n}"]
    folds = "all" if n >= num_folds else str(n)
    return [f"seeds={max(1, n // num_folds)}", f"folds={folds}"]


def reproductions(records: Iterable[RunRecord]) -> list[Reproduction]:
    """One for each experiment that some of the records ran unchanged, by name."""
    named: dict[str, list[RunRecord]] = {}
    for record in records:
        experiment = record.config.get("experiment")
        if experiment:
            named.setdefault(str(experiment), []).append(record)
    return [
        _reproduction(experiment, row)
        for experiment, group in sorted(named.items())
        for row in _newest(group)
    ]


def _newest(records: list[RunRecord]) -> list[Row]:
    """The row of an experiment; after its settings were mended, the one that ran last."""
    every = [row for table in rows(records) for row in table.rows]
    return sorted(every, key=lambda row: row.finished)[-1:]


def _reproduction(experiment: str, row: Row) -> Reproduction:
    first, paper = row.runs[0], published_by(experiment)
    said = None
    if paper is not None:
        said = verdict(
            row_values(row.runs), paper.mean, paper.sample_std, paper.n, paper.resolution
        )
    return Reproduction(
        experiment=experiment,
        data=first.data,
        split=first.split,
        metric=first.metric,
        published=paper,
        ours=row.test,
        n=len(row.runs),
        verdict=said,
        seconds=math.fsum(run.seconds_total for run in row.runs),
        quirk=row.quirk,
    )
