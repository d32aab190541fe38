"""What `gbench errors` leaves in a run's folder for the leaderboard's page: `errors.json`.

Light: the page reads it without torch and numpy. It is of the weights that the run's record is
about: of a run that was trained again it counts no more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbench.folders import written_whole

FILE_NAME = "errors.json"
LAYOUT = 1


@dataclass(frozen=True)
class Kept:
    """Counts of one run's test answers.

    confusion: rows are labels, columns answers, of classes alone. bins: of each bin of confidence
    the number of answers, their summed confidences and how many are right; empty where there are no
    probabilities.
    """

    classes: tuple[str, ...]
    confusion: list[list[int]]
    bins: list[list[float]]

    def plus(self, other: Kept) -> Kept:
        """The counts of both. Raises ValueError for others than those of the same classes."""
        if other.classes != self.classes:
            raise ValueError("other classes")
        return Kept(
            self.classes,
            _sums(self.confusion, other.confusion),
            _sums(self.bins, other.bins),
        )


def write(kept: Kept, folder: Path, finished: str) -> None:
    """Leave it beside the record of the run that finished then. Raises OSError."""
    said = {
        "layout": LAYOUT,
        "finished": finished,
        "classes": kept.classes,
        "confusion": kept.confusion,
        "bins": kept.bins,
    }
    with written_whole(folder / FILE_NAME) as file:
        file.write(json.dumps(said).encode())


def read(folder: Path, finished: str) -> Kept | None:
    """What is kept of the run that finished then; None where nothing is, or of another one."""
    try:
        said = json.loads((folder / FILE_NAME).read_text("utf-8"))
        if said["layout"] != LAYOUT or said["finished"] != finished:
            return None
        classes = tuple(map(str, said["classes"]))
        confusion, bins = _numbers(said["confusion"]), _numbers(said["bins"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_square = all(len(row) == len(classes) for row in confusion)
    is_whole = len(confusion) in (0, len(classes)) and all(len(row) == 3 for row in bins)
    return (
        Kept(classes, [[*map(int, row)] for row in confusion], bins)
        if (is_square and is_whole)
        else None
    )


def _numbers(rows: Iterable[Iterable[Any]]) -> list[list[float]]:
    """Raises ValueError for what is not finite, TypeError for what is no number."""
    found = [[float(value) for value in row] for row in rows]
    if not all(math.isfinite(value) and value >= 0 for row in found for value in row):
        raise ValueError("a count is not finite")
    return found


def _sums(one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]]) -> list[list[Any]]:
    if len(one) != len(other):
        raise ValueError("other rows")
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)]
