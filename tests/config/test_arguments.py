"""Every argument of Lightning's Trainer is decided on: gbench's own, passed on, or refused."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from lightning.pytorch import Trainer

from gbench.choices import GROUPS
from gbench.config.arguments import OWN, PASSED, REFUSED
from gbench.config.checks import check_values
from gbench.config.compose import Config, compose
from gbench.config.flat import flatten
from gbench.errors import UserError
from gbench.train.trainer import make_trainer

SIGNATURE = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
NODE = ("model=gcn", "data=csbm", "trainer=cpu")


@pytest.fixture(scope="module")
def settings() -> Config:
    return compose(["model=gin", "data=csl", "trainer=cpu"])


def checked(settings: Config, **trainer: Any) -> Config:
    """The settings with these of the trainer, if they are legal."""
    base = {**settings, "predictor": {}}
    changed = {**base, "trainer": {**settings["trainer"], **trainer}}
    check_values(changed, base, [])
    return changed


def test_lightnings_signature_is_decided_on() -> None:
    undecided = SIGNATURE - OWN - PASSED - set(REFUSED)
    assert not undecided, "say in gbench/config/arguments.py what these do to gbench's epochs"
    assert not (OWN | PASSED) & set(REFUSED) and not OWN & PASSED
    assert PASSED <= SIGNATURE


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_says_what_to_type(name: str, settings: Config) -> None:
    with pytest.raises(UserError, match=rf"trainer\.{name}=1 is not for gbench: \w+"):
        checked(settings, **{name: 1})
    flat = dict(flatten(settings))
    for setting in re.findall(r"\b(?:trainer|optim)\.\w+\b", REFUSED[name]):
        assert setting in flat
    for group in re.findall(r"\b(\w+)=NAME", REFUSED[name]):
        assert group in GROUPS


def test_a_command_line_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(UserError, match=r"trainer\.limit_train_batches=2 is not .*limit_batches=N"):
        compose([*NODE, "+trainer.limit_train_batches=2"])


@pytest.mark.parametrize("name", sorted(SIGNATURE - {"max_epochs"}))
def test_no_argument_of_lightnings_is_unknown_without_a_plus(name: str) -> None:
    try:
        compose([*NODE, f"trainer.{name}=1"])
    except UserError as error:
        assert "unknown" not in str(error)


def test_what_nobody_decided_on_is_unknown_whatever_lightning_has(settings: Config) -> None:
    with pytest.raises(UserError, match=r"unknown argument of the trainer 'acumulate_grad_batche"):
        checked(settings, acumulate_grad_batches=2)
    with pytest.raises(UserError, match="unknown argument of the trainer 'new_in_lightning_3'"):
        make_trainer({"new_in_lightning_3": True}, [], [])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("accumulate_grad_batches", 0, "expected a whole number, 1 or more"),
        ("accumulate_grad_batches", 2.5, "expected a whole number, 1 or more"),
        ("accumulate_grad_batches", {0: 2}, "expected a whole number, 1 or more"),
        ("accumulate_grad_batches", None, "expected a whole number, 1 or more"),
        ("check_val_every_n_epoch", 0, "expected a whole number, 1 or more"),
        ("check_val_every_n_epoch", "5", "expected a whole number, 1 or more"),
        ("detect_anomaly", 3, "expected true or false"),
        ("benchmark", "maybe", "expected true or false"),
        ("deterministic", "maybe", "expected true, false or warn"),
        ("deterministic", 1, "expected true, false or warn"),
        ("gradient_clip_algorithm", "norm", r"no effect with trainer\.gradient_clip_val=0"),
        ("gradient_clip_val", -1, "allowed is a number at least 0"),
        ("strategy", "fsdp", "auto or ddp"),
        ("strategy", "ddp_spawn", "auto or ddp"),
        ("precision", "64-true", "allowed is one of 32-true"),
        ("max_epochs", 0, "allowed is a number at least 1"),
        ("max_epochs", -1, "allowed is a number at least 1"),
        ("max_epochs", 2.5, "expected a whole number"),
        ("max_epochs", None, "expected a whole number"),
        ("patience", -1, "allowed is a number at least 0"),
        ("patience", 1.5, "expected a whole number"),
        ("limit_batches", 0.2, "expected a whole number"),
    ],
)
def test_values_that_are_none(name: str, value: object, message: str, settings: Config) -> None:
    with pytest.raises(UserError, match=message):
        checked(settings, **{name: value})


def test_a_clipping_that_torch_does_not_have(settings: Config) -> None:
    with pytest.raises(UserError, match="allowed is one of norm, value"):
        checked(settings, gradient_clip_val=1.0, gradient_clip_algorithm="max")


def test_accumulation_needs_several_batches_in_an_epoch() -> None:
    with pytest.raises(UserError, match=r"has no effect: csbm is one graph.*batching=neighbours"):
        compose([*NODE, "+trainer.accumulate_grad_batches=2"])
    compose([*NODE, "+trainer.accumulate_grad_batches=2", "batching=neighbours"])


def test_what_is_passed_on_is_what_lightning_gets(settings: Config) -> None:
    config = checked(
        settings, gradient_clip_val=0.5, gradient_clip_algorithm="value", detect_anomaly=True,
        benchmark=False,
    )  # fmt: skip
    assert set(config["trainer"]) - OWN == PASSED
    trainer = make_trainer(config["trainer"], [], [])
    assert trainer.gradient_clip_val == 0.5
    assert trainer.gradient_clip_algorithm == "value"
    assert trainer._detect_anomaly
    assert trainer.num_devices == 1


def test_half_precision_is_not_exchanged_for_another_on_the_cpu(settings: Config) -> None:
    with pytest.raises(UserError, match=r"16-mixed needs a GPU.*precision=bf16-mixed"):
        make_trainer(checked(settings, precision="16-mixed")["trainer"], [], [])
