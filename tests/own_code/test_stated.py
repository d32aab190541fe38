"""An edit of anything that a run executes is another run; an edit of anything else is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gbench.config.checks import CARD
from gbench.config.compose import Config, compose
from gbench.config.identity import identity
from gbench.own_code.stated import digest, stated

from .conftest import SHORT

Compose = Callable[..., Config]
ALL = ("data=owndata", "encoding=degree", "batching=cut", "logger=own")


@pytest.mark.parametrize(
    "name",
    [
        "own_model.py",
        "own_parts/__init__.py",
        "own_parts/width.py",
        "own_parts/rule.py",
        "own_lazy.py",
        "own_encoding.py",
        "own_data.py",
        "own_help.py",
        "own_batching.py",
    ],
)
def test_edited_code_is_another_run(name: str, mine: Path, composed: Compose) -> None:
    config = composed(*ALL)
    path = mine / name
    stat = path.stat()
    path.write_text(path.read_text() + "# a comment\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as git checkout or rsync may leave it
    assert identity(restated(config, mine)) != identity(config)


def restated(config: Config, mine: Path) -> Config:
    """As composing it again would state it."""
    return {**config, "code": stated(config, [mine], CARD)}


def test_code_that_a_run_does_not_execute_is_not_its(mine: Path, composed: Compose) -> None:
    before, with_all = composed(), composed(*ALL)
    for name in ("unrelated.py", "own_logger.py"):
        (mine / name).write_text("y = 2\n")
    assert identity(composed(*ALL)) == identity(with_all)
    (mine / "own_encoding.py").write_text("y = 2\n")
    assert identity(composed()) == identity(before)
    assert set(before["code"]["sources"]) == {
        "own_model.py", "own_parts/__init__.py", "own_parts/width.py", "own_parts/rule.py",
        "own_lazy.py",
    }  # fmt: skip


def test_what_only_the_logger_executes_is_kept_but_does_not_count(composed: Compose) -> None:
    config = composed("logger=own")
    assert set(config["code"]["beside"]) == {"own_logger.py"}
    assert identity(config) == identity(composed())


def test_the_folder_may_move(mine: Path, composed: Compose) -> None:
    before = identity(composed(*ALL))
    mine.rename(mine.with_name("renamed"))
    assert identity(compose(["model=own", *SHORT, *ALL], [Path("renamed")])) == before


@pytest.mark.parametrize(
    "setting", ["model.table", "+model.tables.0", "+data.table", "+encoding.table"]
)
def test_a_file_that_a_setting_names_counts_by_its_content(
    setting: str, mine: Path, composed: Compose
) -> None:
    group, key = setting.lstrip("+").split(".")[:2]
    value = "['{}']" if setting.endswith(".0") else "'{}'"

    config = composed(*ALL)

    def of(path: Path) -> str:
        text = value.format(path)
        config[group][key] = [str(path)] if text.startswith("[") else str(path)
        return identity(restated(config, mine))

    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "table.txt").write_text("2.0")
    before = of(Path("a/table.txt"))
    assert of(Path("a/table.txt").absolute()) == before
    assert of(Path("b/table.txt")) == before
    Path("b/table.txt").write_text("3.0")
    assert of(Path("b/table.txt")) != before


def test_a_file_beside_the_code_is_found_there(mine: Path, composed: Compose) -> None:
    (mine / "table.txt").write_text("2.0")
    before = composed("model.table=table.txt")
    assert before["code"]["files"] == {"model.table": digest(mine / "table.txt")}
    (mine / "table.txt").write_text("3.0")
    assert identity(composed("model.table=table.txt")) != identity(before)


@pytest.mark.parametrize(
    ("group", "inline", "option", "other"),
    [
        (
            "encoding",
            "{_target_: gbench.data.encodings.random_walk.return_probabilities, steps: 4}",
            "encoding.steps=16",
            "return_probabilities",
        ),
        (
            "batching",
            "{_target_: gbench.data.big.neighbours.Neighbours, fan_outs: [10, 10], "
            "nodes_per_batch: 64, workers: 1}",
            "batching.fan_outs=[2,2]",
            "Neighbours",
        ),
    ],
)
def test_a_section_named_inline_counts(
    group: str, inline: str, option: str, other: str, mine: Path
) -> None:
    text = f"# @package _global_\ndefaults: [gcn]\n{group}: {inline}\n"
    (mine / "model/inline.yaml").write_text(text)
    words = ["model=inline", "data=csbm"]
    config = compose(words, [mine])
    assert config[group]["name"] == other
    assert "code" not in config  # gbench's own classes alone
    assert identity(compose([*words, option], [mine])) != identity(config)
    # as config.yaml files of earlier runs have it
    earlier = {**config, group: {**config[group], "name": {"encoding": "none"}.get(group, "full")}}
    changed = {**earlier, group: {**earlier[group], option.split(".")[1].split("=")[0]: 7}}
    assert identity(earlier) != identity(changed)


def test_an_installed_package_counts_by_its_version(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "torch_geometric.nn.models.GCN"
    text = f"# @package _global_\nmodel: {{_target_: {target}, levels: [node]}}\n"
    (mine / "model/installed.yaml").write_text(text)
    config = compose(["model=installed", "data=csbm"], [mine])
    assert set(config["code"]) == {"packages"}
    assert set(config["code"]["packages"]) == {"torch-geometric"}
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    assert identity(compose(["model=installed", "data=csbm"], [mine])) != identity(config)


GOLDEN = {
    "model=gcn data=cora": "387cd98aef",
    "model=gin data=zinc encoding=rwse": "b6580c1237",
    "model=gcn data=ogbn-products batching=neighbours": "da98ac93f9",
    "model=diag-nsd data=texas optim.lr=0.5": "956ecb4ee0",
    "model=graph-vit data=csl trainer=cpu": "576c33465c",
    # with each setting of `optim` that there was before groups, options and warm-up
    "experiment=diag-nsd-cornell": "efe04d52d6",
    "model=gcn data=cora optim.decay_prefix=layers. optim.decay_of_others=0.1": "afd71c5a62",
    "model=mlp data=cora optim.optimizer=asam optim.rho=0.1": "98926ec28c",
    "model=gin data=digits optim.schedule=step optim.lr_every=7": "424bb5681e",
    "model=gin data=zinc optim.schedule=plateau optim.min_lr=1e-5": "d6847ec13e",
    "model=gcn data=csbm trainer.stop=window trainer.patience=10 trainer.monitor=objective": (
        "67a8b2ebc9"
    ),
}


@pytest.mark.parametrize(("words", "golden"), GOLDEN.items(), ids=GOLDEN)
def test_packaged_runs_keep_the_identity_that_they_had(words: str, golden: str) -> None:
    config = compose(words.split())
    assert "code" not in config
    assert identity(config) == golden
