"""A loss of the model's own: minimised, shown, and refused where it cannot be what is meant."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.train import capturing
from gbench.train.own_loss import OwnLoss, with_targets_alone

CODE = """
import torch

class Own(torch.nn.Module):
    waits = ""
    fills_frames = True

    def __init__(self, spec, *, weight):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features, spec.num_outputs)
        self.weight = weight
        self.level = spec.level

    def forward(self, batch):
        x = self.lin(batch.x)
        if self.level == "graph":
            starts = batch.node_ptr[:-1].long().clamp(max=batch.num_nodes - 1)
            return x[starts]
        return x

    def loss(self, logits, batch, dataset_loss):
        size = self.lin.weight.square().sum()
        return {"size": size, "loss": dataset_loss + self.weight * size, "data": dataset_loss}
"""
YAML = "# @package _global_\nmodel: {_target_: own_lossy.Own, levels: [node, graph], weight: 0.1}\n"
NODE = ("model=own-lossy", "data=csbm", "trainer.max_epochs=5", "optim.lr=0.1")
GRAPH = ("model=own-lossy", "data=csl", "trainer.max_epochs=4", "optim.batch_size=40")


@pytest.fixture
def mine(tmp_path: Path, run: Any) -> Any:
    (tmp_path / "own_lossy.py").write_text(CODE)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/own-lossy.yaml").write_text(YAML)
    return lambda *words: run(*words, dirs=[tmp_path])


def curve(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_every_entry_is_a_column_and_the_loss_is_their_sum(mine: Any) -> None:
    _, folder = mine(*NODE)
    for row in curve(folder):
        assert row["train_loss"] == pytest.approx(row["train_data"] + 0.1 * row["train_size"])


def test_a_penalty_of_ones_own_is_weight_decay(mine: Any) -> None:
    """0.1 ‖w‖² has the gradient of a weight decay of 0.2 on w alone."""
    _, own = mine(*NODE, "optim.optimizer=sgd")
    words = ("model.weight=0.0", "optim.decay_prefix=lin.weight", "optim.weight_decay=0.2")
    _, usual = mine(*NODE, "optim.optimizer=sgd", *words)
    weights = [torch.load(folder / "best.ckpt", weights_only=True) for folder in (own, usual)]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-5, atol=1e-6)


def test_batches_of_a_window_share_a_step(mine: Any) -> None:
    """Two halves of all 90 training graphs are one batch of them, but for rounding."""
    words = (*GRAPH, "optim.optimizer=sgd", "trainer.max_epochs=3", "trainer.select=last")
    _, whole = mine(*words, "optim.batch_size=90")
    _, halves = mine(*words, "optim.batch_size=45", "+trainer.accumulate_grad_batches=2")
    for one, other in zip(curve(whole), curve(halves), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
        assert one["train_size"] == pytest.approx(other["train_size"], rel=1e-4)


@pytest.mark.parametrize("words", [NODE, GRAPH], ids=["node", "graph"])
def test_captured_epochs_show_the_same(
    words: tuple[str, ...], mine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, folder = mine(*words, "trainer.cuda_graphs=off")
    usual = curve(folder)
    assert not record.captured
    shutil.rmtree(folder)
    monkeypatch.setattr(capturing, "recorder", lambda device: lambda work, changed: work)
    record, folder = mine(*words, "trainer.cuda_graphs=on")
    assert record.captured
    for one, other in zip(usual, curve(folder), strict=True):
        for name in ("train_loss", "train_size", "train_data", "valid"):
            assert one[name] == pytest.approx(other[name], rel=1e-5), name


class Model(nn.Module):
    """A model whose loss a test says."""

    said: Callable[..., object]

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 2)

    def forward(self, batch: Any) -> Tensor:
        return self.lin(batch.x)

    def loss(self, logits: Tensor, batch: Any, dataset_loss: Tensor) -> object:
        return self.said(logits, batch, dataset_loss)


WRONG: dict[str, tuple[Callable[..., object], str]] = {
    "a tensor": (lambda _, o, b, loss: loss, "returned a tensor of shape ()"),
    "nothing": (lambda _, o, b, loss: None, "returned a NoneType: a dict is wanted"),
    "no loss": (lambda _, o, b, loss: {"cut": loss}, "returned the entries ['cut']: a dict is"),
    "a float": (lambda _, o, b, loss: {"loss": 0.5}, "returned the entries ['loss']: a dict"),
    "a vector": (lambda _, o, b, loss: {"loss": o.sum(0)}, 'its entry "loss" is a tensor of shape'),
    "a number": (lambda _, o, b, loss: {"loss": loss, "k": 1.0}, 'its entry "k" is a float, not'),
    "detached": (lambda _, o, b, loss: {"loss": loss.detach()}, 'its entry "loss" has no gradient'),
    "a column": (lambda _, o, b, loss: {"loss": loss, "seconds": loss}, "an entry 'seconds': it"),
    "no name": (lambda _, o, b, loss: {"loss": loss, "a b": loss}, "an entry 'a b': it cannot be"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_loss_is_told_with_its_line(name: str, monkeypatch: Any) -> None:
    said, message = WRONG[name]
    monkeypatch.setattr(Model, "said", said, raising=False)
    model = Model()
    own = OwnLoss.of(model)
    assert own is not None
    logits = model.lin(torch.ones(4, 3))
    with pytest.raises(UserError) as error:
        own(logits, Batched(), logits.sum())  # type: ignore[arg-type]
    assert message in str(error.value)
    assert re.match(r"Model\.loss \(.*test_own_loss\.py, line \d+\)", str(error.value))


class Batched:
    targets = None


def test_entries_have_to_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def said(_: Any, o: Tensor, b: Any, loss: Tensor) -> object:
        seen.append(1)
        return {"loss": loss, f"k{len(seen)}": loss}

    monkeypatch.setattr(Model, "said", said, raising=False)
    model = Model()
    own, logits = OwnLoss.of(model), model.lin(torch.ones(4, 3))
    assert own is not None
    own(logits, Batched(), logits.sum())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the entries k2 besides the loss, and k1 in the first"):
        own(logits, Batched(), logits.sum())  # type: ignore[arg-type]


def test_a_layer_that_is_called_loss_is_none_and_another_signature_is_told() -> None:
    class Layered(Model):
        loss = None  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__()
            self.loss = nn.CrossEntropyLoss()  # type: ignore[assignment]

    assert OwnLoss.of(Layered()) is None

    class Other(Model):
        def loss(self, logits: Tensor, y: Tensor) -> object:  # type: ignore[override]
            return None

    with pytest.raises(UserError, match=r"called as loss\(self, logits, batch, dataset_loss\)"):
        OwnLoss.of(Other())


def test_a_first_loss_that_is_no_number_names_the_models_own(mine: Any, tmp_path: Path) -> None:
    text = CODE.replace("self.weight * size", "(size - size - 1).sqrt()")
    (tmp_path / "own_lossy.py").write_text(text)
    with pytest.raises(
        UserError, match=r"finite, and Own\.loss \(.*own_lossy\.py, line \d+\) makes"
    ):
        mine(*NODE)


def test_only_labels_of_targets_reach_it() -> None:
    task = build_task(compose(["model=gcn", "data=csbm"]))
    (batch,) = task.source.evaluation(task.dataset, task.dataset.split.train, 0)
    seen = with_targets_alone(batch).y
    train = task.dataset.split.train
    assert torch.equal(seen[train], batch.y[train])
    others = torch.ones_like(seen, dtype=torch.bool)
    others[train] = False
    assert (seen[others] == -100).all() and others.any()
    assert with_targets_alone(batch).y is seen  # kept with the batch
    (valid,) = task.source.evaluation(task.dataset, task.dataset.split.valid, 0)
    assert (with_targets_alone(valid).y[train] == -100).all()
