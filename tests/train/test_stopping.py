"""Each stopping rule on artificial curves, against the loops of the papers' code written out."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from gbench.train.stopping import Stopping


def last_epoch(rule: Any, losses: list[float], patience: int) -> int:
    """The epoch (from 0) after which a run with these validation losses ends."""
    stopping = Stopping(rule, patience, max_epochs=len(losses))
    curve: list[dict[str, float]] = []
    for loss in losses:
        curve.append({"valid_loss": loss})
        best = min(range(len(curve)), key=lambda t: curve[t]["valid_loss"])
        if stopping.is_due(curve, best):
            break
    return len(curve) - 1


def kipf(losses: list[float], window: int) -> int:
    cost_val = []
    for epoch, loss in enumerate(losses):
        cost_val.append(loss)
        if epoch > window and cost_val[-1] > np.mean(cost_val[-(window + 1) : -1]):
            return epoch
    return len(losses) - 1


def pyg(losses: list[float], window: int) -> int:
    history = []
    for number, loss in enumerate(losses, start=1):
        history.append(loss)
        before = history[-(window + 1) : -1]
        if number > len(losses) // 2 and before and loss > np.mean(before):
            return number - 1
    return len(losses) - 1


def nsd(losses: list[float], patience: int) -> int:
    best, bad = float("inf"), 0
    for epoch, loss in enumerate(losses):
        best, bad = (loss, 0) if loss < best else (best, bad + 1)
        if bad == patience:
            return epoch
    return len(losses) - 1


ORACLES = {"window": kipf, "late-window": pyg, "patience": nsd}


@pytest.mark.parametrize("rule", ORACLES)
def test_a_rule_stops_where_the_papers_loop_does(rule: str) -> None:
    draw = random.Random(0)
    ends = set()
    for _ in range(300):
        epochs, slope = draw.randint(1, 60), draw.choice([-0.2, -0.05, 0.0, 0.05])
        losses = [slope * t + draw.gauss(0, 0.3) for t in range(epochs)]
        losses = [round(loss, 1) for loss in losses] if draw.random() < 0.3 else losses  # ties
        patience = draw.choice([1, 2, 5, 10, 40])
        end = last_epoch(rule, losses, patience)
        assert end == ORACLES[rule](losses, patience), (losses, patience)
        ends.add(end < epochs - 1)
    assert ends == {True, False}  # both happened


def test_the_first_epoch_at_which_a_rising_loss_stops_the_run() -> None:
    rising = [0.01 * t for t in range(200)]
    assert last_epoch("window", rising, 10) == 11  # the check is for epoch indices above 10
    assert last_epoch("late-window", rising, 10) == 100  # epoch number 101 of 200
    assert last_epoch("patience", rising, 10) == 10
    level = [1.0] * 200
    assert last_epoch("window", level, 10) == 199  # not above its mean


@pytest.mark.parametrize("rule", ORACLES)
def test_without_patience_all_epochs_are_run(rule: str) -> None:
    assert last_epoch(rule, [float(t) for t in range(30)], 0) == 29
    assert not Stopping(rule, 0, 30).reads_loss  # type: ignore[arg-type]


def test_a_loss_that_is_not_a_number_stops_no_window() -> None:
    assert last_epoch("window", [float("nan")] * 30, 5) == 29


@pytest.mark.parametrize("rule", ORACLES)
def test_epochs_that_are_sure_to_come_always_do(rule: str) -> None:
    """Where no rule can end the run before them, whatever is measured; often there are several."""
    draw = random.Random(1)
    several = 0
    for _ in range(300):
        epochs, patience = draw.randint(1, 60), draw.choice([0, 1, 2, 5, 10])
        stopping = Stopping(rule, patience, epochs)  # type: ignore[arg-type]
        curve: list[dict[str, float]] = []
        best, sure = None, 0
        while not stopping.is_due(curve, best):
            sure = sure or stopping.sure(len(curve), best)
            assert sure >= 1
            several += sure > 1
            curve.append({"valid_loss": draw.choice([draw.random(), math.nan])})
            losses = [row["valid_loss"] for row in curve if not math.isnan(row["valid_loss"])]
            if losses:
                best = [row["valid_loss"] for row in curve].index(min(losses))
            sure -= 1
        assert sure == 0
    assert several > 300
