"""What a search may choose, and what it refuses before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.choices import choices
from gbench.config.compose import Config, compose
from gbench.errors import UserError
from gbench.search.request import read_request
from gbench.search.space import Dimension, check_objective, read_space, setting_words

GCN = ["model=gcn", "data=csbm"]


def space_of(folder: Path, text: str) -> list[Path]:
    (folder / "sweep").mkdir(exist_ok=True)
    (folder / "sweep" / "mine.yaml").write_text(text, encoding="utf-8")
    return [folder]


def test_a_space_is_read_as_it_stands(gcn_on_csbm: Config, tmp_path: Path) -> None:
    text = """
trials: 7
model.hidden_dim: [16, 32]
model.norm: {choices: [none, batch]}
model.num_layers: {low: 2, high: 6, step: 2}
model.dropout: {low: 0, high: 0.8, step: 0.1}
optim.lr: {low: 1.0e-4, high: 0.1, log: true}
"""
    space = read_space(GCN, gcn_on_csbm, "mine", space_of(tmp_path, text))
    assert space.trials == 7
    assert space.dimensions == (
        Dimension("model.hidden_dim", choices=(16, 32)),
        Dimension("model.norm", choices=("none", "batch")),
        Dimension("model.num_layers", low=2, high=6, step=2, whole=True),
        Dimension("model.dropout", low=0, high=0.8, step=0.1),
        Dimension("optim.lr", low=1e-4, high=0.1, log=True),
    )


def test_what_is_typed_is_not_searched(gcn_on_csbm: Config, tmp_path: Path) -> None:
    folders = space_of(tmp_path, "model.hidden_dim: [16, 32]\nmodel.norm: [none, batch]\n")
    space = read_space([*GCN, "model.norm=batch"], gcn_on_csbm, "mine", folders)
    assert [dimension.key for dimension in space.dimensions] == ["model.hidden_dim"]
    with pytest.raises(UserError, match="no setting is left"):
        words = [*GCN, "model.norm=batch", "model.hidden_dim=4"]
        read_space(words, gcn_on_csbm, "mine", folders)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model.hiden_dim: [16, 32]", r"did you mean 'model\.hidden_dim'"),
        ("model.hidden_dim: [16, 0]", r"model\.hidden_dim=0: allowed is a number at least 1"),
        ("model.hidden_dim: {low: 1.5, high: 4}", "low is 1.5, not a whole number"),
        ("model.hidden_dim: {low: 8, high: 4}", "low=8 has to be below high=4"),
        ("model.hidden_dim: {low: 1, high: 4, step: 2}", "no whole steps of 2"),
        ("model.hidden_dim: {low: 1, high: 4, step: 0}", "no whole steps of 0"),
        ("model.dropout: {low: 0.0, high: 1.5}", r"model\.dropout=1\.5: allowed is"),
        ("model.dropout: {low: 0.0, high: 0.5, log: true}", "low=0.0 has no logarithm"),
        ("optim.lr: {low: 0.1, high: 1.0, log: true, step: 0.1}", "has no step"),
        ("optim.lr: {low: 1e-4, high: 1.0}", "low is '1e-4', not a number, such as 1.0e-4"),
        ("optim.lr: {low: .inf, high: 1.0}", "low is inf"),
        ("optim.lr: {low: 0.1}", "needs low and high"),
        ("optim.lr: {low: 0.1, high: 1.0, base: 2}", "'base' is none of"),
        ("optim.lr: {low: 0.1, high: 1.0, log: 1}", "log is true or false"),
        ("optim.lr: {choices: [0.1, 0.2], log: true}", "choices stand alone, without log"),
        ("optim.lr: [0.1]", "at least two values"),
        ("optim.lr: [0.1, 0.10]", "stands there twice"),
        ("optim.lr: [[0.1], [0.2]]", "choices are numbers, words"),
        ("optim.lr: 0.1", "expected a list"),
        ("model.norm: {low: 1, high: 2}", "is no number, such as none"),
        ("seed: {low: 0, high: 9}", "chooses among model, optim"),
        ("data.split: [public, random]", "chooses among model, optim"),
        ("logger: [csv, none]", "chooses among model, optim"),
        ("trials: 0\noptim.lr: [0.1, 0.2]", "trials=0: expected a whole number"),
        ("optim.lr: [0.1, 0.2]\n  x", "not valid YAML"),
    ],
)
def test_a_wrong_space_is_refused_with_its_line(
    gcn_on_csbm: Config, tmp_path: Path, line: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_space(GCN, gcn_on_csbm, "mine", space_of(tmp_path, line))


def test_a_model_without_a_space_is_told_how_to_name_one() -> None:
    with pytest.raises(UserError, match="sweep=NAME names one; gat has none of its own"):
        words = ["model=gat", "data=csbm"]
        read_space(words, compose(words), None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gcn", GCN),
        ("sgc", ["model=sgc", "data=csbm"]),
        ("dagnn", ["model=dagnn", "data=csbm"]),
        ("gin", ["model=gin", "data=digits"]),
        ("nsd", ["model=diag-nsd", "data=csbm"]),
        ("nsd", ["model=od-nsd", "data=csbm"]),
        ("nsd", ["model=gen-nsd", "data=csbm"]),
    ],
    ids=["gcn", "sgc", "dagnn", "gin", "diag-nsd", "od-nsd", "gen-nsd"],
)
def test_each_packaged_space_fits_its_models(name: str, words: list[str]) -> None:
    assert read_space(words, compose(words), name).dimensions
    assert {"gcn", "sgc", "dagnn", "gin", "nsd"} == {*choices("sweep")}


def test_sgc_is_searched_as_its_authors_did() -> None:
    words = ["model=sgc", "data=cora"]
    space = read_space(words, compose(words), None)
    decay = Dimension("optim.weight_decay", low=1e-10, high=1e-4, log=True)
    assert (space.trials, space.dimensions) == (60, (decay,))


def test_values_reach_the_config_as_they_are() -> None:
    values = {"optim.lr": 1.2345678901234567e-05, "model.norm": "batch", "model.hidden_dim": 7}
    config = compose([*GCN, *setting_words(values)])
    assert config["optim"]["lr"] == 1.2345678901234567e-05
    assert (config["model"]["norm"], config["model"]["hidden_dim"]) == ("batch", 7)


@pytest.mark.parametrize(
    "words",
    [["data=mutag", "data.split=gin-10-fold-selects-on-test"], ["data=sr25"]],
    ids=["valid-is-test", "all-one"],
)
def test_a_search_never_validates_on_test_data(words: list[str]) -> None:
    config = compose(["model=gin", *words])
    with pytest.raises(UserError, match="a search would choose by them"):
        check_objective(config)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("pruner=medan", "unknown pruner 'medan': did you mean 'median'"),
        ("seed=0..3", r"seed=0\.\.3: a search has one value.*seeds="),
        ("model.num_layers=2,3", "a search has one value"),
        ("trials=none", "trials=none: expected a whole number"),
        ("sweep=gnc", "unknown search space 'gnc'"),
        ("folds=99", "csbm has folds 0 to 9"),
    ],
)
def test_wrong_words_are_refused(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_request([*GCN, word], [])


def test_one_study_for_one_question() -> None:
    """More trials, other seeds of the best and other workers go on with it; nothing else does."""
    sgc = ["model=sgc", "data=csbm"]
    first = read_request(sgc, []).folder
    same = ["trials=99", "seeds=5", "jobs=2", "pruner=none", "sweep=sgc"]
    assert read_request([*sgc, *same], []).folder == first
    for word in ("seed=1", "data.fold=1", "model.hops=3"):
        assert read_request([*sgc, word], []).folder != first
