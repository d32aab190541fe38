"""Epochs that are run without Lightning, against the same through Lightning's loop."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from gbench.train import loader
from gbench.train.epochs import Epochs
from gbench.train.interrupt import Interrupted
from gbench.train.modes import Modes
from gbench.train.task import Task

NODE = ("data=csbm", "experiment=null", "trainer.max_epochs=8")
GRAPH = (
    "model=gin", "data=csl", "experiment=null", "model.hidden_dim=8", "model.num_layers=2",
    "trainer.max_epochs=3", "optim.batch_size=30",
)  # fmt: skip
SETTINGS: dict[str, tuple[str, ...]] = {
    "gcn": ("model=gcn", *NODE, "model.norm=batch"),
    "sgc, clipped": ("model=sgc", *NODE, "trainer.gradient_clip_val=0.01"),
    "asam": ("model=gcn", *NODE, "optim.optimizer=asam", "trainer.gradient_clip_val=0.1"),
    "sgd": ("model=dagnn", *NODE, "optim.optimizer=sgd", "optim.schedule=cosine"),
    "bfloat16": ("model=gcn", *NODE, "trainer.precision=bf16-mixed", "optim.optimizer=adamw"),
    "windows": (*GRAPH, "+trainer.accumulate_grad_batches=2", "optim.warmup_steps=2"),
    "groups": ("model=gcn", *NODE, "optim.groups=[{match:layers.0.*,lr:0.1}]"),
}


def computed(folder: Path) -> dict[str, Any]:
    rows = [row.split(",") for row in (folder / "metrics.csv").read_text().splitlines()]
    kept = [at for at, name in enumerate(rows[0]) if "seconds" not in name]
    weights = torch.load(folder / "best.ckpt", weights_only=True)
    return {
        "curve": [[row[at] for at in kept] for row in rows],
        **{name: value.tolist() for name, value in weights.items()},
    }


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_epochs_without_lightning_are_its_epochs_bit_for_bit(
    settings: tuple[str, ...], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[bool] = []
    step = Task.optimizer_step  # which Lightning alone calls

    def counted(self: Task, *args: Any, **kwargs: Any) -> None:
        steps.append(True)
        step(self, *args, **kwargs)

    monkeypatch.setattr(Task, "optimizer_step", counted)
    _, folder = run(*settings)
    assert not steps
    ours = computed(folder)
    shutil.rmtree(folder)
    monkeypatch.setattr(Task, "runs_rounds", False)
    _, folder = run(*settings)
    assert steps
    assert computed(folder) == ours


@pytest.mark.parametrize("at", [3, 6])
def test_a_run_that_is_cut_within_a_round_goes_on_as_if_it_had_not_been(
    at: int, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)  # a checkpoint after each epoch
    _, folder = run("model=gcn", *NODE)
    whole = computed(folder)
    shutil.rmtree(folder)
    end = Epochs.end_epoch

    def cut(self: Epochs, trainer: Trainer, task: Task) -> None:
        if task.epoch == at:
            raise Interrupted(15)
        end(self, trainer, task)

    with monkeypatch.context() as context:
        context.setattr(Epochs, "end_epoch", cut)
        with pytest.raises(Interrupted):
            run("model=gcn", *NODE)
    _, folder = run("model=gcn", *NODE)
    assert computed(folder) == whole


def test_modes_are_those_of_torch_and_a_train_of_ones_own_is_called() -> None:
    called = []

    class Own(nn.Module):
        def train(self, mode: bool = True) -> Own:
            called.append(mode)
            return super().train(mode)

    plain = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout()))
    Modes(plain, is_fixed=True).set(False)
    assert not any(part.training for part in plain.modules())
    Modes(plain, is_fixed=False).set(True)
    assert all(part.training for part in plain.modules())
    Modes(nn.Sequential(Own()), is_fixed=True).set(False)
    assert called == [False]


def test_a_module_that_looks_at_its_mode_is_told_by_torch() -> None:
    seen = []

    class Notices(nn.Module):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            seen.append((name, value))

    class Asks(nn.Module):
        @property
        def training(self) -> bool:
            return self.mode

        @training.setter
        def training(self, mode: bool) -> None:
            self.mode = mode

    model = nn.Sequential(Notices(), Asks())
    seen.clear()
    for mode in (False, True):
        Modes(model, is_fixed=True).set(mode)
        assert seen.pop() == ("training", mode)
        assert model[1].training is mode


def test_an_attribute_of_a_task_is_set_as_torch_and_lightning_set_it() -> None:
    task: Any = Task.__new__(Task)
    LightningModule.__init__(task)
    task.count = 1
    task.count = 2
    assert task.count == 2
    task.automatic_optimization = False  # a property of Lightning's
    assert task.automatic_optimization is False
    task.layer = nn.Linear(1, 1)
    assert "layer.weight" in task.state_dict()
    with pytest.raises(TypeError, match="cannot assign"):
        task.layer = 3
