"""Teachers: what a finished run says of all items, of the same data and split, kept and counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gbench.build import build_task
from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.errors import UserError
from gbench.own_code.kept import at_hand
from gbench.records.record import RunRecord
from gbench.search.trial import validated
from gbench.sweep.labels import labels
from gbench.sweep.points import compose_all
from gbench.teaching import ANSWERS, taught
from gbench.train import capturing
from gbench.train.checkpoint import load_weights

CODE = """
import torch
import torch.nn.functional as F

class Student(torch.nn.Module):
    needs = ("teacher",)
    waits = ""
    fills_frames = True

    def __init__(self, spec):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features, spec.teacher_dim)
        self.level = spec.level

    def forward(self, batch):
        x = self.lin(batch.x)
        if self.level == "graph":
            x = x[batch.node_ptr[:-1].long().clamp(max=batch.num_nodes - 1)]
        return x

    def loss(self, logits, batch, dataset_loss):
        told = (logits.log_softmax(1) - batch.teacher).square()
        if batch.valid is not None:
            rows = torch.arange(len(told), device=told.device) < batch.valid.graphs
            return {"loss": (told * rows.unsqueeze(1)).sum() / batch.valid.graphs}
        return {"loss": told.sum() / len(told)}
"""
NODE = ("data=csbm", "experiment=null", "trainer.max_epochs=3")
TEACHER = ("model=gcn", *NODE)


@pytest.fixture
def mine(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Train with these words and a folder of one's own; runs lie in runs/ of the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_student.py").write_text(CODE)
    (tmp_path / "model").mkdir()
    text = "# @package _global_\nmodel: {_target_: own_student.Student, levels: [node, graph]}\n"
    (tmp_path / "model/own-student.yaml").write_text(text)
    return lambda *words: run(*words, dirs=[tmp_path])


def student(teacher: RunRecord | str, *words: str) -> tuple[str, ...]:
    name = teacher if isinstance(teacher, str) else teacher.run
    return ("model=own-student", *NODE, f"model.teacher=run:{name}", *words)


def said_by(folder: Path) -> torch.Tensor:
    return torch.load(folder / ANSWERS, weights_only=True)["answers"]


def test_it_says_log_probabilities_of_every_node_in_evaluation_mode(mine: Any) -> None:
    teacher, at = mine(*TEACHER, "encoding=rwse", "model.dropout=0.5")
    _, folder = mine(*student(teacher))
    task = build_task(teacher.config)
    task.model.load_state_dict(load_weights(at / "best.ckpt"))
    task.model.eval()
    with torch.no_grad():
        expected = task.model(task.dataset.store.whole()).log_softmax(1)
    torch.testing.assert_close(said_by(folder), expected, rtol=1e-5, atol=1e-6)


def test_of_graphs_it_says_them_in_the_order_of_the_data(mine: Any, monkeypatch: Any) -> None:
    graph = ("data=csl", "experiment=null", "trainer.max_epochs=2", "encoding=rwse")
    small = ("model.hidden_dim=8", "model.num_layers=2")
    teacher, at = mine("model=gin", *graph, *small)
    words = ("model=own-student", *graph[:3], f"model.teacher=run:{teacher.run}")
    _, folder = mine(*words, "trainer.cuda_graphs=off")
    task = build_task(teacher.config)
    task.model.load_state_dict(load_weights(at / "best.ckpt"))
    task.model.eval()
    with torch.no_grad():
        batch = task.dataset.store.batch(torch.arange(task.dataset.store.num_graphs))
        expected = task.model(batch).log_softmax(1)
    torch.testing.assert_close(said_by(folder), expected, rtol=1e-5, atol=1e-6)
    usual = (folder / "metrics.csv").read_text().splitlines()
    shutil.rmtree(folder)
    monkeypatch.setattr(capturing, "recorder", lambda device: lambda work, changed: work)
    record, folder = mine(*words, "trainer.cuda_graphs=on")
    assert record.captured
    for one, other in zip(
        usual[1:], (folder / "metrics.csv").read_text().splitlines()[1:], strict=True
    ):
        assert float(one.split(",")[1]) == pytest.approx(float(other.split(",")[1]), rel=1e-5)


def test_of_a_graph_in_parts_each_part_has_its_rows(mine: Any) -> None:
    teacher, _ = mine(*TEACHER)
    _, folder = mine(*student(teacher))
    config = {**compose([*TEACHER, "batching=neighbours"]), "runs": {}}
    task = build_task(config)
    assert task.dataset.store.teacher is None
    from gbench.data.big.part import batch_of
    from gbench.data.taught import with_teacher

    kept = taught(compose([*student(teacher)], [Path()]), folder)
    assert kept is not None
    dataset = with_teacher(task.dataset, kept)
    part = task.source.cutter.cut(torch.arange(5), 0)  # type: ignore[attr-defined]
    batch = batch_of(dataset.store, part)
    rows = part.nodes[: part.graphs[-1].num_rows].long()
    assert batch.teacher is not None and torch.equal(batch.teacher, kept.answers[rows])


def test_what_it_was_counts_and_where_it_lies_does_not(mine: Any, tmp_path: Path) -> None:
    one, at = mine(*TEACHER)
    two, _ = mine(*TEACHER, "seed=1")
    other, _ = mine(*TEACHER, "model.dropout=0.1")

    def of(*words: str) -> str:
        return identity(compose([*words], [tmp_path]))

    by_name = of(*student(one))
    assert by_name == of(*student(str(at))) == of(*student(one, "seed=5"))
    assert len({by_name, of(*student(two)), of(*student(other)), of(*NODE, "model=mlp")}) == 4
    setting = one.run.removesuffix("-s0-f0")
    by_seed = of(*student(setting))
    assert by_seed == of(*student(setting, "seed=1")) != by_name
    config = compose([*student(setting, "seed=1")], [tmp_path])
    assert config["runs"]["model.teacher"]["run"] == two.run
    assert config["model"]["teacher"] == f"run:{setting}"
    moved = tmp_path / "elsewhere" / at.name
    shutil.copytree(at, moved)
    assert of(*student(str(moved))) == by_name


def test_of_several_folds_it_is_that_of_the_same_fold(mine: Any, tmp_path: Path) -> None:
    words = ("model=own-student", "data=csl", "experiment=null", "trainer.max_epochs=1")
    small = ("model.hidden_dim=8", "model.num_layers=2", "trainer.max_epochs=1")
    runs = [mine("model=gin", "data=csl", *small, f"data.fold={fold}")[0] for fold in (0, 1)]
    setting = runs[0].run.removesuffix("-s0-f0")
    for name in (setting, f"{setting}-s0"):
        config = compose([*words, f"model.teacher=run:{name}", "data.fold=1"], [tmp_path])
        assert config["runs"]["model.teacher"]["run"] == runs[1].run
    with pytest.raises(
        UserError, match=r"trained on \d+ graphs that this run is tested on \(the sp"
    ):
        mine(*words, f"model.teacher=run:{runs[0].run}", "data.fold=1")
    with pytest.raises(UserError, match="has no run of seed 0 and fold 2, which this run has"):
        compose([*words, f"model.teacher=run:{setting}", "data.fold=2"], [tmp_path])


def test_a_run_needs_its_teacher_no_more(
    mine: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher, at = mine(*TEACHER)
    record, folder = mine(*student(teacher))
    shutil.rmtree(at)
    assert main(["eval", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == pytest.approx(record.test)
    (folder / ANSWERS).unlink()
    assert main(["eval", str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"run:{teacher.run}: its folder {at} is gone: put it back, or below" in said
    assert main(["export", str(folder)]) == 2
    assert "no words for model.teacher, another run" in capsys.readouterr().err


def test_a_teacher_that_moved_is_found_by_its_name_and_one_that_changed_is_told(
    mine: Any, tmp_path: Path
) -> None:
    teacher, at = mine(*TEACHER)
    elsewhere = tmp_path / "old" / at.name
    elsewhere.parent.mkdir()
    shutil.copytree(at, elsewhere)
    config = compose([f"runs_dir={at.parent}", *student(str(elsewhere))], [tmp_path])
    shutil.rmtree(elsewhere)
    found = taught(config, tmp_path / "none")
    assert found is not None and found.other.data == teacher.data
    weights = load_weights(at / "best.ckpt")
    torch.save({name: value + 1 for name, value in weights.items()}, at / "best.ckpt")
    with pytest.raises(UserError, match=r"best\.ckpt has changed since this run was composed"):
        taught(config, tmp_path / "none")


def test_its_own_code_answers_and_afterwards_the_students(mine: Any, tmp_path: Path) -> None:
    """The same module's name, two versions: each run executes its own."""
    first = (
        CODE.replace("needs", "uses")
        .replace("spec.teacher_dim", "spec.num_outputs")
        .replace(
            "told = (logits.log_softmax(1) - batch.teacher).square()",
            'return {"loss": dataset_loss}',
        )
    )
    (tmp_path / "own_student.py").write_text(first.replace("return x\n", "return x + 3\n"))
    teacher, at = mine("model=own-student", *NODE)
    (tmp_path / "own_student.py").write_text(CODE)
    config = compose([*student(teacher)], [tmp_path])
    found = taught(config, tmp_path / "none")
    assert found is not None
    task = build_task(at_hand(config, tmp_path / "runs/s"), found)
    assert type(task.model).needs == ("teacher",)  # type: ignore[attr-defined]
    _, folder = mine(*student(teacher))
    torch.testing.assert_close(said_by(folder), found.answers)
    assert at.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data.seed=1",), "was trained on csbm, and this run is on csbm seed=1: name a run on"),
        (("data.fold=1",), r"was trained on \d+ nodes that this run is tested on"),
    ],
)
def test_other_data_and_other_folds_are_refused(mine: Any, words: Any, message: str) -> None:
    teacher, _ = mine(*TEACHER)
    with pytest.raises(UserError, match=message):
        mine(*student(teacher, *words))


def test_what_is_no_finished_run_is_told(mine: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model.teacher: no run 'none': .*runs/ holds none"):
        mine(*student("none"))
    teacher, at = mine(*TEACHER)
    other, _ = mine(*TEACHER, "model.dropout=0.1")
    with pytest.raises(UserError, match=r"unknown run in model\.teacher: 'cora'"):
        mine(*student("cora"))
    with pytest.raises(UserError, match="'csbm' begins several runs' names"):
        mine(*student("csbm"))
    with pytest.raises(UserError, match="model gcn has no use for a teacher"):
        mine(*TEACHER, f"model.teacher=run:{teacher.run}")
    (at / "record.json").unlink()
    with pytest.raises(UserError, match="has not finished: gbench resume"):
        mine(*student(teacher))
    with pytest.raises(UserError, match="own-student cannot do without the answers of a finished"):
        mine("model=own-student", *NODE)
    assert other.run


def test_trials_of_a_search_and_points_of_a_sweep_have_theirs(mine: Any, tmp_path: Path) -> None:
    teacher, _ = mine(*TEACHER)
    config = compose([*student(teacher), "trainer=cpu"], [tmp_path])
    valid = validated(config, tmp_path / "trial", lambda message: None)
    assert 0 <= valid <= 1 and (tmp_path / "trial" / ANSWERS).exists()
    mine(*TEACHER, "seed=1")
    setting = teacher.run.removesuffix("-s0-f0")
    points = compose_all([*student(setting), "seeds=2"], [tmp_path])
    taught_by = [point["runs"]["model.teacher"]["run"] for point in points]
    assert taught_by == [f"{setting}-s0-f0", f"{setting}-s1-f0"]
    assert len({identity(point) for point in points}) == 1
    assert [label.rpartition(" · ")[2] for label in labels(points)] == ["seed 0", "seed 1"]
    assert not any("runs." in label for label in labels(points))
