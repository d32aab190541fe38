"""Statistics of the training part: those asked for, of nothing but the training part."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from gbench.build import described
from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.contracts.part import graph_of
from gbench.data.dataset import Dataset
from gbench.data.source import Graph, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.data.statistics import STATISTICS, asked, with_statistics
from gbench.errors import UserError

CSL = DataCard.from_config(compose(["model=gin", "data=csl"])["data"])
CSBM = DataCard.from_config(compose(["model=gcn", "data=csbm"])["data"])


def degrees(graph: Graph) -> list[int]:
    return torch.bincount(graph.edge_index[1], minlength=graph.x.size(0)).tolist()


def test_of_graphs_all_nodes_of_the_training_graphs_count() -> None:
    dataset = tiny.graphs(CSL)
    found = with_statistics(dataset, [*STATISTICS]).spec.statistics
    graphs = [graph_of(dataset.store, i) for i in dataset.split.train.tolist()]
    seen = [degree for graph in graphs for degree in degrees(graph)]
    assert found["degree_histogram"] == [seen.count(k) for k in range(max(seen) + 1)]
    assert found["mean_degree"] == pytest.approx(sum(seen) / len(seen))
    mean_log = sum(math.log(1 + degree) for degree in seen) / len(seen)
    assert found["mean_log_degree"] == pytest.approx(mean_log)
    assert found["mean_num_nodes"] == pytest.approx(len(seen) / len(graphs))


def test_other_graphs_change_nothing() -> None:
    dataset = tiny.graphs(CSL)
    train, rest = dataset.split.train, torch.cat([dataset.split.valid, dataset.split.test])
    made = [graph_of(dataset.store, i) for i in range(dataset.store.num_graphs)]
    for i in rest.tolist():
        made[i] = Graph(torch.ones(3, 5), torch.tensor([[0, 1, 2], [1, 2, 0]]), made[i].y)
    other = tiny.dataset(CSL, dataset.spec, made, dataset.split)
    assert (
        with_statistics(dataset, [*STATISTICS]).spec == with_statistics(other, [*STATISTICS]).spec
    )
    moved = replace(dataset, split=Split(rest, train, train))
    assert (
        with_statistics(moved, ["mean_degree"]).spec
        != with_statistics(dataset, ["mean_degree"]).spec
    )


def test_of_one_graph_the_training_nodes_count_with_their_degrees_in_it() -> None:
    dataset = tiny.nodes(CSBM)
    found = with_statistics(dataset, ["degree_histogram", "mean_num_nodes"]).spec.statistics
    all_degrees = degrees(graph_of(dataset.store, 0))
    seen = [all_degrees[i] for i in dataset.split.train.tolist()]
    assert found["degree_histogram"] == [seen.count(k) for k in range(max(seen) + 1)]
    assert found["mean_num_nodes"] == tiny.NODES


def test_of_links_all_nodes_count() -> None:
    nodes = graph_of(tiny.nodes(CSBM).store, 0)
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5]])
    graph = Graph(nodes.x, nodes.edge_index, torch.ones(3, 1), pairs=pairs)
    spec, split = DataSpec("link", 1, 5), Split(*torch.arange(3).split(1))
    dataset = tiny.dataset(CSBM, spec, [graph], split)
    found = with_statistics(dataset, ["degree_histogram"]).spec.statistics
    assert sum(found["degree_histogram"]) == tiny.NODES


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("own_statistics")
    module.__file__ = "own_statistics.py"
    monkeypatch.setitem(sys.modules, "own_statistics", module)
    return module


def test_one_of_ones_own_gets_the_training_part(own: Any) -> None:
    def loops(graph: Any, node_ptr: Any, ids: Any) -> dict[str, Any]:
        return {"nodes": ids.numel(), "graphs": node_ptr.numel() - 1, "entries": graph.in_degree}

    own.loops = loops
    found = with_statistics(tiny.graphs(CSL), ["own_statistics.loops"]).spec.statistics
    told = found["own_statistics.loops"]
    assert (told["nodes"], told["graphs"], len(told["entries"])) == (44, 6, 44)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mean_degre"], "did you mean 'mean_degree'? available: degree_histogram, mean_degree"),
        (["own_statistics.none"], "statistics: own_statistics.none is called with (graph,"),
        (["own_statistics.inf"], "own_statistics.inf returned inf: finite numbers are wanted"),
        (["own_statistics.text"], "own_statistics.text returned 'x': finite numbers are wanted"),
    ],
)
def test_what_cannot_be_is_told(names: list[str], message: str, own: Any) -> None:
    own.none, own.inf, own.text = lambda graph: 1, lambda *_: math.inf, lambda *_: ["x"]
    with pytest.raises(UserError) as error:
        with_statistics(tiny.graphs(CSL), names)
    assert message in str(error.value)


@pytest.mark.parametrize("names", ["mean_degree", [1]])
def test_names_are_a_tuple(names: Any) -> None:
    with pytest.raises(UserError, match="a tuple of names is wanted"):
        asked(SimpleNamespace(statistics=names))


def test_a_spec_tells_loss_and_metric() -> None:
    dataset: Dataset = described(tiny.graphs(CSL), {"_target_": "gbench.models.gin.GIN"})
    assert (dataset.spec.loss, dataset.spec.metric) == ("cross-entropy", "accuracy")
    assert dataset.spec.statistics == {}
