"""Twins, against sets of neighbours compared one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable

import numpy as np
import pytest

from gbench.audits import twins
from tests.audits.made import of_nodes

Key = Callable[[int], Hashable]


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, directed edges with loops and repetitions, and labels: many twins of each kind."""
    random = np.random.default_rng(seed)
    features = random.integers(0, 2, (60, 1)).astype(np.float32)
    edges = random.integers(0, 12, (25, 2))  # among few, so that loops and pairs occur
    edges = np.concatenate([edges, np.stack([np.arange(20, 50), np.arange(20, 50) % 3], 1)])
    return features, np.concatenate([edges, [[51, 51], [52, 52]]]), random.integers(0, 2, 60)


@pytest.mark.parametrize("seed", range(4))
def test_every_kind(seed: int) -> None:
    x, edges, y = drawn(seed)
    data = of_nodes(x, edges, y, [])
    sources, targets = defaultdict(set), defaultdict(set)
    for a, b in edges.tolist():
        targets[a].add(b)
        sources[b].add(a)
    near = {i: (sources[i] | targets[i]) - {i} for i in range(60)}

    def joined(i: int, j: int) -> bool:
        return near[i] == near[j] or near[i] | {i} == near[j] | {j}

    def outs(i: int, j: int) -> bool:
        return targets[i] == targets[j]

    def both(i: int, j: int) -> bool:
        return outs(i, j) and sources[i] == sources[j]

    rules = {
        "neighbours": (joined, lambda i: bool(near[i])),
        "out-neighbours": (outs, lambda i: bool(targets[i] - {i})),
        "in- and out-neighbours": (both, lambda i: bool(near[i])),
    }
    found = twins.kinds_of(data)
    assert set(found) == set(twins.KINDS)
    for name, (is_twin, has_some) in rules.items():
        some = [i for i in range(60) if has_some(i)]
        assert {i for i in range(60) if found[name][i] >= 0} == set(some)
        for i in some:
            for j in some:
                assert (found[name][i] == found[name][j]) == (i == j or is_twin(i, j))
        codes = found[f"features + {name}"]
        for i in range(60):
            for j in range(60):
                alike = i == j or (x[i] == x[j] and is_twin(i, j))
                assert (codes[i] == codes[j]) == alike


def test_groups_and_conflicts() -> None:
    codes = np.array([0, 0, 0, 2, 2, 3, -1, -1, 4, 4])
    y = np.array([1, 1, 0, 1, 1, 0, 0, 1, -1, 0])
    assert twins.groups(codes, y) == (7, 3, 1, 3)
    assert twins.groups(np.full(3, -1), np.zeros(3, dtype=int)) == (0, 0, 0, 0)


def test_symmetric_graphs_have_no_directed_kinds() -> None:
    x = np.ones((4, 1), dtype=np.float32)
    data = of_nodes(x, [(0, 1), (1, 0), (0, 2), (2, 0)], [0, 1, 0, 0], [])
    facts = {fact.fact: fact.value for fact in twins.facts(data)}
    assert not any("out-" in name for name in facts)
    assert facts["twins by neighbours"] == 2  # 1 and 2; nothing is said of 3, which has none
    assert facts["conflicting twins by neighbours"] == 2
    assert facts["conflicting duplicate-feature groups"] == 1


def test_several_tasks_conflict_where_any_label_differs() -> None:
    x = np.ones((3, 1), dtype=np.float32)
    y = np.array([[1, 0.0], [1, np.nan], [1, 0]])
    facts = {fact.fact: fact.value for fact in twins.facts(of_nodes(x, [], y, [], "rocauc"))}
    assert facts["conflicting nodes with duplicate features"] == 3
    same = of_nodes(x[:2], [], y[[0, 2]], [], "rocauc")
    assert {f.fact: f.value for f in twins.facts(same)}["conflicting duplicate-feature groups"] == 0


def test_without_labels_nothing_is_said_of_conflicts() -> None:
    data = of_nodes(np.ones((3, 1), dtype=np.float32), [(0, 1), (1, 0)], [-1, -1, -1], [])
    assert not any("conflicting" in fact.fact for fact in twins.facts(data))
