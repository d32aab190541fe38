"""A YAML file of the user's own that is wrong is named, with its line and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.config.compose import compose
from gbench.errors import UserError

FACTS = """\
level: graph
loss: cross-entropy
metric: accuracy
direction: max
split: own
num_folds: 1
fold: 0
source: generated
licence: CC0
citation: none
"""
HEAD = "# @package _global_\n"
OWN = "model:\n  _target_: own.Own\n"


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("model/own", OWN, "needs '# @package _global_' as its first line"),
        ("model/own", f"# a comment\n{HEAD}{OWN}", "needs '# @package _global_' as its first line"),
        ("model/own", f"# @package global\n{OWN}", "'# @package global', a place that gbench"),
        ("model/own", f"{HEAD}_target_: own.Own\nwidth: 3\n", "'model:' above _target_, width"),
        ("model/own", f"{HEAD}model:\n  width: 3\n", "add\n  model:\n    _target_: my_module.My"),
        ("model/own", "width: 3\n", "add\n  _target_: my_module.MyClass"),
        ("model/own", "", "does not say what it stands for"),
        ("model/own", f"{HEAD}model:\n  _target_: 3\n", "yaml, line 3: _target_ is 3"),
        ("model/own", f"{HEAD}{OWN}  width: ???\n", "line 4: model.width: has to be given"),
        ("model/own", f"{HEAD}{OWN}  levels: node\n", "line 4: model.levels=node: expected a list"),
        ("model/own", f"{HEAD}{OWN}  levels: [edge]\n", "line 4: model.levels="),
        ("model/own", f"{HEAD}{OWN}optim:\n  lr: fast\n", "line 5: optim.lr=fast: allowed is"),
        ("model/own", f"{HEAD}{OWN}optim:\n  beta2: 1\n", "line 5: unknown setting 'optim.beta2'"),
        ("model/own", f"{HEAD}{OWN}colour: red\n", "line 4: unknown setting 'colour'"),
        ("model/own", f"{HEAD}{OWN}  a: ${{model.b}}\n", "line 4: model.a: Interpolation key"),
        ("model/own", f"{HEAD}model: own.Own\n", "line 2: model: has to be a group"),
        ("model/own", f"{HEAD}{OWN}  a: [1\n", "own.yaml is not valid YAML: .*line 4"),
        ("model/own", "- a\n", "own.yaml holds no settings"),
        ("model/own", f"{HEAD}defaults: [ginn]\n{OWN}", "own.yaml: 'ginn': did you mean 'gin'"),
        (
            "model/own",
            f"{HEAD}defaults:\n  - override /data: cora\n{OWN}",
            "a model's file cannot choose a data .*type data=cora",
        ),
        (
            "model/own",
            f"{HEAD}defaults:\n  - /encoding: rwse\n{OWN}",
            "'- override /encoding: rwse",
        ),
        (
            "model/own",
            f"{HEAD}defaults:\n  - override /encoding: rws\n{OWN}",
            "did you mean 'rwse'",
        ),
        ("data/own", f"data:\n  _target_: own.load\n  {FACTS}", "needs '# @package _global_'"),
        ("data/own", f"{HEAD}_target_: own.load\n{FACTS}", "put a line 'data:' above"),
        ("data/own", FACTS, "add\n  _target_: my_module.MyFunction"),
        ("data/own", "_target_: own.load\nlevel: graph\n", "does not say its loss, metric"),
        ("data/own", f"_target_: own.load\n{FACTS}num_folds: x\n", "line 12.*duplicate|num_folds"),
        ("data/own", f"_target_: own.load\n{FACTS}statistics: 3\n", "data.statistics=3: expected"),
        ("data/own", f"_target_: own.load\n{FACTS}download: x\n", "data.download=x: expected"),
        ("encoding/own", "steps: 3\n", "add\n  _target_: my_module.MyFunction"),
        ("batching/own", "parts: 3\n", "add\n  _target_: my_module.MyClass"),
        ("logger/own", "project: x\n", "add\n  _target_: my_module.MyFunction"),
        ("trainer/own", "trainer:\n  max_epochs: 3\n", "needs '# @package _global_'"),
        ("trainer/own", "max_epochs: no\n", "line 1: trainer.max_epochs=False: allowed is"),
        (
            "experiment/own",
            "optim:\n  lr: 0.1\n",
            "names optim: and so needs '# @package _global_'",
        ),
        (
            "experiment/own",
            f"{HEAD}defaults:\n  - override /model: gcnn\n",
            "model in the defaults of .*own.yaml: 'gcnn': did you mean 'gcn'",
        ),
        ("experiment/own", f"{HEAD}defaults:\n  - /model: gcn\n", "written '- override /model"),
        ("experiment/own", f"{HEAD}defaults:\n  - override /mod: gcn\n", "did you mean 'model'"),
    ],
)
def test_a_faulty_file_is_named_with_what_to_write(
    file: str, text: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{file}.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match=f"(?s){says}") as caught:
        compose([file.replace("/", "=")], [tmp_path])
    assert str(path) in str(caught.value)


def test_what_was_typed_is_not_looked_for_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own.yaml").write_text(f"{HEAD}{OWN}  width: ???\noptim:\n  lr: 0.1\n")
    words = ["model=own", "model.width=3"]
    assert compose(words, [tmp_path])["model"]["width"] == 3
    with pytest.raises(UserError, match=r"^optim.lr=-1"):
        compose([*words, "optim.lr=-1"], [tmp_path])
