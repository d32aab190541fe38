"""The one epoch for all runs, against the same done with numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gbench.board.mean_epoch import best_mean_epoch, row_values
from gbench.board.tables import rows


@pytest.mark.parametrize("direction", ["max", "min"])
@pytest.mark.parametrize("seed", range(5))
def test_the_epoch_with_the_best_mean(direction: str, seed: int) -> None:
    curves = np.random.default_rng(seed).random((10, 40)).round(2)
    means = curves.mean(0)
    expected = int(means.argmax() if direction == "max" else means.argmin())
    epoch, values = best_mean_epoch(curves.tolist(), direction)
    assert epoch == expected + 1
    assert values == curves[:, expected].tolist()


def test_ties_missing_epochs_and_numbers_that_are_none() -> None:
    assert best_mean_epoch([[0.5, 0.7, 0.9, 0.9], [0.5, 0.7, 0.5]], "max") == (2, [0.7, 0.7])
    assert best_mean_epoch([[0.6, math.nan], [0.6, 1.0]], "max") == (1, [0.6, 0.6])
    assert best_mean_epoch([[math.nan], [1.0]], "max") == (0, [])
    assert best_mean_epoch([[], [1.0]], "max") == (0, [])


def test_a_row_reports_its_runs_at_that_epoch_and_other_rows_their_tests(make_record: Any) -> None:
    curves = [[0.6, 0.9, 0.7], [0.7, 0.7, 0.9], [0.8, 0.9, 0.5]]
    runs = [
        make_record(
            {"data.fold": fold}, fold=fold, num_folds=3, selection="best-mean-epoch",
            curve=curve, test=curve[-1], valid=curve[-1],
        )
        for fold, curve in enumerate(curves)
    ]  # fmt: skip
    (table,) = rows(runs)
    test = table.rows[0].test
    assert test.mean == pytest.approx(np.mean([0.9, 0.7, 0.9]))
    assert test.std == pytest.approx(np.std([0.9, 0.7, 0.9], ddof=1))
    honest = [make_record(fold=0, test=0.4), make_record(fold=0, test=0.6, seed=1)]
    assert row_values(honest) == [0.4, 0.6]


def test_runs_without_a_common_epoch_report_their_last_weights(make_record: Any) -> None:
    run = make_record(selection="best-mean-epoch", curve=[math.nan], test=0.3)
    assert row_values([run]) == [0.3]
