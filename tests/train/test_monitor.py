"""Which epoch is the best: direction, ties, and what is compared."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gbench.train.monitor import Monitor


@pytest.mark.parametrize(
    ("direction", "value", "best", "better"),
    [
        ("max", 0.5, None, True),
        ("max", 0.6, 0.5, True),
        ("max", 0.5, 0.5, False),
        ("max", math.nan, None, False),
        ("max", math.nan, 0.5, False),
        ("min", 0.4, 0.5, True),
        ("min", 0.6, 0.5, False),
    ],
)
def test_better_follows_the_direction_and_a_tie_keeps_the_earlier(
    direction: Any, value: float, best: float | None, better: bool
) -> None:
    assert Monitor("metric", direction).is_better(value, best) is better


@pytest.mark.parametrize("of", ["loss", "objective"])
def test_of_losses_the_lower_is_better_whatever_the_metric(of: Any) -> None:
    monitor = Monitor(of, "max")
    row = {"valid": 0.9, "valid_loss": 0.3}
    assert monitor.value(row) == 0.3
    assert monitor.is_better(0.3, 0.4)
    assert not monitor.is_better(0.4, 0.3)
    assert Monitor("metric", "max").value(row) == 0.9


@pytest.mark.parametrize(("ties", "expected"), [("earlier", 1), ("later", 3)])
def test_of_equal_epochs_the_one_that_ties_names(ties: Any, expected: int) -> None:
    monitor, best, chosen = Monitor("metric", "max", ties), None, -1
    for epoch, value in enumerate([0.4, 0.8, 0.6, 0.8, 0.7]):
        if monitor.is_better(value, best):
            best, chosen = value, epoch
    assert chosen == expected
