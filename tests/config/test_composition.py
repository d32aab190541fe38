"""Typed values are set as Hydra itself sets them, and Hydra composes once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf, open_dict

from gbench.choices import choices
from gbench.config import composition
from gbench.config.compose import compose
from gbench.config.composition import Composition
from gbench.config.identity import same_setting
from gbench.errors import UserError

GCN = {"model": "gcn", "data": "cora"}

VALUES = (
    ["model.dropout=0.3", "model.dropout=0.4"],
    ["seed=3", "model.hidden_dim=8.0", "optim.lr=1e-3"],
    ["model.readout='a, b'", 'runs_dir="it\'s"', "data_dir=/a b/c"],
    ["+model.extra=1", "++model.extra=2", "++model.dropout=0"],
    ["+model.extra={a:{b:[1,'2',null,true]}}", "model.extra.a.b=[3]"],
    ["+model.levels=[node]"],
    ["+model.deep.er.still=1"],
    ["~model.dropout"],
    ["~model.hidden_dim=64", "~model.dropout=0.5"],
    ["model.dropout=${optim.lr}", "optim.lr=0.25"],
    ["model.readout=${seed}${trials}", "model.norm=\\${seed}", "seed=7"],
    ["data.statistics={}", "+data.statistics.new=1"],
    ["seed=${trials}", "trials=${seed}", "trials=4"],  # a circle that is opened
    ["model.dropout=null", "model.readout=", "model.norm=''"],
    ["model.hidden_dim=int(3.7)", "model.dropout=sort(3,1)", "trials=tag(2)"],
    # and what it refuses
    ["model.no_such=1"],
    ["+model.hidden_dim=3"],
    ["~model.no_such"],
    ["~model.hidden_dim=-1"],
    ["model.hidden_dim.x=1"],
    ["model.dropout=1,2"],
    ["model.dropout=choice(1,2)"],
    ["model.dropout=range(1,5)"],
    ["model.dropout=${"],
    ["model.dropout=${nothing.there}"],
    ["model.dropout=[1"],
    ["model@here=gcn"],
    ["model.dropout@here=1"],
)


def by_hydra(picks: dict[str, str], values: list[str]) -> Any:
    words = [f"{group}={name}" for group, name in picks.items()]
    with hydra.initialize_config_module("gbench.conf", version_base="1.3"):
        composed = hydra.compose("train", [*words, *values], return_hydra_config=True)
    with open_dict(composed):
        del composed["hydra"]
    return OmegaConf.to_container(composed, resolve=True)


@pytest.mark.parametrize("values", VALUES, ids=" ".join)
def test_typed_values_are_set_as_hydra_sets_them(values: list[str]) -> None:
    try:
        expected = by_hydra(GCN, values)
    except Exception:
        with pytest.raises(UserError):
            typed(values)
        return
    assert typed(values) == expected


def typed(values: list[str]) -> Any:
    made = Composition(GCN, [], ())
    made.type(values)
    made.plain()  # where what cannot be resolved is told
    return OmegaConf.to_container(made.composed, resolve=True)


@pytest.mark.parametrize(
    "words",
    [
        ["model=gcn", "data=cora"],
        ["model=gcn", "data=cora", "optim.lr=0.02", "seed=3", "~model.dropout"],
        ["experiment=gcn-cora", "trainer=cpu", "optim.lr=0.02"],
        ["experiment=gcn-cora", "encoding=rwse", "data.split=geom-gcn"],
    ],
    ids=" ".join,
)
def test_hydra_composes_once(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*args: Any, original: Any = hydra.compose, **options: Any) -> Any:
        calls.append(args)
        return original(*args, **options)

    monkeypatch.setattr(hydra, "compose", counted)
    composition._of_own_files.cache_clear()
    first = compose(words)
    assert len(calls) == 1
    other = compose([*words, "+model.extra=[1]", "++optim.lr=7.0"])
    assert (other["model"]["extra"], other["optim"]["lr"]) == ([1], 7.0)
    assert compose(words) == first  # what was typed in between is not in it
    assert len(calls) == 1


def test_files_of_ones_own_are_read_for_each_config(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    for epochs in (3, 4):
        (tmp_path / "trainer" / "mine.yaml").write_text(f"max_epochs: {epochs}\n")
        assert compose(["trainer=mine"], [tmp_path])["trainer"]["max_epochs"] == epochs


def test_the_experiment_that_is_kept_is_that_of_the_experiment_composed_alone() -> None:
    """The choices that the files state tell the same as a composition of each."""
    experiments = [*choices("experiment")][::18]
    picks = (["trainer=cpu"], ["trainer=debug"], ["trainer=ddp", "encoding=none"],
             ["encoding=lappe"], ["batching=full", "logger=none"], ["trainer=auto", "seed=2"],
             ["trainer=cpu", "optim.lr=0.5"])  # fmt: skip
    for name, words in zip(experiments, picks * 9, strict=False):
        alone = compose([f"experiment={name}"])
        config = compose([f"experiment={name}", *words])
        assert config["experiment"] == (name if same_setting(config, alone) else None), words


def test_another_trainer_that_says_the_same_keeps_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "same.yaml").write_text("# As published\nmax_epochs: 200\n")
    words = ["experiment=gcn-cora", "trainer=same"]
    published = compose(["experiment=gcn-cora"])["trainer"]["max_epochs"]
    assert published == 200
    assert compose(words, [tmp_path])["experiment"] == "gcn-cora"
    (tmp_path / "trainer" / "same.yaml").write_text("# Longer\nmax_epochs: 201\n")
    assert compose(words, [tmp_path])["experiment"] is None
