"""Schedules and stopping rules of the user's own: what they are told, and what they may answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.errors import UserError
from gbench.fault import fault_of
from gbench.train.plain_steps import PlainSteps

RULES = """
def decay(step, max_steps, steps_per_epoch, lr, power=1.0):
    assert steps_per_epoch == 3 and lr == 0.01
    return (1 - step / max_steps) ** power

def by_loss(curve, epoch):
    assert epoch == len(curve)
    return 0.5 if curve and curve[-1]["valid_loss"] > 0 else 1.0

def wrong(epoch):
    return None if epoch else 1

def faulty(epoch):
    return 1 / epoch

def stop_early(curve, best_epoch, patience, max_epochs):
    assert (patience, max_epochs) == (0, 6) and 0 <= best_epoch < len(curve)
    return len(curve) == 4

def unsure():
    return "maybe"
"""
GRAPH = (
    "model=gin", "data=csl", "experiment=null", "model.hidden_dim=8", "model.num_layers=2",
    "trainer.max_epochs=6", "optim.lr=0.01", "optim.batch_size=30",
)  # fmt: skip


@pytest.fixture
def mine(tmp_path: Path, run: Any) -> Any:
    (tmp_path / "own_rules.py").write_text(RULES)
    return lambda *words: run(*GRAPH, *words, dirs=[tmp_path])


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rate of each step of the runs that follow."""
    seen: list[float] = []
    step = PlainSteps.run

    def keep(self: PlainSteps, batch: Any) -> None:
        seen.append(self.optimizer.param_groups[0]["lr"])
        step(self, batch)

    monkeypatch.setattr(PlainSteps, "run", keep)
    return seen


def test_a_schedule_of_ones_own_is_asked_before_each_step(mine: Any, rates: list[float]) -> None:
    power = "optim.schedule_options.power=2.0"
    _, folder = mine("optim.schedule=own_rules.decay", power)
    number = len(rates)
    assert number == 6 * 3
    assert rates == pytest.approx([0.01 * (1 - step / number) ** 2 for step in range(number)])
    assert (folder / "code" / "own_rules.py").read_text() == RULES


def test_a_schedule_of_ones_own_may_read_the_curve(mine: Any, rates: list[float]) -> None:
    mine("optim.schedule=own_rules.by_loss")
    assert rates == pytest.approx([0.01] * 3 + [0.005] * 15)


def test_with_accumulation_a_step_has_several_batches(mine: Any, rates: list[float]) -> None:
    """10 batches of 9 graphs, 4 to a step: 3 steps in each epoch, the last of two batches."""
    words = ("optim.batch_size=9", "+trainer.accumulate_grad_batches=4")
    mine("optim.schedule=own_rules.decay", *words)
    steps = [s for s in range(6 * 3) for _ in range((4, 4, 2)[s % 3])]
    assert rates == pytest.approx([0.01 * (1 - step / 18) for step in steps])


def test_a_stopping_rule_of_ones_own_ends_the_run(mine: Any, tmp_path: Path) -> None:
    record, folder = mine("trainer.stop=own_rules.stop_early")
    assert record.epochs == 4
    assert "valid_loss" in (folder / "metrics.csv").read_text()
    assert (folder / "code" / "own_rules.py").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "optim.schedule=own_rules.wrong",
            r"own_rules.wrong answers None for epoch 2",
        ),
        ("trainer.stop=own_rules.unsure", r"own_rules.unsure answers 'maybe' after epoch 1"),
        ("trainer.stop=own_rules.decay", r"trainer.stop=own_rules.decay asks for step, and what"),
        ("optim.schedule_options.last=0.1", "optim.schedule=constant takes no options: leave out "),
        ("trainer.stop=own_rules.gone", r"unknown class or function .*trainer.stop names it"),
    ],
)
def test_wrong_answers_are_told(mine: Any, words: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        mine(words)


def test_a_fault_within_is_told_with_its_line(mine: Any) -> None:
    with pytest.raises(ZeroDivisionError) as told:
        mine("optim.schedule=own_rules.faulty")
    assert "own_rules.py, line 14, in faulty: ZeroDivisionError" in fault_of(told.value).sentence


def test_the_code_counts_in_the_identity(tmp_path: Path) -> None:
    file = tmp_path / "own_rules.py"
    file.write_text(RULES)
    for word in ("optim.schedule=own_rules.decay", "trainer.stop=own_rules.unsure"):
        file.write_text(RULES)
        before = identity(compose([*GRAPH, word], [tmp_path]))
        file.write_text(RULES + "\n# edited\n")
        assert identity(compose([*GRAPH, word], [tmp_path])) != before
