"""Epochs that are validated, all or every so many, train alike."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.records import curves

NODE = ("model=gcn", "data=csbm", "trainer.max_epochs=11", "trainer.patience=0")


def column(folder: Path, name: str) -> list[str]:
    with (folder / "metrics.csv").open() as file:
        return [row[name] for row in csv.DictReader(file)]


@pytest.mark.parametrize("select", ["best", "last"])
def test_every_third_epoch_and_the_last_are_validated(select: str, run: Any) -> None:
    words = (*NODE, f"trainer.select={select}")
    _, everywhere = run(*words)
    record, folder = run(*words, "+trainer.check_val_every_n_epoch=3")
    assert column(folder, "train_loss") == column(everywhere, "train_loss")
    known, found = curves.read(everywhere), curves.read(folder)
    there = [2, 5, 8, 10]  # from 0 on
    assert [epoch for epoch, value in enumerate(found) if not math.isnan(value)] == there
    assert [found[epoch] for epoch in there] == [known[epoch] for epoch in there]
    chosen = max(there, key=lambda epoch: (known[epoch], -epoch)) if select == "best" else 10
    assert (record.best_epoch, record.valid) == (chosen + 1, known[chosen])
    assert record.epochs == 11


def test_fewer_epochs_than_that_are_validated_once(run: Any) -> None:
    record, folder = run(*NODE, "trainer.max_epochs=2", "+trainer.check_val_every_n_epoch=5")
    assert (record.best_epoch, column(folder, "valid")[0]) == (2, "")


def test_a_run_ends_after_an_epoch_that_was_validated(run: Any) -> None:
    words = (*NODE, "trainer.max_epochs=60", "trainer.patience=4")
    record, _ = run(*words, "+trainer.check_val_every_n_epoch=3")
    assert record.epochs < 60
    assert record.epochs % 3 == 0 and record.epochs - record.best_epoch >= 4


@pytest.mark.parametrize(
    ("words", "reader"),
    [
        (("trainer.stop=window", "trainer.patience=3"), "trainer.stop=window"),
        (("optim.schedule=plateau",), "optim.schedule=plateau"),
    ],
)
def test_rules_that_read_every_epoch_are_refused(words: tuple[str, ...], reader: str) -> None:
    with pytest.raises(UserError, match=f"{reader} reads the validation of every epoch"):
        compose([*NODE, *words, "+trainer.check_val_every_n_epoch=2"])
    compose([*NODE, *words, "+trainer.check_val_every_n_epoch=1"])


def test_ddi_is_validated_as_ogbs_example_does() -> None:
    trainer = compose(["experiment=gcn-ogbl-ddi"])["trainer"]
    assert (trainer["check_val_every_n_epoch"], trainer["max_epochs"]) == (5, 200)
