"""Our runs of a published setting beside the figure that its paper prints."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gbench.board.audits import with_audits
from gbench.board.mean_epoch import row_values
from gbench.board.published import Published, published_by
from gbench.board.statistics import Spread, Verdict, verdict
from gbench.board.tables import Row, Table, rows
from gbench.board.worth_text import remark, worth_line
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
    remark: str = ""  # by the audit of the dataset, as beside a row of the leaderboard
    floor: float = math.nan  # the best one of the audit
    ceiling: float = math.nan
    worth: str = ""  # the line that stands beside a table of the leaderboard

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


def reproductions(
    records: Iterable[RunRecord], cache_dir: Path | None = None
) -> list[Reproduction]:
    """One for each experiment that some of the records ran unchanged, by name.

    With what audits that are kept in `cache_dir` say of it.
    """
    named: dict[str, list[RunRecord]] = {}
    for record in records:
        experiment = record.config.get("experiment")
        if experiment:
            named.setdefault(str(experiment), []).append(record)
    return [
        _reproduction(experiment, table, row)
        for experiment, group in sorted(named.items())
        for table, row in _newest(group, cache_dir)
    ]


def _newest(records: list[RunRecord], cache_dir: Path | None) -> list[tuple[Table, Row]]:
    """The row of an experiment; after its settings were mended, the one that ran last."""
    tables = rows(records)
    if cache_dir is not None:
        tables = with_audits(tables, cache_dir)
    every = [(table, row) for table in tables for row in table.rows]
    return sorted(every, key=lambda of: of[1].finished)[-1:]


def _reproduction(experiment: str, table: Table, row: Row) -> Reproduction:
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
        remark=remark(row),
        floor=math.nan if table.bar is None else table.bar.mean,
        ceiling=table.worth.ceiling.mean if table.worth and table.worth.ceiling else math.nan,
        worth=worth_line(table),
    )
