"""Measures of homophily: closed forms, PyG's, and the formulas of the papers written out."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
import torch
from torch_geometric.utils import homophily as of_pyg

from gbench.audits import homophily
from tests.audits.made import of_nodes


def told(edges: list[tuple[int, int]], y: list[int]) -> dict[str, float]:
    both = [*edges, *((b, a) for a, b in edges)]
    data = of_nodes(np.ones((len(y), 1), dtype=np.float32), both, y, [])
    return {fact.fact: float(fact.value) for fact in homophily.facts(data)}


def test_two_cliques_joined_by_an_edge() -> None:
    edges = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3)]
    facts = told(edges, [0, 0, 0, 1, 1, 1])
    assert facts["edge homophily"] == pytest.approx(6 / 7)
    assert facts["node homophily"] == pytest.approx((4 + 2 * 2 / 3) / 6)
    assert facts["adjusted homophily"] == pytest.approx((6 / 7 - 1 / 2) / (1 / 2))
    # h_k = 6/7 of both classes, which are half of all nodes
    assert facts["class-insensitive homophily"] == pytest.approx(2 * (6 / 7 - 1 / 2))
    joint = -2 * (3 / 7) * np.log(3 / 7) - 2 * (1 / 14) * np.log(1 / 14)
    assert facts["label informativeness"] == pytest.approx(2 - joint / np.log(2))


def test_a_bipartite_graph_is_heterophilous_and_informative() -> None:
    edges = [(a, b) for a in range(3) for b in range(3, 6)]
    facts = told(edges, [0, 0, 0, 1, 1, 1])
    assert facts == {
        "edge homophily": 0,
        "node homophily": 0,
        "class-insensitive homophily": 0,
        "adjusted homophily": -1,
        "label informativeness": 1,
    }


@pytest.mark.parametrize("seed", range(3))
def test_random_graphs_against_pyg(seed: int) -> None:
    graph = networkx.gnm_random_graph(40, 60, seed=seed)  # some nodes are isolated
    y = np.random.default_rng(seed).integers(0, 4, 40)
    facts = told(list(graph.edges), y.tolist())
    edge_index = torch.tensor(list(graph.to_directed().edges)).t()
    for name, method in {
        "edge homophily": "edge",
        "class-insensitive homophily": "edge_insensitive",
    }.items():
        theirs = of_pyg(edge_index, torch.tensor(y), method=method)
        assert facts[name] == pytest.approx(theirs, abs=1e-6)
    shares = [
        np.mean([y[other] == y[node] for other in graph[node]]) for node in graph if graph[node]
    ]
    assert facts["node homophily"] == pytest.approx(np.mean(shares))  # PyG counts isolated nodes
    # Platonov et al. (2023), equations 2 and 4
    ends = [(y[a], y[b]) for a, b in graph.to_directed().edges]
    p = np.bincount([a for a, _ in ends], minlength=4) / len(ends)
    same = np.mean([a == b for a, b in ends])
    assert facts["adjusted homophily"] == pytest.approx((same - (p**2).sum()) / (1 - (p**2).sum()))
    mutual = sum(
        share * np.log(share / (p[a] * p[b]))
        for a in range(4)
        for b in range(4)
        if (share := ends.count((a, b)) / len(ends))
    )
    single = -sum(share * np.log(share) for share in p if share)
    assert facts["label informativeness"] == pytest.approx(mutual / single)


def test_directed_edges_and_loops_count_once() -> None:
    edges = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 3)]
    data = of_nodes(np.ones((4, 1), dtype=np.float32), edges, [0, 0, 1, 1], [])
    facts = {fact.fact: fact.value for fact in homophily.facts(data)}
    assert facts["edge homophily"] == pytest.approx(2 / 3)
    assert facts["edge homophily, directed"] == pytest.approx(4 / 5)


def test_unlabelled_nodes_are_left_out() -> None:
    edges = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]
    data = of_nodes(np.ones((4, 1), dtype=np.float32), edges, [0, 0, 1, -1], [])
    facts = {fact.fact: fact.value for fact in homophily.facts(data)}
    assert (facts["edge homophily"], facts["node homophily"]) == (0.5, 0.5)


@pytest.mark.parametrize(("edges", "y"), [([], [0, 1]), ([(0, 1)], [-1, 0])])
def test_nothing_is_said_without_edges_between_labelled_nodes(
    edges: list[tuple[int, int]], y: list[int]
) -> None:
    assert told(edges, y) == {}


def test_one_class_has_no_chance_to_correct_for() -> None:
    assert told([(0, 1)], [0, 0]) == {"edge homophily": 1, "node homophily": 1}
