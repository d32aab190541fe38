"""Every fault of a loader is found before anything is packed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gbench.data.check import check_source
from gbench.data.source import Graph, Source, Split
from gbench.errors import UserError

EDGES = torch.tensor([[0, 1], [1, 0]])
GRAPH = Graph(torch.ones(2, 3), EDGES, torch.tensor([1]))
CODED = Graph(torch.tensor([[0, 4], [1, 0]]), EDGES, torch.tensor([1]), torch.tensor([[1], [0]]))
SPLIT = Split(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
GOOD = Source([GRAPH] * 3, [SPLIT, SPLIT], 2)
CATEGORIES = Source([CODED] * 3, [SPLIT, SPLIT], 2, (2, 5), (2,))


def with_graph(source: Source, **changes: Any) -> Source:
    first, *rest = source.graphs
    return source._replace(graphs=[first, first._replace(**changes), *rest[1:]])


def with_split(**changes: Any) -> Source:
    return GOOD._replace(splits=[SPLIT, SPLIT._replace(**changes)])


def test_sound_sources_pass(toy: Any) -> None:
    check_source(toy.card(), GOOD)
    check_source(toy.card(), CATEGORIES)
    tasks = with_graph(GOOD, y=torch.tensor([[float("nan")]]))
    labels = [graph._replace(y=torch.tensor([[1.0]])) for graph in tasks.graphs]
    check_source(
        toy.card(loss="bce", metric="rocauc"), tasks._replace(graphs=labels, num_outputs=1)
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (GOOD._replace(graphs=[]), "has no graphs"),
        (with_graph(GOOD, x=None), "graph 1: x is missing"),
        (with_graph(GOOD, y=None), "graph 1: y is missing"),
        (with_graph(GOOD, x=torch.ones(2, 4)), r"graph 1: x has shape \(2, 4\)"),
        (
            with_graph(GOOD, x=torch.full((2, 3), float("nan"))),
            "graph 1: x has values that are not",
        ),
        (with_graph(GOOD, x=torch.ones(2, 3).long()), "graph 1: x holds integers"),
        (with_graph(GOOD, edge_index=EDGES.float()), "graph 1: edge_index holds float32, not"),
        (with_graph(GOOD, x=torch.ones(0, 3)), "graph 1: it has no nodes"),
        (with_graph(GOOD, edge_index=EDGES + 1), "graph 1: edge_index names nodes outside 0..1"),
        (with_graph(GOOD, edge_index=EDGES - 1), "graph 1: edge_index names nodes outside 0..1"),
        (with_graph(GOOD, edge_index=EDGES[0]), "edge_index has shape"),
        (with_graph(GOOD, y=torch.tensor([2])), "graph 1: y has labels outside 0..1"),
        (with_graph(GOOD, y=torch.tensor([0, 1])), r"y has shape \(2,\), expected \(1,\)"),
        (with_graph(GOOD, y=torch.tensor([0.5])), "of integers"),
        (
            with_graph(GOOD, edge_attr=torch.zeros(2, 1).long()),
            "edge_attr and edge_categories must",
        ),
        (
            with_graph(CATEGORIES, x=torch.tensor([[2, 0], [0, 0]])),
            r"outside the categories \(2, 5\)",
        ),
        (
            with_graph(CATEGORIES, edge_attr=torch.tensor([[2], [0]])),
            r"outside the categories \(2,\)",
        ),
        (with_graph(CATEGORIES, edge_attr=torch.tensor([[1]])), "1 rows for 2 edges"),
        (GOOD._replace(splits=[SPLIT]), "has 1 splits, but num_folds is 2"),
        (with_split(test=torch.tensor([0])), "fold 1: the test part shares an item with another"),
        (with_split(train=torch.tensor([0, 0])), "fold 1: the train part repeats"),
        (with_split(valid=torch.tensor([3])), "fold 1: the valid part names items outside 0..2"),
        (with_split(valid=torch.tensor([-1])), "fold 1: the valid part names items outside 0..2"),
        (with_split(valid=torch.tensor([]).long()), "fold 1: the valid part is empty"),
    ],
)
def test_faults_are_named(toy: Any, source: Source, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_source(toy.card(), source)


def test_faults_of_the_level_and_the_loss(toy: Any) -> None:
    with pytest.raises(UserError, match="has 3 graphs, but a link-level dataset has one"):
        check_source(toy.card(level="link", loss="bce", metric="hits@20"), GOOD)
    with pytest.raises(UserError, match=r"y has shape \(1,\), expected \(1, 2\) of floats"):
        check_source(toy.card(loss="bce", metric="rocauc"), GOOD)
    signs = [graph._replace(y=torch.tensor([[-1.0]])) for graph in GOOD.graphs]
    with pytest.raises(UserError, match="y holds -1: labels for loss bce are 0, 1 or NaN"):
        check_source(
            toy.card(loss="bce", metric="rocauc"), GOOD._replace(graphs=signs, num_outputs=1)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": "egde"}, "level is 'egde', allowed are node, graph"),
        ({"direction": "up"}, "direction=up: allowed is max or min"),
        ({"fold": 2}, "has folds 0..1, but fold is 2"),
        ({"fold": -1}, "has folds 0..1, but fold is -1"),
    ],
)
def test_faults_of_a_card(toy: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        toy.card(**change)


def test_a_card_that_lacks_facts() -> None:
    from gbench.data.spec import DataCard

    with pytest.raises(UserError, match="dataset 'mine' does not say its _target_, level, loss"):
        DataCard.from_config({"name": "mine", "metric": "accuracy"})


def test_parts_may_be_shared_only_as_the_card_says(toy: Any) -> None:
    on_test = SPLIT._replace(valid=SPLIT.test)
    all_one = Split(SPLIT.test, SPLIT.test, SPLIT.test)
    sources = {
        "disjoint": GOOD,
        "valid-is-test": GOOD._replace(splits=[on_test, on_test]),
        "all-one": GOOD._replace(splits=[all_one, all_one]),
    }
    for parts in sources:
        for kind, source in sources.items():
            if kind == parts:
                check_source(toy.card(parts=parts), source)
            else:
                with pytest.raises(UserError, match=r"as the split's name says|shares an item"):
                    check_source(toy.card(parts=parts), source)
    leak = GOOD._replace(splits=[on_test, all_one])
    with pytest.raises(UserError, match="fold 1: the valid part shares an item"):
        check_source(toy.card(parts="valid-is-test"), leak)
