"""A model's and an experiment's file choose for other groups; lists of encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.errors import UserError

MODEL = """\
# @package _global_
defaults:
  - gcn
  - override /encoding: {encoding}
  - override /batching: neighbours
  - override /trainer: cpu
  - _self_
encoding:
  steps: 7
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "walks.yaml").write_text(MODEL.format(encoding="rwse"))
    return tmp_path


def test_a_model_chooses_and_the_command_line_wins(own: Path) -> None:
    words = ["model=walks", "data=cora"]
    config = compose(words, [own])
    assert config["encoding"]["name"] == "rwse"
    assert config["encoding"]["steps"] == 7  # what the model's file says of its choice
    assert config["batching"]["name"] == "neighbours"
    assert config["trainer"]["accelerator"] == "cpu"
    typed = compose([*words, "encoding=none", "batching=full"], [own])
    assert (typed["encoding"]["name"], typed["batching"]["name"]) == ("none", "full")
    assert compose([*words, "encoding.steps=3"], [own])["encoding"]["steps"] == 3


def test_what_a_model_chooses_counts_in_the_identity(own: Path) -> None:
    words = ["model=walks", "data=cora"]
    chosen = compose(words, [own])
    assert identity(chosen) != identity(compose([*words, "encoding.steps=3"], [own]))
    assert identity(chosen) != identity(compose([*words, "encoding=none"], [own]))
    inline = own / "model" / "inline.yaml"
    target = "gbench.data.encodings.random_walk.return_probabilities"
    said = "# @package _global_\ndefaults: [gcn, _self_]\nencoding: {{_target_: {}, steps: {}}}\n"
    inline.write_text(said.format(target, 2))
    two = compose(["model=inline", "data=cora"], [own])
    inline.write_text(said.format(target, 3))
    assert identity(two) != identity(compose(["model=inline", "data=cora"], [own]))


def test_an_experiment_wins_over_its_model(own: Path) -> None:
    (own / "experiment").mkdir()
    experiment = "# @package _global_\ndefaults:\n  - override /encoding: lappe\n"
    (own / "experiment" / "walks-cora.yaml").write_text(experiment)
    (own / "model" / "walks.yaml").write_text(
        "# @package _global_\ndefaults:\n  - gcn\n  - override /encoding: rwse\n"
    )
    words = ["model=walks", "data=cora"]
    config = compose(words, [own])
    assert config["encoding"]["name"] == "lappe"
    assert config["experiment"] == "walks-cora"
    assert compose([*words, "encoding=rwse"], [own])["experiment"] is None
    assert compose(["model=walks", "data=texas"], [own])["encoding"]["name"] == "rwse"


def test_a_variant_inherits_what_its_base_chooses(own: Path) -> None:
    (own / "model" / "more.yaml").write_text("# @package _global_\ndefaults: [walks, _self_]\n")
    assert compose(["model=more", "data=cora"], [own])["encoding"]["name"] == "rwse"


def test_a_list_of_encodings_has_the_options_of_each() -> None:
    words = ["model=gcn", "data=cora"]
    config = compose([*words, "encoding=[lappe, rwse]", "encoding.lappe.dim=4"])
    encoding = config["encoding"]
    assert encoding["name"] == "lappe+rwse"
    assert list(encoding) == ["name", "lappe", "rwse"]
    assert (encoding["lappe"]["dim"], encoding["rwse"]["steps"]) == (4, 20)
    turned = compose([*words, "encoding=[rwse,lappe]", "encoding.lappe.dim=4"])
    assert identity(turned) != identity(config)  # the columns come in another order
    assert compose([*words, "encoding=[rwse]"]) == compose([*words, "encoding=rwse"])


def test_a_model_chooses_a_list(own: Path) -> None:
    (own / "model" / "walks.yaml").write_text(
        "# @package _global_\ndefaults:\n  - gcn\n  - override /encoding: [lappe, rwse]\n"
        "encoding:\n  rwse:\n    steps: 5\n"
    )
    encoding = compose(["model=walks", "data=cora"], [own])["encoding"]
    assert (encoding["name"], encoding["rwse"]["steps"]) == ("lappe+rwse", 5)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("encoding=[lappe,nope]", "unknown encoding 'nope'"),
        ("encoding=[rwse,rwse]", "rwse is listed more than once"),
        ("encoding=[rwse,none]", "none cannot stand beside others"),
        ("model=[gin,gcn]", "a list may be given of transform and encoding"),
        ("encoding.dim=3", "did you mean 'encoding.lappe.dim'"),
    ],
)
def test_lists_that_are_none(word: str, says: str) -> None:
    words = ["encoding=[lappe,rwse]"] if word.startswith("encoding.") else []
    with pytest.raises(UserError) as caught:
        compose([*words, word])
    assert says in str(caught.value)


def test_a_file_of_a_list_that_names_its_section(own: Path) -> None:
    (own / "encoding").mkdir()
    (own / "encoding" / "mine.yaml").write_text(
        "# @package _global_\nencoding:\n  _target_: mine.encode\n"
    )
    with pytest.raises(UserError, match="leave out that line and the line 'encoding:'"):
        compose(["encoding=[rwse,mine]"], [own])
