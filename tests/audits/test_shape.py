"""Sizes, shapes and parts against values computed without gbench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gbench.audits import parts, shape


def facts(data: Any) -> list[Any]:
    return [*shape.facts(data), *parts.facts(data)]


OF_NODES = [
    "edge entries in file",
    "nodes",
    "directed edges, unique",
    "self-loops",
    "reciprocal pairs",
    "directed",
    "edges",
    "components",
    "largest component",
    "maximum degree",
    "isolated nodes",
    "nodes without (in|out)-edges",
    "classes",
    "class counts",
    "features",
    "all-zero feature rows",
    "unused feature columns",
    "(train|valid|test) nodes",
    "one test node",
    "majority rate.*",
    "constant baseline.*",
    "classes (in test, )?not in train.*",
    "test nodes of classes not in train.*",
    "all-zero (train|test) rows.*",
    "nodes in no part.*",
    "nodes never tested",
    "nodes tested in several folds",
]
OF_GRAPHS = [
    "graphs( in no test fold| in two test folds| without edges)?",
    "(train|test) graphs",
    "(nodes|edges), (mean|minimum and maximum)",
    "isolated nodes",
    "graphs with an isolated node",
    "disconnected graphs",
    "forests",
    "classes",
    "class counts",
    "majority rate",
    "constant (baseline|score).*",
    "tasks",
    "label combinations",
    "missing labels",
    "positives?( rates?)?",
    "target, .*",
    "(median|mean) baseline",
    "median of the part itself",
]


@pytest.mark.parametrize(
    "name", ["cora", "citeseer", "texas", "cornell", "chameleon", "actor", "minesweeper"]
)
def test_shapes_of_node_sets_are_those_of_the_reference(
    name: str, real: Callable[..., Any], agrees: Callable[..., int]
) -> None:
    split = "platonov" if name == "minesweeper" else "geom-gcn"
    found = facts(real(name, split if name in ("cora", "citeseer") else ""))
    told = OF_NODES[name == "minesweeper" :]  # whose loader leaves all entries as they are
    assert agrees(name, found, told, ["", split]) > 20


@pytest.mark.parametrize("name", ["mutag", "proteins", "enzymes", "imdb-binary"])
def test_shapes_of_tu_sets_are_those_of_the_reference(
    name: str, ten_fold_idx: Callable[[str], Any], agrees: Callable[..., int]
) -> None:
    assert (
        agrees(name, facts(ten_fold_idx(name)), OF_GRAPHS + OF_NODES[:1], ["", "10fold_idx"]) > 20
    )


@pytest.mark.parametrize("name", ["csl", "exp", "sr25", "ogbg-molhiv"])
def test_shapes_of_other_graph_sets_are_those_of_the_reference(
    name: str, real: Callable[..., Any], agrees: Callable[..., int]
) -> None:
    data = real(name)
    splits = ["", "train", "valid", "test", data.card.split]
    assert agrees(name, facts(data), OF_GRAPHS, splits) > 10


def test_of_many_folds_the_first_are_audited(real: Callable[..., Any]) -> None:
    data = real("cora", "random")
    assert len(data.splits) == 10
    assert data.skipped == {"folds 10 to 99": "of 100 folds the first 10 are audited"}


@pytest.mark.parametrize(("split", "seen"), [("geom-gcn", "yes"), ("geom-gcn-undirected", "no")])
def test_directions_are_those_of_the_file_and_it_is_told_whether_training_sees_them(
    real: Callable[..., Any], split: str, seen: str
) -> None:
    told = {fact.fact: fact.value for fact in shape.facts(real("texas", split))}
    assert (told["directed"], told["directed, in training"]) == ("yes", seen)
