"""From words to configs: all of them, each checked, and composed no more often than needed."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gbench.config.compose import compose
from gbench.config.identity import run_name
from gbench.errors import UserError
from gbench.sweep import points
from gbench.sweep.points import compose_all


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The word lists that were composed."""
    calls: list[list[str]] = []

    def counting(words: list[str], config_dirs: Any) -> Any:
        calls.append(words)
        return compose(words, config_dirs)

    monkeypatch.setattr(points, "compose", counting)
    return calls


def test_the_product_of_all_lists_in_the_order_typed() -> None:
    found = compose_all(["model=gcn,sgc", "data=cora,citeseer", "seed=0..2"])
    names = [(c["model"]["name"], c["data"]["name"], c["seed"]) for c in found]
    assert names == [*product(("gcn", "sgc"), ("cora", "citeseer"), (0, 1, 2))]


def test_derived_configs_are_those_that_would_be_composed(composed: list[list[str]]) -> None:
    found = compose_all(["model=gcn", "data=csbm", "seed=3,1,100", "data.fold=0..2"])
    assert len(composed) == 2
    wanted = [
        compose(["model=gcn", "data=csbm", f"seed={seed}", f"data.fold={fold}"])
        for seed, fold in ((3, 1), (100, 0))
    ]
    assert len(found) == 9
    assert [found[1], found[6]] == wanted
    assert all(config["data"] is not found[0]["data"] for config in found[1:])


def test_a_hundred_seeds_are_composed_twice(composed: list[list[str]]) -> None:
    assert len(compose_all(["model=gcn", "data=cora", "seeds=100"])) == 100
    assert len(composed) == 2


def test_seeds_counts_from_zero_and_folds_from_the_dataset() -> None:
    found = compose_all(["model=gcn", "data=csbm,cora", "seeds=2", "folds=all"])
    seen = [(c["data"]["name"], c["seed"], c["data"]["fold"]) for c in found]
    csbm = [("csbm", seed, fold) for seed in (0, 1) for fold in range(10)]
    assert seen == [*csbm, ("cora", 0, 0), ("cora", 1, 0)]
    assert [c["data"]["fold"] for c in compose_all(["data=csbm", "model=gcn", "folds=3"])] == [
        0,
        1,
        2,
    ]


def test_a_setting_that_follows_the_seed_is_composed_for_each(
    tmp_path: Path, composed: list[list[str]]
) -> None:
    (tmp_path / "model").mkdir()
    text = "# @package _global_\nmodel:\n  _target_: mine.Net\n  start: ${seed}\n"
    (tmp_path / "model" / "follower.yaml").write_text(text)
    found = compose_all(["model=follower", "data=csbm", "seeds=3"], [tmp_path])
    assert [c["model"]["start"] for c in found] == [0, 1, 2]
    assert len(composed) == 5


def test_words_for_the_same_run_make_one_point() -> None:
    found = compose_all(["model=gcn", "data=cora", "model.dropout=0,0.0,0.5", "seed=1,1"])
    assert [run_name(config) for config in found] == [
        run_name(compose(["model=gcn", "data=cora", f"model.dropout={p}", "seed=1"]))
        for p in (0, 0.5)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=gcn,gni", "data=cora"], r"model=gni: unknown model 'gni': did you mean"),
        (["model=gcn", "data=cora,mutag", "batching=neighbours"], "data=mutag: batching"),
        (["model=gcn", "data=cora", "optim.lr=0.1,-1"], r"^optim.lr=-1: allowed is"),
        (["model=gcn", "data=cora", "seed=0,-1"], "seed=-1: allowed is"),
        (["model=gcn", "data=cora", "seed=0,x"], "seed=x: expected a whole number"),
        (["model=gcn", "data=cora", "seed=0,4294967296"], "seed=4294967296: allowed is"),
        (["model=gcn", "data=csbm", "folds=11"], "data.fold=10: csbm has folds 0 to 9"),
        (["model=gcn", "data=cora", "seeds=3", "seed=1"], "say the same twice"),
        (["model=gcn", "data=cora", "seeds=0"], "seeds=0: expected a whole number, at least 1"),
        (["model=gcn", "data=cora", "folds=some"], "folds=some: expected a whole number"),
        (["model=gcn", "model=gin", "data=cora"], "model is given twice"),
        (["seeds=200", "model.dropout=0,0.1", "optim.lr=1..30"], "a sweep of 12,000 points"),
    ],
)
def test_errors_name_the_point(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_all(words)


def test_all_settings_that_cannot_run_are_listed() -> None:
    with pytest.raises(UserError, match="2 settings cannot run") as caught:
        compose_all(["model=gcn,gni,sgg", "data=cora", "seeds=50"])
    assert "model=gni: " in str(caught.value)
    assert "model=sgg: " in str(caught.value)


def test_an_error_of_all_points_is_told_once() -> None:
    with pytest.raises(UserError, match=r"^unknown dataset 'coro'"):
        compose_all(["model=gcn,gin", "data=coro"])


def test_run_folder_is_that_of_a_plain_run(tmp_path: Path) -> None:
    config = compose([f"runs_dir={tmp_path}", "model=gcn", "data=cora"])
    assert os.fspath(points.run_folder(config)) == f"{tmp_path}/{run_name(config)}"
