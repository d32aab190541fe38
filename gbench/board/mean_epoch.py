"""Results without a test set, as Xu et al. (ICLR 2019) report them: one epoch for all runs.

All runs of a row are validated on what they are tested on (`gin-10-fold-selects-on-test`); their
curves are averaged, and each run counts with its value at the epoch where the mean is best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gbench.records.record import RunRecord


def row_values(runs: Sequence[RunRecord]) -> list[float]:
    """What each run of one row contributes to the row's test result, a fraction."""
    if runs[0].selection != "best-mean-epoch":
        return [run.test for run in runs]
    epoch, values = best_mean_epoch([run.curve for run in runs], runs[0].direction)
    return values if epoch else [run.test for run in runs]


def best_mean_epoch(curves: Sequence[Sequence[float]], direction: str) -> tuple[int, list[float]]:
    """The epoch, counted from 1, whose mean over the curves is best, and the curves' values there.

    The earliest of equals; epochs that a curve does not have, or where it is NaN, do not count.
    Where none is left the epoch is 0 and there are no values.
    """
    best, best_mean, values = 0, math.nan, list[float]()
    for epoch, column in enumerate(zip(*curves, strict=False), start=1):
        mean = math.fsum(column) / len(column)
        if math.isnan(mean):
            continue
        if not best or (mean > best_mean if direction == "max" else mean < best_mean):
            best, best_mean, values = epoch, mean, list(column)
    return best, values
