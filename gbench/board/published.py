"""What papers print, from `published.csv`: each result with its protocol and its source.

Figures are as a record has them, fractions instead of percent, and keep the digits that the paper
prints. `deviation` says "population" where the authors' code divides by n; elsewhere their code
divides by n - 1, or it is not known. `experiment` names the gbench experiment that reproduces a
row; empty where there is none.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from gbench.board.statistics import Spread
from gbench.board.worth import AgainstFloor, Beyond
from gbench.metrics import Direction, find

FILE = Path(__file__).with_name("published.csv")


@dataclass(frozen=True)
class Published:
    """One result of one paper on one split of one dataset."""

    model: str  # as it is printed there
    data: str
    split: str
    metric: str
    mean: float
    std: float | None  # as it is printed
    is_population: bool  # whether it divides by n, as numpy's std does unless told otherwise
    n: int | None  # runs or folds
    valid: Spread | None
    num_parameters: int | None
    selection: str  # as of a record; empty where the source does not say
    source: str
    note: str  # what else tells its protocol from others; empty if nothing
    experiment: str
    resolution: float  # one unit of the last digit that is printed of the mean
    # by the audit of the dataset, as of a Row: see gbench/board/flags.py
    against_floor: AgainstFloor = ""
    beyond: Beyond = ""

    @property
    def direction(self) -> Direction:
        """Whether more or less of the metric is better."""
        return find(self.metric).direction

    @property
    def sample_std(self) -> float | None:
        """The deviation with n - 1 below the sum of squares, as ours."""
        if self.std is None or not self.is_population or not self.n or self.n < 2:
            return self.std
        return self.std * math.sqrt(self.n / (self.n - 1))

    def is_of(self, model: str) -> bool:
        """Whether it is a result of gbench's model of this name."""
        return f"-{model}-{self.data}-" in f"-{self.experiment}-" or (
            _letters(self.model) == _letters(model)
        )


@cache
def published_rows() -> tuple[Published, ...]:
    """All rows of the file, in its order."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return tuple(_row(*cells) for cells in islice(csv.reader(file), 1, None))


def published_by(experiment: str) -> Published | None:
    """The result that an experiment reproduces, if there is one."""
    if not experiment:
        return None
    return next((row for row in published_rows() if row.experiment == experiment), None)


def _row(
    model: str,
    data: str,
    split: str,
    metric: str,
    mean: str,
    std: str,
    deviation: str,
    n: str,
    valid_mean: str,
    valid_std: str,
    num_parameters: str,
    selection: str,
    source: str,
    note: str,
    experiment: str,
) -> Published:
    """A line of the file, by the heads of its columns."""
    return Published(
        model=model,
        data=data,
        split=split,
        metric=metric,
        mean=float(mean),
        std=_number(std),
        is_population=deviation == "population",
        n=int(n) if n else None,
        valid=Spread(float(valid_mean), _number(valid_std)) if valid_mean else None,
        num_parameters=int(num_parameters) if num_parameters else None,
        selection=selection,
        source=source,
        note=note,
        experiment=experiment,
        resolution=10.0 ** -len(mean.partition(".")[2]),
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _letters(name: str) -> str:
    """`O(d)-NSD` and `od-nsd` are one name."""
    return "".join(filter(str.isalnum, name.lower()))
