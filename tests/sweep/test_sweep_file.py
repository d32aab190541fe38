"""A sweep in a YAML file says what the command line would."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.errors import UserError
from gbench.sweep.file import read
from gbench.sweep.points import compose_all

FILE = """
# two models
model: [gcn, sgc]
data: cora, citeseer
optim.lr: [0.01, 5e-3]
model.dropout: 0.5
trainer.deterministic: true
data_dir: null
runs_dir: ["a b", 'c,d']
batching.fan_outs: [[15, 10]]
seeds: 10
seed: 0..3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_lines_become_words(file: Path) -> None:
    assert read(file) == [
        [
            "model=gcn,sgc",
            "data=cora, citeseer",
            "optim.lr=0.01,5e-3",
            "model.dropout=0.5",
            "trainer.deterministic=true",
            "data_dir=null",
            "runs_dir='a b','c,d'",
            "batching.fan_outs=[15,10]",
            "seeds=10",
            "seed=0..3",
        ]
    ]


def test_what_is_typed_replaces_lines(file: Path) -> None:
    (words,) = read(file, ["seeds=2", "model=gin", "jobs=3"])
    assert "seeds=10" not in words
    assert words[-3:] == ["seeds=2", "model=gin", "jobs=3"]


def test_points_are_combined_with_all_else(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "data: cora\nseeds: 2\npoints:\n- {model: gcn, optim.lr: [0.1, 0.2]}\n- {model: sgc}\n"
    )
    groups = read(path)
    found = [config for words in groups for config in compose_all(words)]
    assert [(c["model"]["name"], c["optim"]["lr"], c["seed"]) for c in found] == [
        ("gcn", 0.1, 0),
        ("gcn", 0.1, 1),
        ("gcn", 0.2, 0),
        ("gcn", 0.2, 1),
        ("sgc", found[-1]["optim"]["lr"], 0),
        ("sgc", found[-1]["optim"]["lr"], 1),
    ]


def test_quoted_texts_reach_the_config(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text('model: gcn\ndata: cora\nruns_dir: ["it\'s, a \\\\ folder"]\n')
    (words,) = read(path)
    (config,) = compose_all(words)
    assert config["runs_dir"] == "it's, a \\ folder"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- model\n", "has to be a mapping"),
        ("model: [gcn\n", "is not valid YAML"),
        ("points: 3\n", "points has to be a list of mappings"),
        ("points: []\n", "points has to be a list of mappings"),
        ("model: []\n", "model has no values"),
    ],
)
def test_files_that_are_no_sweep(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none.yaml: No such file"):
        read(tmp_path / "none.yaml")
