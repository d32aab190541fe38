"""Runs that begin with the weights of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.config.identity import identity, run_name
from gbench.errors import UserError
from gbench.teaching import begin_from
from gbench.train.checkpoint import load_weights
from gbench.training import train

NODE = ("data=csbm", "experiment=null", "trainer.max_epochs=2")


@pytest.fixture
def start(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return run


def test_weights_that_fit_begin_as_the_runs_and_the_rest_is_told(start: Any) -> None:
    record, at = start("model=mlp", *NODE)
    config = compose(["model=mlp", *NODE, f"init_from=run:{record.run}", "model.num_layers=3"])
    task = build_task(config)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    (note,) = begin_from(task, config)
    weights = load_weights(at / "best.ckpt")
    fits = [n for n, v in weights.items() if n in before and before[n].shape == v.shape]
    anew = [name for name in before if name not in fits]
    assert fits and anew
    for name, value in task.model.state_dict().items():
        assert torch.equal(value, weights[name] if name in fits else before[name])
    assert f"{len(fits)} of {len(before)} weights and buffers begin as its" in note
    assert f"begin anew: {', '.join(anew)}" in note


def test_it_counts_and_a_run_that_is_resumed_does_not_begin_again(
    start: Any, tmp_path: Path
) -> None:
    record, at = start("model=mlp", *NODE)
    words = ("model=mlp", *NODE, "seed=1")
    config = compose([*words, f"init_from={record.run}"])  # with run: or without
    assert config["init_from"] == f"run:{record.run}"
    assert identity(config) == identity(compose([*words, f"init_from=run:{at}"]))
    assert identity(config) != identity(compose([*words]))
    folder = tmp_path / "runs" / run_name(config)
    lines = Console(record=True, quiet=True)
    made = train({**config, "trainer": {**config["trainer"], "accelerator": "cpu"}}, folder, lines)
    assert made is not None and made.config["runs"]["init_from"]["run"] == record.run


def test_what_cannot_begin_is_told(start: Any) -> None:
    record, _ = start("model=gcn", *NODE)
    with pytest.raises(
        UserError, match="none of its weights fits by name and shape: it has layers"
    ):
        start("model=mlp", *NODE, f"init_from=run:{record.run}")
    with pytest.raises(UserError, match=r"trained on \d+ nodes that this run is tested on"):
        start("model=gcn", *NODE, f"init_from=run:{record.run}", "data.fold=1")
    folds = [[f"init_from=run:{record.run}", f"data.fold={fold}"] for fold in (0, 1)]
    names = [identity(compose(["model=gcn", *NODE, *words])) for words in folds]
    assert names[0] != names[1]  # else the second is taken for a finished run of the first
    for transform in ("knn", "virtual-node"):  # of which one adds a node
        with pytest.raises(UserError, match=r"trained on \d+ nodes that this run is tested on"):
            start("model=gcn", *NODE, *folds[1], f"transform={transform}")
    with pytest.raises(UserError, match="unknown run in init_from: 'other'"):
        start("model=gcn", *NODE, "init_from=other")


def test_weights_of_other_data_may_be_begun_with(start: Any) -> None:
    record, _ = start("model=gcn", "model.hidden_dim=16", *NODE, "data.seed=3")
    other, _ = start("model=gcn", "model.hidden_dim=16", *NODE, f"init_from=run:{record.run}")
    assert other.test > 0
