"""Mutated command lines and YAML files: a valid config or one clear message, never a traceback."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gbench.cli.main import main
from gbench.records.record import RunRecord

VALID = (
    "model=gcn", "model=gin", "data=csbm", "data=digits", "data=cora", "data=tu", "data=folder",
    "encoding=lappe", "encoding=rwse", "batching=neighbours", "trainer=debug", "trainer=ddp",
    "logger=none", "logger=mlflow", "experiment=gcn-cora", "experiment=null", "seed=3",
    "optim.lr=0.01", "optim.weight_decay=5e-4", "optim.batch_size=8", "optim.schedule=step",
    "model.hidden_dim=8", "model.dropout=0.5", "model.readout=sum", "model.num_layers=2",
    "trainer.max_epochs=3", "trainer.select=last", "trainer.patience=2",
    "trainer.precision=32-true",
    "data.split=geom-gcn", "data.fold=2", "data.homophily=0.3", "data.name=MUTAG", "data.path=x",
    "+trainer.accumulate_grad_batches=2", "+model.extra=1", "~model.dropout", "runs_dir=elsewhere",
)  # fmt: skip
JUNK = (
    "", " ", "=", "==", ",", ".", "~", "+", "++", "[", "]", "{", "}", "'", '"', "\\", "$", "${",
    "${seed}", "${oc.env:HOME}", "null", "true", "nan", "inf", "-1", "1e999", "0x10", "1_000",
    "[1,2]", "{a:1}", "a,b", "*", "..", "/", "../x", "@", "@model", ":", "#", "%",
    "\n", "\t", "\0", "é", "日本", "💥",
    "choice(1,2)", "range(1,5)", "glob(*)", "_target_", "hydra", "hydra.run.dir=x", "defaults",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """One setting with up to three edits: cut, doubled, with junk in it or instead of a part."""
    word = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(0, 3))):
        at, end = sorted((draw(st.integers(0, len(word))), draw(st.integers(0, len(word)))))
        match draw(st.sampled_from(("cut", "double", "insert", "replace", "value"))):
            case "cut":
                word = word[:at] + word[end:]
            case "double":
                word = word[:end] + word[at:]
            case "insert":
                word = word[:at] + draw(st.sampled_from(JUNK)) + word[at:]
            case "replace":
                word = word[:at] + draw(st.sampled_from(JUNK)) + word[end:]
            case "value":
                word = word.partition("=")[0] + "=" + draw(st.sampled_from(JUNK))
    return word


def outcome(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*words])
        except SystemExit as ended:  # argparse has its own way out
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


def judge(*words: str) -> None:
    code, out, err = outcome(*words)
    assert "Traceback" not in err
    if code == 0:
        config = yaml.safe_load(out)
        assert {"model", "data", "optim", "trainer", "seed"} <= set(config)
    else:
        assert code == 2, err
        assert err.startswith("gbench: ")
        assert err.count("\n") <= 3, err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


MANY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # to shrink a failure takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(MANY, max_examples=200)
@given(st.lists(mutated(), min_size=1, max_size=4))
def test_mutated_overrides(words: list[str]) -> None:
    judge("show", *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["logger.project=x"], "this logger has no settings; choose another first"),
        (["trainer.stop={a: 1}"], "trainer.stop is a word, without settings of its own"),
        (
            ["trainer.also={a: 1}"],
            "trainer.also is a list, without settings of its own",
        ),
        (["cache_dir=3"], "cache_dir=3: expected a word or null"),
        (["data_dir={a: 1}"], "data_dir is a word or null"),
        (["logger=wandb", "logger.entity=3"], "logger.entity=3: expected a word or null"),
    ],
)
def test_values_of_another_kind(words: list[str], said: str) -> None:
    code, _, err = outcome("show", *words)
    assert code == 2
    assert said in err


MODEL = """\
# @package _global_
# A model of somebody's own
model:
  _target_: gbench.models.gcn.GCN
  levels: [node, graph]
  hidden_dim: 16
  num_layers: 2
  dropout: 0.5
optim:
  lr: 0.01
  weight_decay: 0.0005
trainer:
  max_epochs: 3
"""
DATA = """\
# A dataset of somebody's own
_target_: gbench.data.loaders.csbm.load
num_nodes: 200
homophily: 0.8
level: node
loss: cross-entropy
metric: accuracy
direction: max
split: stratified-60-20-20
num_folds: 10
fold: 0
source: generated
licence: none needed
citation: none
statistics:
  num_nodes: 200
"""


@st.composite
def damaged(draw: st.DrawFn, text: str) -> bytes:
    """A YAML file with up to three lines lost, doubled, moved in depth, or of another value."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(("lose", "double", "deeper", "value", "key", "junk", "byte"))):
            case "lose":
                lines[at] = ""
            case "double":
                lines.insert(at, lines[at])
            case "deeper":
                lines[at] = "  " + lines[at]
            case "value":
                lines[at] = lines[at].partition(":")[0] + ": " + draw(st.sampled_from(JUNK))
            case "key":
                _, colon, value = lines[at].partition(":")
                lines[at] = draw(st.sampled_from(JUNK)) + colon + value
            case "junk":
                lines[at] += draw(st.sampled_from(JUNK))
            case "byte":
                return "\n".join(lines).encode() + draw(
                    st.sampled_from((b"\xff", b"\x00", b"\x1b"))
                )
    return "\n".join(lines).encode(errors="surrogatepass")


@settings(MANY, max_examples=100)
@given(damaged(MODEL), damaged(DATA), st.sampled_from(("model", "data", "both")))
def test_damaged_yaml_files(model: bytes, data: bytes, which: str) -> None:
    for group, content, whole in (("model", model, MODEL), ("data", data, DATA)):
        folder = Path("mine") / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "own.yaml").write_bytes(content if which in (group, "both") else whole.encode())
    judge("show", "--config-dir", "mine", "model=own", "data=own")


VALUES = st.sampled_from(
    (
        "0",
        "1",
        "-1",
        "2",
        "0.5",
        "1.0",
        "1e-30",
        "1e30",
        "nan",
        "inf",
        "null",
        "true",
        "''",
        "x",
        "[1]",
    )
)
KEYS = st.sampled_from(
    ("model.hidden_dim", "model.num_layers", "model.dropout", "model.norm", "model.readout",
     "optim.lr", "optim.weight_decay", "optim.schedule", "optim.lr_every", "optim.optimizer",
     "trainer.max_epochs", "trainer.patience", "trainer.gradient_clip_val", "trainer.precision",
     "trainer.devices", "trainer.accelerator", "trainer.deterministic", "trainer.monitor",
     "trainer.stop", "data.fold", "data.num_nodes", "data.homophily", "data.avg_degree",
     "data.num_classes", "data.signal", "data.seed", "encoding.dim", "seed",
     "+trainer.detect_anomaly", "+trainer.accumulate_grad_batches", "+model.nothing")
)  # fmt: skip


@settings(MANY, max_examples=15)
@given(st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=2))
def test_mutated_settings_train_or_say_why_not(changes: list[tuple[str, str]]) -> None:
    words = [f"{key}={value}" for key, value in changes]
    small = ("model=gcn", "data=csbm", "data.num_nodes=60", "trainer=debug", "logger=none")
    code, out, err = outcome("train", *small, *words, "--json")
    assert "Traceback" not in err
    assert code in (0, 2), err
    if code == 0:
        assert RunRecord.from_json(out).epochs >= 1
    else:
        assert err.splitlines()[-1]
