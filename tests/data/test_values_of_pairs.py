"""Walks, distances and resistances against dense float64 formulas and networkx."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.encodings import by_graph, resistance, walk_pairs
from gbench.data.encodings.distances import distances
from gbench.data.encodings.random_walk import return_probabilities
from gbench.data.encodings.resistance import resistances
from gbench.data.encodings.walk_pairs import probabilities
from gbench.data.load import load
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import pack


def graph_of(edges: Tensor, size: int) -> Graph:
    return Graph(torch.ones(size, 1), edges, torch.zeros(1))


def drawn(*, undirected: bool) -> list[Graph]:
    """Random graphs up to 90 nodes, some with loops, and edges that stand there twice."""
    made = []
    for seed, (size, edges) in enumerate(
        ((90, 130), (1, 0), (7, 0), (30, 25), (12, 60), (90, 140))
    ):
        rng = np.random.RandomState(seed)
        ends = rng.randint(size, size=(2, edges))
        if undirected:
            ends = np.concatenate([ends, ends[::-1]], 1)
        made.append(graph_of(torch.from_numpy(ends), size))
    return made


def of_each(values: Tensor, graphs: list[Graph]) -> list[np.ndarray]:
    """Shapes: (Q, K) → one (n, n, K) float64 a graph."""
    sizes = [graph.x.size(0) for graph in graphs]
    parts = values.double().split([size**2 for size in sizes])
    return [part.view(n, n, -1).numpy() for part, n in zip(parts, sizes, strict=True)]


def adjacency(graph: Graph) -> np.ndarray:
    """How many edges lead from j to i, at [i, j]."""
    size = graph.x.size(0)
    dense = np.zeros((size, size))
    np.add.at(dense, tuple(graph.edge_index.flip(0).numpy()), 1.0)
    return dense


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("at_once", [1, 10**6])
def test_walks_are_powers_of_the_mean_over_in_neighbours(
    undirected: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_graph, "PAIRS_AT_ONCE", at_once)
    graphs = drawn(undirected=undirected)
    found = of_each(probabilities(*pack(graphs).union(), steps=7), graphs)
    for graph, values in zip(graphs, found, strict=True):
        dense = adjacency(graph)
        mean = dense / np.maximum(dense.sum(1, keepdims=True), 1)
        expected = np.stack([np.linalg.matrix_power(mean, k) for k in range(8)], 2)
        np.testing.assert_allclose(values, expected, atol=1e-7)
        assert np.array_equal(values[:, :, 0], np.eye(len(dense)))
        if undirected:  # no walk ends but where it begins
            sums = values[dense.sum(1) > 0].sum(1)
            np.testing.assert_allclose(sums, 1.0, atol=1e-6)


def test_their_diagonal_is_the_encoding_of_nodes() -> None:
    graphs = drawn(undirected=True)
    union = pack(graphs).union()
    walks = of_each(probabilities(*union, steps=5), graphs)
    diagonal = np.concatenate([np.diagonal(values).T[:, 1:] for values in walks])
    np.testing.assert_allclose(diagonal, return_probabilities(*union, steps=5), atol=1e-6)


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("most", [1, 3, 90])
def test_distances_are_those_of_networkx(undirected: bool, most: int) -> None:
    graphs = drawn(undirected=undirected)
    union = pack(graphs).union()
    found = of_each(distances(*union, max=most, one_hot=False), graphs)
    columns = of_each(distances(*union, max=most, one_hot=True), graphs)
    for graph, values, hot in zip(graphs, found, columns, strict=True):
        size = graph.x.size(0)
        expected = np.full((size, size), most + 1)
        there = nx.DiGraph(graph.edge_index.t().tolist())
        there.add_nodes_from(range(size))
        for sender, reached in nx.all_pairs_shortest_path_length(there):
            for receiver, steps in reached.items():
                expected[receiver, sender] = min(steps, most)
        assert np.array_equal(values[:, :, 0], expected)
        assert hot.shape == (size, size, most + 2) and np.array_equal(hot.argmax(2), expected)
        assert np.array_equal(hot.sum(2), np.ones((size, size)))


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("at_once", [1, 10**6])
def test_resistances_are_those_of_the_pseudo_inverse(
    undirected: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resistance, "DENSE_ENTRIES", at_once)
    graphs = drawn(undirected=undirected)
    found = of_each(resistances(*pack(graphs).union()), graphs)
    for graph, values in zip(graphs, found, strict=True):
        size = graph.x.size(0)
        there = nx.Graph(graph.edge_index.t().tolist())
        there.add_nodes_from(range(size))
        there.remove_edges_from(nx.selfloop_edges(there))
        inverse = np.linalg.pinv(nx.laplacian_matrix(there, range(size)).toarray().astype(float))
        own = np.diagonal(inverse)
        expected = own[:, None] + own[None] - 2 * inverse
        for component in nx.connected_components(there):
            outside = [node for node in range(size) if node not in component]
            expected[np.ix_([*component], outside)] = size
        np.testing.assert_allclose(values[:, :, 0], expected, atol=1e-5)


def test_of_a_tree_the_resistance_is_the_distance_and_of_a_cycle_less() -> None:
    tree = nx.random_labeled_tree(40, seed=0)
    edges = torch.tensor([*tree.edges()]).t()
    both = torch.cat([edges, edges.flip(0)], 1)
    ring = torch.stack([torch.arange(9), (torch.arange(9) + 1) % 9])
    union = pack([graph_of(both, 40), graph_of(ring, 9)]).union()
    of_tree, of_ring = resistances(*union).split([1600, 81])
    steps = distances(*union, max=40, one_hot=False)[:1600]
    torch.testing.assert_close(of_tree, steps, atol=1e-5, rtol=0)
    apart = torch.arange(9.0)
    torch.testing.assert_close(of_ring[:9, 0], apart * (9 - apart) / 9, atol=1e-6, rtol=0)


def test_in_a_directed_path_only_later_nodes_are_reached() -> None:
    """Walks lead from a receiver to its senders, paths from a sender to its receivers."""
    path = graph_of(torch.tensor([[0, 1], [1, 2]]), 3)
    union = pack([path]).union()
    steps = distances(*union, max=9, one_hot=False).view(3, 3)
    assert steps.tolist() == [[0, 10, 10], [1, 0, 10], [2, 1, 0]]
    walks = probabilities(*union, steps=2).view(3, 3, 3)
    assert walks[2].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert resistances(*union).view(3, 3).tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]


@pytest.mark.data
def test_no_pair_of_a_strongly_regular_graph_tells_which_graph_it_is(
    data_dir: Path, shared_cache: Path
) -> None:
    """Of SR25, walks, distances and resistances are the same but for the order of pairs."""
    card = DataCard.from_config(compose(["data=sr25"])["data"])
    store = load(card, data_dir, shared_cache).store
    union = store.union()
    walks, steps = probabilities(*union, steps=20), distances(*union, max=5, one_hot=False)
    for values in (walks, steps, resistances(*union)):
        kinds = [
            {tuple((1e5 * row).round().tolist()) for row in values[first:last].double()}
            for first, last in pairwise(store.first_pair.tolist())
        ]
        assert len(kinds) == 15 and all(kind == kinds[0] and len(kind) == 3 for kind in kinds)


def test_blocks_of_a_large_graph_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert walk_pairs.BLOCK < 90  # so that the graphs of `drawn` have several
    graphs = tiny.connected_and_not()
    together = probabilities(*pack(graphs).union(), steps=3)
    alone = [probabilities(*pack([graph]).union(), steps=3) for graph in graphs]
    assert torch.equal(together, torch.cat(alone))
