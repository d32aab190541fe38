"""A trial is a run without its test: the same curve, the same choice, no test data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from gbench.build import build_task
from gbench.config.compose import Config
from gbench.search import trial
from gbench.search.trial import run_trial
from gbench.train.task import Task
from gbench.training import train


def with_trainer(config: Config, **settings: Any) -> Config:
    return {**config, "trainer": {**config["trainer"], **settings}}


@pytest.mark.parametrize("select", ["best", "last"])
def test_its_value_is_the_validation_of_the_weights_that_a_run_would_test(
    gcn_on_csbm: Config, tmp_path: Path, select: str
) -> None:
    config = with_trainer(gcn_on_csbm, select=select)
    record = train(config, tmp_path / "run", Console(quiet=True))
    heard: list[dict[str, Any]] = []
    end = run_trial(config, tmp_path / "trial", heard.append)
    assert record is not None
    assert end == {"kind": "end", "state": "finished", "valid": record.valid}
    reports = {message["epoch"]: message["valid"] for message in heard if "valid" in message}
    assert [*reports] == [*range(1, 21)]
    chosen = max(reports.values()) if select == "best" else reports[20]
    assert chosen == record.valid
    assert not (tmp_path / "trial" / "record.json").exists()
    assert not (tmp_path / "trial" / "best.ckpt").exists()


def test_a_long_trial_reports_a_hundred_times(gcn_on_csbm: Config, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    run_trial(with_trainer(gcn_on_csbm, max_epochs=250), tmp_path, heard.append)
    epochs = [message["epoch"] for message in heard if "valid" in message]
    assert epochs == [*range(2, 251, 2)]


def test_no_label_of_the_test_part_can_move_it(
    gcn_on_csbm: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With test labels that are no classes at all, a trial says what it said before."""

    def spoilt(config: Config, teaching: None) -> Task:
        task = build_task(config)
        labels = task.dataset.store.y
        labels[task.dataset.split.test] = 10_000
        return task

    def said(folder: Path) -> list[Any]:
        heard: list[Any] = []
        end = run_trial(gcn_on_csbm, folder, heard.append)
        return [*(message for message in heard if "valid" in message), end]

    honest = said(tmp_path / "honest")
    before = torch.get_rng_state()
    monkeypatch.setattr(trial, "build_task", spoilt)
    assert said(tmp_path / "spoilt") == honest
    assert honest[-1]["state"] == "finished"
    torch.set_rng_state(before)


def test_one_that_diverges_says_so_and_is_not_to_be_tried_again(
    gcn_on_csbm: Config, tmp_path: Path
) -> None:
    config = {**gcn_on_csbm, "optim": {**gcn_on_csbm["optim"], "lr": 1e30}}
    end = run_trial(config, tmp_path, lambda message: None)
    assert (end["state"], end["again"]) == ("failed", False)
    assert "try a smaller optim.lr" in end["error"]
