"""Structures of packed graphs against sets of pairs, and equal rows against Python's."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import networkx
import numpy as np
import pytest
import torch

from gbench.audits.connected import components
from gbench.audits.equal_rows import codes_of_rows
from gbench.audits.structure import Structure, structure_of
from gbench.data.source import Graph
from gbench.data.store import pack


def rows(ptr: np.ndarray, indices: np.ndarray) -> list[list[int]]:
    return [indices[a:b].tolist() for a, b in pairwise(ptr)]


def made(seed: int, symmetric: bool) -> tuple[Structure, list[tuple[int, int, int]]]:
    """Three packed graphs with loops and repeated edges, and their edges with labels."""
    random = np.random.default_rng(seed)
    graphs, edges, first = [], [], 0
    for n in (5, 1, 7):
        near = torch.from_numpy(random.integers(0, n, (2, 2 * n)))
        label = torch.from_numpy(random.integers(0, 3, 2 * n))
        if symmetric:
            near, label = torch.cat([near, near.flip(0)], 1), torch.cat([label, label])
        graphs.append(Graph(torch.ones(n, 1), near, torch.zeros(n).long(), label.unsqueeze(1)))
        triples = zip(*(near + first).tolist(), label.tolist(), strict=True)
        edges += [(a, b, c) for a, b, c in triples]
        first += n
    store = pack(graphs, "node")
    assert store.edge_code is not None
    return structure_of(store, store.edge_code.numpy()), edges


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_structure_is_that_of_the_edges(seed: int, symmetric: bool) -> None:
    found, edges = made(seed, symmetric)
    graph = networkx.Graph((a, b) for a, b, _ in edges if a != b)
    graph.add_nodes_from(range(13))
    directed = networkx.DiGraph((a, b) for a, b, _ in edges)
    directed.add_nodes_from(range(13))
    assert rows(found.indptr, found.indices) == [sorted(graph[i]) for i in range(13)]
    assert rows(found.out_ptr, found.out_indices) == [sorted(directed.succ[i]) for i in range(13)]
    assert rows(found.in_ptr, found.in_indices) == [sorted(directed.pred[i]) for i in range(13)]
    assert found.is_symmetric == all(directed.has_edge(b, a) for a, b in directed.edges)
    assert found.graph_of_node.tolist() == [0] * 5 + [1] + [2] * 7
    assert found.node_ptr.tolist() == [0, 5, 6, 13]

    labels: dict[frozenset[int], list[int]] = {}
    for a, b, label in edges:
        labels.setdefault(frozenset((a, b)), []).append(label)
    spans = [
        (min(labels[frozenset((i, j))]), max(labels[frozenset((i, j))]))
        for i in range(13)
        for j in sorted(graph[i])
    ]
    assert found.edge_label is not None
    pairs = set(zip(found.edge_label.tolist(), spans, strict=True))
    assert len(pairs) == len(set(spans)) == found.edge_label.max() + 1
    assert found.num_two_labels == sum(a != b for a, b in spans) // 2


def test_equal_rows_are_found_in_all_matrices_together() -> None:
    random = np.random.default_rng(0)
    one = random.integers(0, 2, (200, 3)).astype(np.float32)
    one[0] = -0.0
    one[1] = 0.0
    other = random.integers(0, 3, (200, 1)).astype(np.uint8)
    other[:2] = 1
    codes = codes_of_rows(one, other).tolist()
    told = [(*a, *b) for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    assert len(set(zip(codes, told, strict=True))) == len(set(told)) == len(set(codes))
    assert codes[0] == codes[1]


def test_rows_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = np.unique

    def all_alike(values: np.ndarray, **options: object) -> object:
        return real(values * (values.ndim > 1), **options)

    monkeypatch.setattr("gbench.audits.equal_rows.np.unique", all_alike)
    codes = codes_of_rows(np.array([[1.5, 2], [3, 4], [1.5, 2]], dtype=np.float32))
    assert codes[0] == codes[2] != codes[1]


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_components_are_those_of_networkx(at_once: int) -> None:
    for seed in range(10):
        found, _ = made(seed, symmetric=False)
        graph = networkx.Graph()
        graph.add_nodes_from(range(found.num_nodes))
        for i, row in enumerate(rows(found.indptr, found.indices)):
            graph.add_edges_from((i, j) for j in row if (i * j) % 3)
        kept = [sorted(graph[i]) for i in range(found.num_nodes)]
        ptr = np.cumsum([0, *map(len, kept)])
        names = components(ptr, np.array([j for row in kept for j in row], dtype=int), at_once)
        expected = {frozenset(part) for part in networkx.connected_components(graph)}
        parts = {frozenset(np.flatnonzero(names == k).tolist()) for k in range(names.max() + 1)}
        assert parts == expected
