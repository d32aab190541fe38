"""What a model fits before the first epoch: once, from the training data alone, and kept."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gbench.build import build_source, build_task
from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.contracts.part import graph_of
from gbench.data.dataset import Dataset
from gbench.data.source import Graph, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.errors import UserError
from gbench.train import loader
from gbench.train.epochs import Epochs
from gbench.train.fitting import TrainingPart, fit
from gbench.train.interrupt import Interrupted
from gbench.train.sources import Graphs, Pairs, Source, WholeGraph

CSL = DataCard.from_config(compose(["model=gin", "data=csl"])["data"])
CSBM = DataCard.from_config(compose(["model=gcn", "data=csbm"])["data"])


def links() -> Dataset:
    nodes = graph_of(tiny.nodes(CSBM).store, 0)
    pairs, y = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 7]]), torch.tensor([[1.0], [1], [1], [0]])
    graph = Graph(nodes.x, nodes.edge_index, y, pairs=pairs)
    split = Split(torch.tensor([1, 0]), torch.tensor([2]), torch.tensor([3]))
    return tiny.dataset(CSBM, DataSpec("link", 1, 5), [graph], split)


def tensors(value: Any, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that attributes and items of a thing lead to, with the attribute's name."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner = vars(value) if hasattr(value, "__dict__") else {}
    if isinstance(value, tuple | list):
        inner = dict(enumerate(value)) if not hasattr(value, "_asdict") else value._asdict()
    if isinstance(value, dict):
        inner = value
    for name, each in inner.items():
        if isinstance(each, Tensor):
            yield str(name), each
        elif not isinstance(each, str | int | float | type):
            yield from tensors(each, seen)


@pytest.mark.parametrize(
    ("dataset", "source"),
    [
        (tiny.graphs(CSL), Graphs(4)),
        (tiny.nodes(CSBM), WholeGraph()),
        (links(), Pairs(4)),
    ],
    ids=["graphs", "nodes", "links"],
)
def test_no_label_of_validation_and_test_can_be_reached(dataset: Dataset, source: Source) -> None:
    """Every label that is found is the training part's, with all others changed as well."""
    part = TrainingPart.of(dataset, source)
    batches = [*part.batches(), part.batch()]
    train = dataset.split.train
    found = [each for name, each in tensors([part, batches], set()) if name == "y"]
    assert len(found) >= 2
    expected = sorted(dataset.store.y[train].flatten().tolist())
    for y in found:
        shown = y[(y != -100) if y.dtype == torch.int64 else ~y.isnan()]
        assert sorted(shown.flatten().tolist()) == expected
    rest = torch.cat([dataset.split.valid, dataset.split.test])
    for name, each in tensors([part, batches], set()):
        if name == "pairs":
            assert each.tolist() == dataset.store.pairs[train].tolist()  # type: ignore[index]
        if name in ("valid", "test"):
            assert each.numel() == 0
    assert not torch.isin(part.dataset.split.train, rest).any() or dataset.spec.level == "link"


def test_of_graphs_it_gives_the_training_graphs_alone() -> None:
    dataset = tiny.graphs(CSL)
    sizes = dataset.store.ranges[2][dataset.split.train]
    got = torch.cat(
        [batch.node_ptr.diff() for batch in TrainingPart.of(dataset, Graphs(4)).batches(4)]
    )
    assert torch.equal(got, sizes)
    assert TrainingPart.of(dataset, Graphs(4)).batch().num_graphs == 6


class Fitted(nn.Module):
    def __init__(self, does: Callable[[Any, Any], object]) -> None:
        super().__init__()
        self.does = does
        self.lin = nn.Linear(3, 2)
        self.register_buffer("mean", torch.zeros(5))
        self.width = 3

    def fit(self, train: Any) -> None:
        self.does(self, train)


def longer(model: Any, train: Any) -> None:
    model.mean = torch.zeros(7)


def new(model: Any, train: Any) -> None:
    model.register_buffer("other", torch.zeros(1))


def plain(model: Any, train: Any) -> None:
    model.lin.scale = 2.0


def again(model: Any, train: Any) -> None:
    model.width = train.batch().num_nodes


@pytest.mark.parametrize(
    ("does", "message"),
    [
        (longer, r"mean is of shape \(7,\) after it and was of shape \(5,\): make it in __init__"),
        (new, r"other is of shape \(1,\) after it and was not there"),
        (plain, r"sets lin.scale, which is neither parameter nor buffer"),
        (again, r"sets width, which is neither parameter nor buffer"),
    ],
)
def test_what_no_checkpoint_would_hold_is_told(does: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        fit(Fitted(does), tiny.graphs(CSL), Graphs(4))
    assert "Fitted.fit (" in str(error.value)


def test_it_runs_without_gradients_and_changes_no_later_random_number() -> None:
    seen = []

    def draws(model: Any, train: Any) -> None:
        seen.append((torch.is_grad_enabled(), model.training, torch.rand(()).item()))
        model.mean.copy_(train.batch().x.mean(0))

    model = Fitted(draws)
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    fit(model, tiny.graphs(CSL), Graphs(4))
    assert seen == [(False, False, expected.item())]
    assert torch.rand(()) == expected
    assert model.training and bool(model.mean.any())


CODE = """
from pathlib import Path
import torch

class Own(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features, spec.num_outputs)
        self.register_buffer("centre", torch.zeros(spec.num_outputs, spec.num_features))

    def fit(self, train):
        with (Path(__file__).parent / "fits").open("a") as file:
            file.write("x")
        batch = train.batch()
        for label in range(len(self.centre)):
            self.centre[label] = batch.x[batch.y == label].mean(0)

    def forward(self, batch):
        return self.lin(batch.x) - torch.cdist(batch.x, self.centre)
"""
WORDS = ("model=own-fitted", "data=csbm", "trainer.max_epochs=4", "optim.lr=0.1")


@pytest.fixture
def mine(tmp_path: Path, run: Any) -> Any:
    (tmp_path / "own_fitted.py").write_text(CODE)
    (tmp_path / "model").mkdir()
    text = "# @package _global_\nmodel: {_target_: own_fitted.Own, levels: [node]}\n"
    (tmp_path / "model/own-fitted.yaml").write_text(text)
    return lambda *words: run(*words, dirs=[tmp_path])


def test_it_is_fitted_once_however_often_a_run_is_cut(
    mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, whole = mine(*WORDS)
    expected = (whole / "metrics.csv").read_text()
    weights = torch.load(whole / "best.ckpt", weights_only=True)
    (tmp_path / "fits").unlink()
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)
    after = Epochs.on_train_epoch_end

    def cut(self: Epochs, trainer: Any, task: Any) -> None:
        after(self, trainer, task)
        if task.epoch == 2:
            raise Interrupted(2)

    shutil.rmtree(whole)
    monkeypatch.setattr(Epochs, "on_train_epoch_end", cut)
    with pytest.raises(Interrupted):
        mine(*WORDS)
    monkeypatch.setattr(Epochs, "on_train_epoch_end", after)
    _, folder = mine(*WORDS)
    assert (tmp_path / "fits").read_text() == "x"
    assert curve(folder / "metrics.csv") == curve_of(expected)
    again = torch.load(folder / "best.ckpt", weights_only=True)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    monkeypatch.chdir(tmp_path)
    assert main(["eval", str(folder), "--json"]) == 0
    assert (tmp_path / "fits").read_text() == "x"
    capsys.readouterr()


def curve(path: Path) -> list[str]:
    return curve_of(path.read_text())


def curve_of(text: str) -> list[str]:
    return [row["train_loss"] + row["valid"] for row in csv.DictReader(text.splitlines())]


def test_of_parts_of_a_graph_it_sees_the_whole() -> None:
    config = compose(["model=gcn", "data=csbm", "batching=neighbours"])
    task = build_task(config)
    assert build_source(config, task.dataset, task.model, Path()).row == "node"
    part = TrainingPart.of(task.dataset, task.source)
    assert part.batch().num_nodes == task.dataset.store.num_nodes
