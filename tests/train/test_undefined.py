"""A metric without a value: told once, before training, and no reason to stop early."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch_geometric.data import Data

from gbench.choices import choices, stated
from gbench.config.compose import compose
from gbench.config.identity import run_name
from gbench.data.judged import check_judged, with_direction
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.train.metrics import score
from gbench.train.stopping import Stopping
from gbench.train.task import Task
from gbench.train.undefined import undefined
from gbench.training import train


def card(**facts: str) -> DataCard:
    values = {"loss": "cross-entropy", "metric": "accuracy", "direction": "max", "evaluator": ""}
    return DataCard(
        name="made-up", _target_="", level="graph", split="", num_folds=1, fold=0,
        source="", licence="", citation="", **(values | facts),  # type: ignore[arg-type]
    )  # fmt: skip


NAN = math.nan
TWO = [[0.0, 1.0], [1.0, NAN], [NAN, 1.0]]


@pytest.mark.parametrize(
    ("metric", "y", "reason"),
    [
        ("rocauc", [[0.0], [0.0], [NAN]], "there are labels of one class alone"),
        ("rocauc", [[1.0], [1.0]], "there are labels of one class alone"),
        ("ap", [[0.0, 1.0], [0.0, 1.0]], "every task has labels of one class alone"),
        ("ap", TWO, ""),  # the first task has both
        ("rocauc", TWO, ""),
        ("rocauc", [[NAN], [NAN]], "nothing is labelled"),
        ("mae", [[NAN, NAN]], "nothing is labelled"),
        ("rmse", [[NAN, 3.0]], ""),
        ("hits@2", [[0.0], [0.0], [0.0]], "there is no link"),
        ("hits@2", [[1.0], [0.0]], "there are 1 pairs without a link, fewer than 2"),
        ("hits@2", [[1.0], [0.0], [0.0]], ""),
    ],
)
def test_a_metric_is_nan_where_it_is_said_to_be(
    metric: str, y: list[list[float]], reason: str
) -> None:
    facts = card(metric=metric, loss="bce" if metric not in ("mae", "rmse") else "l1")
    labels = torch.tensor(y)
    assert undefined(facts.metric, labels) == reason
    logits = torch.linspace(-1, 1, labels.numel()).view_as(labels)
    assert math.isnan(score(facts, logits, labels)) == bool(reason)


def test_ogbs_evaluators_get_only_what_they_can_judge() -> None:
    facts = card(metric="rocauc", loss="bce", evaluator="ogbg-molhiv")
    assert math.isnan(score(facts, torch.zeros(3, 1), torch.zeros(3, 1)))


def test_patience_does_not_end_a_run_that_has_no_best_epoch() -> None:
    curve = [{"valid": NAN}] * 9
    assert not Stopping("patience", 2, 10).is_due(curve, None)
    assert Stopping("patience", 2, 9).is_due(curve, None)
    assert Stopping("patience", 2, 10).is_due(curve, 6)


@pytest.fixture
def one_class(tmp_path: Path) -> Path:
    """60 nodes in a ring; those of validation are of one class."""
    torch.manual_seed(0)
    a, y = torch.arange(60), (torch.arange(60) % 2).float()
    y[30:45] = 0
    graph = Data(x=torch.randn(60, 3), edge_index=torch.stack([a, (a + 1) % 60]), y=y.view(-1, 1))
    graph.train_mask, graph.val_mask, graph.test_mask = a < 30, (a >= 30) & (a < 45), a >= 45
    folder = tmp_path / "own"
    folder.mkdir()
    torch.save(graph, folder / "data.pt")
    return folder


@pytest.mark.parametrize(
    ("monitor", "done"),
    [("metric", "all of trainer.max_epochs are run"), ("loss", "chosen by trainer.monitor=loss")],
)
def test_a_validation_part_of_one_class_is_told_once(
    monitor: str, done: str, one_class: Path, tmp_path: Path
) -> None:
    words = ["model=gcn", "data=folder", f"data.path={one_class}", "trainer=cpu"]
    words += ["trainer.max_epochs=7", "trainer.patience=2", f"trainer.monitor={monitor}"]
    words += ["trainer.also=[ap,f1-macro]"]
    config = compose([*words, f"runs_dir={tmp_path / 'runs'}", "logger=none"])
    output = io.StringIO()
    record = train(config, tmp_path / "runs" / run_name(config), Console(file=output, width=400))
    assert record is not None
    said = [line for line in output.getvalue().splitlines() if "has no rocauc" in line]
    assert len(said) == 1 and "the validation part" in said[0] and done in said[0]
    lines = output.getvalue().splitlines()
    (beside,) = (line for line in lines if "has no ap" in line or "has no f1-macro" in line)
    assert "validation part has no ap (there are labels of one class alone): it is told" in beside
    assert math.isnan(record.also["ap"]["valid"]) and 0 <= record.also["ap"]["test"] <= 1
    assert math.isnan(record.valid) and 0 <= record.test <= 1
    if monitor == "metric":
        assert (record.epochs, record.selection) == (7, "last-epoch")
    else:
        assert record.selection == "best-validation"


def test_answers_that_became_nan_are_no_score(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Task.answer

    def spoiled(self: Task, batch: Any) -> Tensor:
        logits = answer(self, batch)
        return logits if self.model.training else logits * NAN

    monkeypatch.setattr(Task, "answer", spoiled)
    with pytest.raises(UserError, match=r"GCN answers nan in evaluation, on the valid part: try"):
        run("model=gcn", "data=csbm", "data.num_nodes=60", "trainer.max_epochs=2")


def judged(**facts: Any) -> None:
    """As a YAML of a node-level dataset would be judged by."""
    usual = {"name": "made-up", "level": "node", "loss": "cross-entropy"}
    check_judged(usual | {"metric": "accuracy", "direction": "max"} | facts)


def test_a_metric_fits_the_labels_of_its_loss() -> None:
    with pytest.raises(UserError, match=r"accuracy: it is for classes.* those of loss bce, tasks"):
        judged(loss="bce")
    with pytest.raises(
        UserError, match=r"mae: it is for numbers.* there are accuracy, rocauc, f1-macro"
    ):
        judged(metric="mae", direction="min")
    with pytest.raises(UserError, match=r"hits@50: it is for links"):
        judged(metric="hits@50")
    with pytest.raises(UserError, match=r"there are hits@K, rocauc, ap, auprc$"):
        judged(level="link", loss="bce", metric="f1-macro")
    with pytest.raises(UserError, match=r"cross-entropy: it is for classes.* link-level"):
        judged(level="link", metric="hits@50")
    judged(metric="rocauc")
    judged(level="link", loss="bce", metric="hits@7")
    judged(metric="mine.own", direction="min", loss="bce")


@pytest.mark.parametrize(
    "name", ["acuracy", "hits@0", "hits@", "hits@1.5", "mine.", ".own", "a b.c"]
)
def test_a_name_that_is_no_metric_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(UserError, match=r"unknown metric '.*available: accuracy, .*hits@K, mae"):
        judged(metric=name)


def test_a_direction_that_chooses_the_worst_epoch_is_refused() -> None:
    with pytest.raises(UserError, match=r"would choose the worst accuracy.* write direction: max"):
        judged(direction="min")
    with pytest.raises(UserError, match=r"would choose the worst mae.* write direction: min"):
        judged(metric="mae", loss="l1")
    with pytest.raises(UserError, match=r"direction=up: allowed is max or min"):
        judged(direction="up")
    for name, best in (("ece", "min"), ("hits@7", "max")):
        assert with_direction({"metric": name}) == {"metric": name, "direction": best}
    for facts in ({"metric": "mine.own"}, {"metric": "acuracy"}, {"metric": 5}, {}):
        assert with_direction(facts) == facts
    with pytest.raises(UserError, match=r"metric=\[1\]: expected a name"):
        judged(metric=[1])
    judged(metric="mae", loss="l1", direction="min")
    judged(metric="mine.own", direction="min")


def test_every_packaged_dataset_has_a_metric_of_its_loss() -> None:
    files = choices("data", [])
    stating = [name for name in files if stated("metric", files, name)]
    assert len(stating) > 40
    for name in stating:
        facts = {fact: stated(fact, files, name) for fact in ("metric", "loss", "direction")}
        judged(level=stated("level", files, name), **facts)
