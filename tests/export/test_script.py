"""An exported script, run as a user runs it, reaches what its run reached: bit for bit."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.export import script as script_module
from gbench.export.fill import MARK
from gbench.export.script import TEMPLATE, script
from gbench.records import record as records
from gbench.training import train


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def what_a_script_sets() -> Iterator[None]:
    """A script sets what holds for its process; here it shares one with other tests."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    matmul = torch.get_float32_matmul_precision()
    with torch.autograd.set_detect_anomaly(torch.is_anomaly_enabled()):
        yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_float32_matmul_precision(matmul)


def exported(tmp_path: Path, *words: str, own: Path | None = None) -> tuple[records.RunRecord, str]:
    config = compose([*words, "trainer=cpu", "logger=none"], [own] if own else [])
    record = train(config, tmp_path / "runs" / "run", Console(quiet=True))
    assert record is not None
    out = tmp_path / "script.py"
    assert main(["export", str(tmp_path / "runs" / "run"), "--output", str(out)]) == 0
    return record, out.read_text()


def reached(tmp_path: Path) -> tuple[int, float]:
    """How many epochs the script ran, and the test metric that it prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path(str(tmp_path / "script.py"), run_name="__main__")
    epochs, test = said.getvalue().splitlines()
    return int(epochs.split()[-2]), float(test.split()[-2])


CASES = {
    "nodes": ("model=gcn", "data=csbm", "trainer.max_epochs=8"),
    "no decay": ("model=gin", "data=csbm", "trainer.max_epochs=4", "model.hidden_dim=16"),
    "graphs": ("model=gin", "data=digits", "trainer.max_epochs=1", "model.hidden_dim=8"),
    "random signs": ("model=gcn", "data=csbm", "encoding=lappe", "trainer.max_epochs=5"),
    "values of pairs": (
        "model=gin", "data=csl", "encoding=[rwse,spd]", "model.hidden_dim=8", "experiment=null",
        "trainer.max_epochs=2", "trainer.limit_batches=2",
    ),
    "several encodings": (
        "model=gcn", "data=csbm", "encoding=[rwse,lappe]", "encoding.rwse.steps=3",
        "trainer.max_epochs=3",
    ),
    "patience": (
        "model=gcn", "data=csbm", "optim.lr=0.5", "trainer.patience=2", "trainer.also=[mcc]",
    ),
    "last, clipped": (
        "model=gcn", "data=csbm", "trainer.select=last", "trainer.max_epochs=5",
        "trainer.gradient_clip_val=0.01",
    ),
    "another precision": (
        "model=gcn", "data=csbm", "trainer.max_epochs=3", "trainer.matmul=medium",
    ),
    "window": (
        "model=gcn", "data=csbm", "optim.lr=0.9", "trainer.stop=window", "trainer.patience=3",
        "trainer.monitor=objective", "trainer.ties=later",
    ),
    "steps": (
        "model=gin", "data=digits", "optim.steps_per_epoch=3", "trainer.max_epochs=3",
        "model.hidden_dim=8", "optim.schedule=step", "optim.lr_every=1", "experiment=null",
    ),
    "plateau": (
        "model=gcn", "data=csbm", "optim.lr=0.9", "optim.schedule=plateau", "optim.lr_patience=1",
        "optim.min_lr=0.2", "trainer.max_epochs=60",
    ),
    "one-cycle after a warm-up": (
        "model=gin", "data=digits", "optim.schedule=one-cycle", "optim.warmup_steps=3",
        "trainer.max_epochs=2", "trainer.limit_batches=4", "model.hidden_dim=8",
    ),
    "two gradients a step": (
        "model=gcn", "data=csbm", "optim.optimizer=asam", "trainer.max_epochs=4",
    ),
    "three batches a step": (
        "model=gin", "data=digits", "+trainer.accumulate_grad_batches=3", "trainer.max_epochs=1",
        "model.hidden_dim=8", "trainer.limit_batches=5", "trainer.gradient_clip_val=0.5",
    ),
    "another optimizer, in groups": (
        "model=gcn", "data=csbm", "optim.optimizer=sgd", "optim.options={momentum: 0.9}",
        "optim.groups=[{match: 'layers.0.*', lr: 0.1, weight_decay: 0.0}]", "trainer.max_epochs=6",
        "optim.schedule=step", "optim.lr_every=2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", CASES.values(), ids=CASES.keys())
def test_the_script_repeats_the_run_exactly(words: tuple[str, ...], tmp_path: Path) -> None:
    record, _ = exported(tmp_path, *words)
    assert reached(tmp_path) == (record.epochs, record.test)


RULES = """\
def enough(curve):
    row = curve[-1]
    assert row["seconds"] >= row["train_seconds"] > 0
    return len(curve) > 2 and row["valid_mcc"] <= max(r["valid_mcc"] for r in curve[:-1])

def slower(curve):
    return 1 / (1 + sum(row["valid_mcc"] ** 2 for row in curve))
"""


def test_own_rules_read_all_that_a_run_tells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    own = tmp_path / 'a folder\'s "rules" {x}'
    own.mkdir()
    (own / "rules_of_export.py").write_text(RULES)
    (own / "judge_of_export.py").write_text("def size(logits, y):\n    return len(y)\n")
    also = "trainer.also=[mcc,judge_of_export.size]"  # whose code no hash counts
    words = ("model=gcn", "data=csbm", also, "optim.lr=0.3")
    record, text = exported(
        tmp_path,
        *words,
        "trainer.stop=rules_of_export.enough",
        "optim.schedule=rules_of_export.slower",
        own=own,
    )
    for module in ("rules_of_export", "judge_of_export"):
        monkeypatch.delitem(sys.modules, module)
    assert reached(tmp_path) == (record.epochs, record.test)
    assert 2 < record.epochs < 100
    assert "perf_counter" in text
    assert "def size(logits, y)" in text  # the script brings it


@pytest.mark.data
@pytest.mark.parametrize(
    "model", [["model=gcn"], ["model=sgc"], ["model=gin", "model.hidden_dim=8"]]
)
def test_so_it_does_on_cora(model: list[str], tmp_path: Path, data_dir: Path) -> None:
    record, text = exported(
        tmp_path, *model, "data=cora", f"data_dir={data_dir}", "trainer.max_epochs=6"
    )
    assert reached(tmp_path) == (record.epochs, record.test)
    assert "stopping.is_due" in text


def test_it_says_only_what_its_run_did(tmp_path: Path) -> None:
    _, text = exported(tmp_path, *CASES["last, clipped"])
    assert '"hidden_dim": 16,' in text
    assert "clip_grad_norm_" in text
    for word in (
        "best_weights",
        "encoded",
        "patched",
        "deterministic",
        "anomaly",
        "matmul",
        "OWN_CODE",
        "#:",
    ):
        assert word not in text


def test_the_template_is_a_script_itself(tmp_path: Path) -> None:
    """Run as it stands it does what a run of its example does."""
    words = ("model=gcn", "data=csbm", "encoding=lappe", "trainer.max_epochs=5")
    record, _ = exported(tmp_path, *words, "trainer.gradient_clip_val=1.0")
    (tmp_path / "script.py").write_text(TEMPLATE.read_text())
    assert reached(tmp_path) == (5, record.test)


def test_every_mark_of_the_template_is_asked_for_and_every_setting_is_filled_in() -> None:
    text = TEMPLATE.read_text()
    marks = {line.partition(MARK)[2] for line in text.splitlines()} - {""}
    asked = (Path(script_module.__file__)).read_text()
    assert {mark for mark in marks if f'"{mark}":' not in asked} == {"example"}
    constants = re.findall(r"^([A-Z_]+)(?:: [^=]*)? = ", text, re.MULTILINE)
    assert {name for name in constants if f'"{name}"' not in asked} == {"EXAMPLE"}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["trainer.precision=bf16-mixed"], r"trainer\.precision=bf16-mixed"),
        (["batching=neighbours", "batching.fan_outs=[3,3]"], "batching=neighbours"),
        (["model=graph-mlp-mixer", "data=csl"], "model=graph-mlp-mixer, which reads patches"),
        (["+trainer.check_val_every_n_epoch=2"], "check_val_every_n_epoch=2"),
    ],
)
def test_what_it_has_no_words_for_is_refused(words: list[str], names: str) -> None:
    config = compose(["model=gcn", "data=csbm", *words])
    with pytest.raises(UserError, match=f"has no words for .*{names}"):
        script(_never_read(), config, Path())


def test_a_record_edited_by_hand_puts_no_code_into_it(tmp_path: Path) -> None:
    record, _ = exported(tmp_path, *CASES["nodes"][:2], "trainer.max_epochs=1")
    values = record.__dict__ | {"model": '"""\nraise SystemExit(9)\n"""', "metric": '")\nboom("'}
    config = yaml.safe_load((tmp_path / "runs" / "run" / "config.yaml").read_text())
    config["data"]["source"] = '"\nraise SystemExit(9)\n"'
    text = script(records.RunRecord(**values), compose([]) | config, tmp_path)
    (tmp_path / "script.py").write_text(text)
    assert reached(tmp_path)[0] == 1


def test_an_unfinished_run_and_a_file_that_is_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(tmp_path, "model=gcn", "data=csbm", "trainer.max_epochs=1")
    run, script = str(tmp_path / "runs" / "run"), str(tmp_path / "script.py")
    assert main(["export", run, "--output", script]) == 2
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "runs" / "run" / "record.json").unlink()
    assert main(["export", run]) == 2
    assert "has not finished" in capsys.readouterr().err


def _never_read() -> Any:
    return None


METHODS = """
import torch

class Own(torch.nn.Module):
    statistics = ("mean_log_degree",)

    def __init__(self, spec):
        super().__init__()
        self.lin = torch.nn.Linear(spec.num_features, spec.num_outputs)
        self.register_buffer("mean", torch.zeros(spec.num_features))
        self.scale = spec.statistics["mean_log_degree"]

    def fit(self, train):
        self.mean.copy_(torch.cat([batch.x for batch in train.batches()]).mean(0))

    def forward(self, batch):
        return self.lin((batch.x - self.mean) / self.scale)

    def loss(self, logits, batch, dataset_loss):
        return {"loss": dataset_loss + self.lin.weight.square().sum()}

    def parameter_groups(self):
        return [{"params": [self.lin.bias], "lr": 0.02}]
"""


def test_what_a_model_does_beside_forward_is_done_by_the_script(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "model").mkdir(parents=True)
    (mine / "own_methods.py").write_text(METHODS)
    text = "# @package _global_\nmodel: {_target_: own_methods.Own, levels: [node]}\n"
    (mine / "model/own-methods.yaml").write_text(text)
    words = ("model=own-methods", "data=csbm", "trainer.max_epochs=4", "optim.lr=0.1")
    record, script = exported(tmp_path, *words, own=mine)
    assert "loss, _ = own_loss(logits, batch, loss)" in script
    assert "fit(model, dataset, source)" in script
    assert reached(tmp_path) == (record.epochs, record.test)
    _, plain = exported(tmp_path / "plain", "model=gcn", "data=csbm", "trainer.max_epochs=1")
    assert "own_loss" not in plain and "fit(" not in plain
