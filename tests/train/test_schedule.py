"""Learning rates epoch by epoch and step by step, against torch's own schedulers."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torchs

from gbench.choices import PACKAGED, read_yaml
from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.limits import LIMITS
from gbench.schedules import SCHEDULES
from gbench.train.schedule import Schedule

OPTIM = {**read_yaml(PACKAGED / "train.yaml")["optim"], "lr": 0.01}


def schedule(rule: str, epochs: int = 0, direction: str = "max", **changes: Any) -> Schedule:
    return Schedule.from_config({**OPTIM, "schedule": rule, **changes}, epochs, direction)


def rates(made: Schedule, losses: list[float], key: str = "valid_loss") -> list[float]:
    curve: list[dict[str, float]] = []
    used = []
    for loss in losses:
        used.append(made.rate(curve))
        curve.append({key: loss})
    return used


def by_step(made: Schedule, epochs: int, steps: int) -> list[float]:
    """Every step's rate, where it is asked for as training asks."""
    used: list[float] = []
    for epoch in range(epochs):
        curve = [{"valid_loss": 1.0}] * epoch
        for step in range(steps):
            if step and not made.changes_within(epoch, steps):
                used.append(used[-1])
            else:
                used.append(made.rate(curve, step, steps))
    return used


def sgd(lr: float = 0.01) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def oracle_rates(optimizer: torch.optim.Optimizer, oracle: Any, number: int) -> list[float]:
    expected = []
    for done in range(number):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if done + 1 < number:
            oracle.step()
    return expected


@pytest.mark.parametrize(("every", "factor"), [(50, 0.5), (7, 0.3), (1, 0.9)])
def test_step_is_torchs_step_lr(every: int, factor: float) -> None:
    optimizer = sgd()
    expected = oracle_rates(optimizer, torchs.StepLR(optimizer, every, factor), 160)
    used = rates(schedule("step", lr_every=every, lr_factor=factor), [0.0] * 160)
    assert used == pytest.approx(expected, rel=1e-12)


def test_step_halves_at_the_beginning_of_epochs_50_and_100() -> None:
    used = rates(schedule("step"), [0.0] * 120)
    assert used == [0.01] * 50 + [0.005] * 50 + [0.0025] * 20


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("patience", [0, 1, 10])
@pytest.mark.parametrize("on", ["loss", "max", "min"])
def test_plateau_is_torchs_reduce_lr_on_plateau(on: str, seed: int, patience: int) -> None:
    draw = random.Random(seed)
    # progress by less than the threshold, ties, rises and falls
    values = [1.0]
    for _ in range(150):
        change = draw.choice([1.0, 0.99995, 0.999, 0.95, 1.03])
        values.append(values[-1] * (1 / change if on == "max" else change))
    values[20] = math.nan  # a metric that has no value in an epoch
    mode: Any = "max" if on == "max" else "min"
    optimizer = sgd()
    oracle = torchs.ReduceLROnPlateau(optimizer, mode=mode, factor=0.5, patience=patience, eps=0.0)
    expected = []
    for value in values:
        expected.append(optimizer.param_groups[0]["lr"])
        oracle.step(value)
    read, key = ("loss", "valid_loss") if on == "loss" else ("metric", "valid")
    made = schedule("plateau", direction=mode, plateau_on=read, lr_patience=patience)
    used = rates(made, values, key)
    assert used == pytest.approx(expected, rel=1e-12)
    assert len(set(used)) > 3
    assert made.reads_loss == (on == "loss")


def test_plateau_ends_the_run_when_the_rate_falls_below_the_least() -> None:
    made = schedule("plateau", lr=0.001, lr_patience=2, min_lr=1e-5)
    curve: list[dict[str, float]] = []
    while not made.is_over(curve):
        curve.append({"valid_loss": 1.0})
    # the first loss is progress, each halving takes three more; 0.001 / 2^7 < 1e-5 < 0.001 / 2^6
    assert len(curve) == 1 + 3 * 7
    assert not made.is_over(curve[:-1])
    warm = schedule("plateau", lr=0.001, lr_patience=2, min_lr=1e-3, warmup_epochs=3)
    assert not any(warm.is_over(curve[:epoch], 10) for epoch in range(6))


def test_constant_is_constant_and_reads_nothing() -> None:
    made = schedule("constant", min_lr=1.0)
    assert rates(made, [1.0] * 30) == [0.01] * 30
    assert not made.is_over([{}] * 30)
    readers = {rule for rule in SCHEDULES if schedule(rule).reads_loss}
    assert readers == {"plateau"}


@pytest.mark.parametrize("rule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 5])
def test_every_schedule_has_a_rate_for_each_step_whatever_was_asked_before(
    rule: str, warmup: int
) -> None:
    """What a resumed run needs: a step's rate is the same asked alone as in a row."""
    assert rule in LIMITS["optim.schedule"]
    epochs, steps = 9, 3
    settings: dict[str, Any] = {"lr_every": 2, "lr_patience": 1, "warmup_steps": warmup}
    used = by_step(schedule(rule, epochs, **settings), epochs, steps)
    assert all(0 < rate <= 0.01 for rate in used)
    for place in random.Random(0).sample(range(epochs * steps), 12):
        curve = [{"valid_loss": 1.0}] * (place // steps)
        asked_alone = schedule(rule, epochs, **settings).rate(curve, place % steps, steps)
        assert asked_alone == used[place]


@pytest.mark.parametrize(("epochs", "least"), [(1, 0.0), (2, 0.001), (50, 0.0), (37, 0.002)])
def test_cosine_is_torchs_cosine_annealing_lr(epochs: int, least: float) -> None:
    optimizer = sgd()
    oracle = torchs.CosineAnnealingLR(optimizer, epochs, eta_min=least)
    expected = oracle_rates(optimizer, oracle, epochs)
    used = rates(schedule("cosine", epochs, min_lr=least), [0.0] * epochs)
    assert used == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.parametrize(
    "options",
    [{}, {"pct_start": 0.1, "div_factor": 10.0}, {"anneal_strategy": "linear"},
     {"final_div_factor": 100.0, "pct_start": 0.5}],
)  # fmt: skip
def test_one_cycle_is_torchs_one_cycle_lr(steps: int, options: dict[str, Any]) -> None:
    optimizer = sgd()
    oracle = torchs.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=12 * steps, cycle_momentum=False, **options
    )
    expected = oracle_rates(optimizer, oracle, 12 * steps)
    made = schedule("one-cycle", 12, schedule_options=options)
    assert by_step(made, 12, steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("warmup", [{"warmup_epochs": 3.0}, {"warmup_steps": 12}])
@pytest.mark.parametrize("rule", ["constant", "step", "cosine", "one-cycle", "plateau"])
def test_a_warm_up_is_torchs_linear_lr_and_then_the_schedule_begins(
    rule: str, warmup: dict[str, Any]
) -> None:
    epochs, steps = 11, 4
    used = by_step(schedule(rule, epochs, lr_every=2, lr_patience=1, **warmup), epochs, steps)
    optimizer = sgd()
    oracle = torchs.LinearLR(optimizer, start_factor=1 / 12, total_iters=11)
    assert used[:12] == pytest.approx(oracle_rates(optimizer, oracle, 12), rel=1e-12)
    assert used[11] == 0.01
    after = by_step(schedule(rule, epochs - 3, lr_every=2, lr_patience=1), epochs - 3, steps)
    assert used[12:] == pytest.approx(after, rel=1e-12)


def test_a_warm_up_may_end_within_an_epoch() -> None:
    used = by_step(schedule("step", 4, lr_every=1, warmup_steps=3), 4, 2)
    assert used == pytest.approx([0.01 / 3, 0.02 / 3, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005])
    assert schedule("step", 4, warmup_epochs=0.5).warmup(10) == 5
    schedule("step", 4, warmup_steps=7).check_warmup(2)
    with pytest.raises(UserError, match="a warm-up of 8 steps takes the whole run"):
        schedule("step", 4, warmup_steps=8).check_warmup(2)


def test_groups_keep_the_proportion_of_their_rates(run: Any, monkeypatch: Any) -> None:
    from gbench.train.plain_steps import PlainSteps

    seen = []
    step = PlainSteps.run

    def keep(self: PlainSteps, batch: Any) -> None:
        seen.append([group["lr"] for group in self.optimizer.param_groups])
        step(self, batch)

    monkeypatch.setattr(PlainSteps, "run", keep)
    run(
        "model=gcn", "data=csbm", "trainer.max_epochs=4", "optim.lr=0.01", "optim.schedule=step",
        "optim.lr_every=2", "optim.groups=[{match:layers.0.*,lr:0.1}]",
    )  # fmt: skip
    assert sorted(seen[0]) == pytest.approx([0.01, 0.1])
    assert sorted(seen[-1]) == pytest.approx([0.005, 0.05])


@pytest.mark.parametrize("options", ["pct_start:1.0", "anneal_strategy:linear"])
def test_no_schedule_is_asked_for_a_rate_after_the_last_epoch(run: Any, options: str) -> None:
    record, _ = run(
        "model=gcn", "data=csbm", "trainer.max_epochs=4", "optim.schedule=one-cycle",
        f"optim.schedule_options={{{options}}}",
    )  # fmt: skip
    assert record.epochs == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("optim.schedule=cosin", "allowed is one of constant, .*function of your own, as my_mod"),
        (
            "optim.schedule=step optim.plateau_on=metric",
            "no effect with .*=step: .*=plateau",
        ),
        ("optim.schedule=constant optim.min_lr=0.1", "schedule=plateau or optim.schedule=cosine"),
        ("optim.warmup_epochs=2 optim.warmup_steps=2", "said twice"),
        ("optim.warmup_epochs=100", "takes the whole run: .*=100. Set optim.warmup_epochs=0"),
        ("optim.warmup_steps=1.5", "expected a whole number"),
        ("optim.warmup_epochs=-1", "allowed is a number at least 0"),
        (
            "optim.schedule=one-cycle optim.schedule_options.pct_start=30",
            "options.pct_start=30: allowed is a number at least 0 and at most 1",
        ),
        (
            "optim.schedule=one-cycle optim.schedule_options.anneal_strategy=poly",
            "anneal_strategy=poly: allowed is one of cos, linear",
        ),
    ],
)
def test_what_composing_refuses(words: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(["model=mlp", "data=csbm", "trainer.max_epochs=100", *words.split()])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "step", "schedule_options": {"pct_start": 0.1}}, "step takes no options"),
        ({"schedule": "one-cycle", "schedule_options": {"pct": 0.1}}, "did you mean 'pct_start'"),
        ({"schedule": "no_such_module.f"}, "optim.schedule: no_such_module.f cannot be imported"),
        ({"schedule": "bisect.insort"}, "asks for a, and what there is to read is epoch, .*"
         "optim.schedule_options.a=VALUE"),
        ({"schedule": "gbench.schedules.readers"}, "asks for setting"),
        ({"schedule": "builtins.max"}, "max does not say what arguments it takes"),
    ],
)  # fmt: skip
def test_what_a_schedule_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Schedule.from_config({**OPTIM, **changes}, 10, "max")


@pytest.mark.parametrize("rule", SCHEDULES)
@pytest.mark.parametrize("changes", [{}, {"warmup_epochs": 3.5}, {"plateau_on": "metric"}])
def test_rates_that_are_told_ahead_are_those_that_come(rule: str, changes: dict[str, Any]) -> None:
    """Whatever the epochs between measure; a plateau's as far as its patience reaches."""
    draw = random.Random(0)
    for direction in ("max", "min"):
        made = schedule(rule, 40, direction, lr_patience=3, lr_every=7, **changes)
        lengths = []
        for _ in range(20):
            curve: list[dict[str, float]] = []
            while len(curve) < 40:
                ahead = made.ahead(curve, 40 - len(curve))
                lengths.append(len(ahead))
                for rate in ahead:
                    assert rate == made.rate(curve)
                    curve.append({key: draw.random() for key in ("valid", "valid_loss")})
        assert len(lengths) == 20 if rule != "plateau" else 3 <= max(lengths) < 40


def test_a_function_of_ones_own_that_reads_the_curve_is_asked_for_each_epoch() -> None:
    made = schedule("plateau", 40)
    reads = replace(made, rule=replace(made.rule, function=lambda curve: 0.5, asks=("curve",)))
    assert reads.ahead([], 10) == [0.005]
    blind = replace(
        made, rule=replace(made.rule, function=lambda epoch: 0.5**epoch, asks=("epoch",))
    )
    assert blind.ahead([], 3) == [0.01, 0.005, 0.0025]
