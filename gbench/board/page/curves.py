"""Learning curves for the page: of the runs that lead, thinned out, from their `metrics.csv`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gbench.board.tables import Table
from gbench.records.curves import FILE_NAME
from gbench.records.record import RunRecord, finite

RUNS = 150  # curves in a page; with POINTS each about 300 kB
RUNS_OF_A_ROW = 3
POINTS = 200  # more than a plot of 600 pixels can tell apart


class Chosen(NamedTuple):
    """A run whose curve the page offers, and where its row is."""

    table: int
    row: int
    run: RunRecord


def choose(tables: Sequence[Table]) -> Iterator[Chosen]:
    """The first runs of each row, the best rows of all tables first."""
    candidates = (
        Chosen(table, row, run)
        for table, content in enumerate(tables)
        for row, line in enumerate(content.rows)
        for run in line.runs[:RUNS_OF_A_ROW]
    )
    return iter(sorted(candidates, key=lambda chosen: chosen.row))


def embedded(tables: Sequence[Table], runs_dirs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The curves of the chosen runs that have one, at most RUNS of them."""
    curves: list[dict[str, Any]] = []
    for chosen in choose(tables):
        if len(curves) == RUNS:
            break
        points = _points(chosen.run.run, runs_dirs)
        if points is not None:
            place = {"table": chosen.table, "row": chosen.row, "run": chosen.run.run}
            run = chosen.run
            best = {"seed": run.seed, "fold": run.fold, "best": run.best_epoch, "at": run.valid}
            curves.append(finite(place | best | points))
    return curves


def _points(run: str, runs_dirs: Sequence[str | Path]) -> dict[str, Any] | None:
    if Path(run).name != run or run in ("", ".."):  # a record edited by hand names another place
        return None
    for runs_dir in runs_dirs:
        try:
            return thinned(Path(runs_dir, run, FILE_NAME).read_text("utf-8"))
        except (OSError, ValueError):
            continue
    return None


def thinned(text: str) -> dict[str, Any]:
    """At most POINTS epochs of a `metrics.csv`: every k-th, from the first on, and the last.

    Raises ValueError for a file that has not the columns `train_loss` and `valid`.
    """
    lines = text.splitlines()
    heads = lines[0].split(",") if lines else []
    loss, valid = heads.index("train_loss"), heads.index("valid")
    epochs = len(lines) - 1
    every = max(1, math.ceil(epochs / (POINTS - 1)))
    kept = [*lines[1:-1:every], lines[-1]] if epochs else []
    cells = [[*row, *[""] * len(heads)] for row in csv.reader(kept)]
    return {
        "epochs": epochs,
        "every": every,
        "loss": [_figure(row[loss]) for row in cells],
        "valid": [_figure(row[valid]) for row in cells],
    }


def _figure(cell: str) -> float:
    """Four digits, which is what a plot can show; NaN where the cell is empty or damaged."""
    try:
        return float(f"{float(cell):.4g}")
    except ValueError:
        return math.nan
