"""Curvature profiles against closed forms, and a dense linear program with networkx's distances."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from gbench.contracts import tiny
from gbench.data.encodings import curvature
from gbench.data.encodings.curvature import profile
from gbench.data.encodings.transport import cheapest
from gbench.data.source import Graph
from gbench.data.store import pack
from gbench.errors import UserError


def profile_of(there: nx.Graph, kind: str = "ollivier") -> np.ndarray:
    """Shapes: → (n, 5) float64."""
    there = nx.convert_node_labels_to_integers(there)
    edges = torch.tensor([*there.edges()], dtype=torch.int64).view(-1, 2).t()
    graph = Graph(torch.ones(len(there), 1), torch.cat([edges, edges.flip(0)], 1), torch.zeros(1))
    return profile(*pack([graph]).union(), curvature=kind).double().numpy()


def transport(cost: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> float:
    a, b = cost.shape
    sums = np.concatenate([np.kron(np.eye(a), np.ones(b)), np.kron(np.ones(a), np.eye(b))])
    return float(linprog(cost.ravel(), A_eq=sums, b_eq=np.concatenate([supply, demand])).fun)


def curvature_of(there: nx.Graph, u: int, v: int, far: dict[int, dict[int, int]]) -> float:
    one, other = [*there[u]], [*there[v]]
    cost = np.array([[far[x][y] for y in other] for x in one], float)
    return 1 - transport(cost, np.full(len(one), 1 / len(one)), np.full(len(other), 1 / len(other)))


def statistics(values: list[float]) -> list[float]:
    if not values:
        return [0.0] * 5
    return [min(values), max(values), np.mean(values), np.std(values), np.median(values)]


RANDOM = {
    "sparse": lambda: nx.gnm_random_graph(30, 45, seed=0),
    "dense": lambda: nx.gnm_random_graph(14, 50, seed=1),
    "with hubs": lambda: nx.barabasi_albert_graph(40, 2, seed=2),
    "cliques": lambda: nx.ring_of_cliques(3, 5),
    "petersen": nx.petersen_graph,
}


@pytest.mark.parametrize("name", RANDOM)
def test_it_is_the_optimum_of_a_dense_linear_program(name: str) -> None:
    there = RANDOM[name]()
    far = dict(nx.all_pairs_shortest_path_length(there))
    values = {frozenset(edge): curvature_of(there, *edge, far) for edge in there.edges()}
    expected = [statistics([values[frozenset((u, v))] for v in there[u]]) for u in there]
    np.testing.assert_allclose(profile_of(there), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        *((nx.complete_graph(n), (n - 2) / (n - 1)) for n in (2, 3, 4, 9)),
        *((nx.cycle_graph(n), 0.0) for n in (4, 5, 6, 11)),
        (nx.star_graph(7), 0.0),
        (nx.hypercube_graph(4), 0.0),
        (nx.complete_bipartite_graph(3, 5), 0.0),
        *((nx.balanced_tree(r, 4), None) for r in (2, 3)),
    ],
)
def test_closed_forms(there: nx.Graph, expected: float | None) -> None:
    """Of a tree -2 (1 - 1/deg u - 1/deg v)₊ (Jost and Liu, 2014)."""
    found = profile_of(there)
    if expected is not None:
        np.testing.assert_allclose(found[:, [0, 1, 2, 4]], expected, atol=1e-6)
        np.testing.assert_allclose(found[:, 3], 0, atol=1e-6)
        return
    rows = [
        statistics([-2 * max(0, 1 - 1 / there.degree[u] - 1 / there.degree[v]) for v in there[u]])
        for u in there
    ]
    np.testing.assert_allclose(found, rows, atol=1e-6)


@pytest.mark.parametrize("seed", range(30))
def test_the_transport_is_exact(seed: int) -> None:
    rng = np.random.RandomState(seed)
    a, b = rng.randint(1, 9, 2)
    cost = rng.randint(0, 6, (a, b)).astype(np.int64)
    supply = rng.randint(0, 7, a).astype(np.int64)
    demand = rng.multinomial(supply.sum(), np.ones(b) / b).astype(np.int64)
    expected = transport(cost.astype(float), supply, demand)
    assert cheapest(cost, supply.copy(), demand.copy()) == pytest.approx(expected, abs=1e-7)


def test_forman_is_told_by_degrees_and_triangles() -> None:
    there = nx.gnm_random_graph(20, 60, seed=3)
    there.add_node(20)
    for kind, each in (("forman", 0), ("forman-3", 3)):
        values = {
            frozenset((u, v)): 4
            - there.degree[u]
            - there.degree[v]
            + each * len([*nx.common_neighbors(there, u, v)])
            for u, v in there.edges()
        }
        expected = [statistics([values[frozenset((u, v))] for v in there[u]]) for u in there]
        np.testing.assert_allclose(profile_of(there, kind), expected, atol=1e-5)


def test_directions_loops_and_edges_twice_make_no_difference() -> None:
    edges = torch.tensor([[0, 1, 1, 2, 3, 3, 0], [1, 0, 2, 0, 0, 3, 1]])
    simple = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]])

    def found(edge_index: Tensor) -> Tensor:
        graph = Graph(torch.ones(4, 1), edge_index, torch.zeros(1))
        return profile(*pack([graph]).union(), curvature="ollivier")

    assert torch.equal(found(edges), found(torch.cat([simple, simple.flip(0)], 1)))


def test_what_is_hopeless_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "MOST_STEPS", 1e6)
    says = r"up to 99 neighbours .*4,950 edges .*hours of a core: take encoding\.curvature=forman"
    with pytest.raises(UserError, match=says):
        profile_of(nx.complete_graph(100))
    assert profile_of(nx.complete_graph(100), "forman").min() == 4 - 2 * 99
    with pytest.raises(UserError, match="allowed is one of ollivier, forman, forman-3"):
        profile_of(nx.complete_graph(3), "ricci")


def test_graphs_do_not_see_each_other() -> None:
    graphs = tiny.connected_and_not()
    together = profile(*pack(graphs).union(), curvature="ollivier")
    alone = [profile(*pack([graph]).union(), curvature="ollivier") for graph in graphs]
    assert torch.equal(together, torch.cat(alone))
