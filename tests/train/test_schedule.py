"""Learning rates epoch by epoch, against torch's own schedulers."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from gbench.train.schedule import Schedule


def schedule(rule: Any, **changes: Any) -> Schedule:
    settings: dict[str, Any] = {
        "rule": rule, "lr": 0.01, "factor": 0.5, "every": 50, "patience": 10, "min_lr": 0.0,
    }  # fmt: skip
    return Schedule(**{**settings, **changes})


def rates(made: Schedule, losses: list[float]) -> list[float]:
    curve: list[dict[str, float]] = []
    used = []
    for loss in losses:
        used.append(made.rate(curve))
        curve.append({"valid_loss": loss})
    return used


def sgd(lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


@pytest.mark.parametrize(("every", "factor"), [(50, 0.5), (7, 0.3), (1, 0.9)])
def test_step_is_torchs_step_lr(every: int, factor: float) -> None:
    optimizer = sgd(0.01)
    oracle = StepLR(optimizer, every, factor)
    expected = []
    for _ in range(160):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        oracle.step()
    used = rates(schedule("step", every=every, factor=factor), [0.0] * 160)
    assert used == pytest.approx(expected, rel=1e-12)


def test_step_halves_at_the_beginning_of_epochs_50_and_100() -> None:
    used = rates(schedule("step"), [0.0] * 120)
    assert used == [0.01] * 50 + [0.005] * 50 + [0.0025] * 20


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("patience", [0, 1, 10])
def test_plateau_is_torchs_reduce_lr_on_plateau(seed: int, patience: int) -> None:
    draw = random.Random(seed)
    # progress by less than the threshold, ties, rises and falls
    losses = [1.0]
    for _ in range(150):
        losses.append(losses[-1] * draw.choice([1.0, 0.99995, 0.999, 0.95, 1.03]))
    optimizer = sgd(0.01)
    oracle = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=patience, eps=0.0)
    expected = []
    for loss in losses:
        expected.append(optimizer.param_groups[0]["lr"])
        oracle.step(loss)
    used = rates(schedule("plateau", patience=patience), losses)
    assert used == pytest.approx(expected, rel=1e-12)
    assert len(set(used)) > 3


def test_plateau_ends_the_run_when_the_rate_falls_below_the_least() -> None:
    made = schedule("plateau", lr=0.001, patience=2, min_lr=1e-5)
    curve: list[dict[str, float]] = []
    while not made.is_over(curve):
        curve.append({"valid_loss": 1.0})
    # the first loss is progress, each halving takes three more; 0.001 / 2^7 < 1e-5 < 0.001 / 2^6
    assert len(curve) == 1 + 3 * 7
    assert not made.is_over(curve[:-1])


def test_constant_is_constant_and_reads_nothing() -> None:
    made = schedule("constant", min_lr=1.0)
    assert rates(made, [1.0] * 30) == [0.01] * 30
    assert not made.is_over([{}] * 30)
    assert [schedule(rule).reads_loss for rule in ("constant", "step", "plateau")] == [
        False,
        False,
        True,
    ]
