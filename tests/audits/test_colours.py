"""Colour refinement against one that is written down as its definition says."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gbench.audits.colours import multisets, refine
from gbench.audits.structure import pieces

Array = np.ndarray


def by_definition(initial: Array, neighbours: list[list[tuple[int, int]]]) -> list[list[Any]]:
    """Colours at each depth as nested tuples, until their number stays."""
    rounds: list[list[Any]] = [[int(colour) for colour in initial]]
    while True:
        last = rounds[-1]
        names: dict[Any, int] = {}
        now = []
        for i, near in enumerate(neighbours):
            seen = (last[i], tuple(sorted(Counter((label, last[j]) for j, label in near).items())))
            now.append(names.setdefault(seen, len(names)))
        if len(set(now)) == len(set(last)):
            return rounds
        rounds.append(now)


def same_partition(one: Any, other: Any) -> bool:
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


def random_graph(seed: int) -> tuple[Array, Array, Array, Array]:
    """Rows of neighbours with labels: directed, with loops, sparse, some nodes isolated."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 30))
    near = random.random((n, n)) < random.choice([0.03, 0.1, 0.3])
    ptr = np.concatenate([[0], near.sum(axis=1).cumsum()])
    indices = near.nonzero()[1].astype(np.int32)
    return random.integers(0, 2, n), ptr, indices, random.integers(0, 2, len(indices))


@pytest.mark.parametrize("seed", range(40))
def test_refines_as_its_definition_says(seed: int) -> None:
    initial, ptr, indices, label = random_graph(seed)
    for labels in (label, None):
        near = [
            [(int(indices[k]), 0 if labels is None else int(labels[k])) for k in range(a, b)]
            for a, b in pairwise(ptr)
        ]
        expected = by_definition(initial, near)
        found = list(refine(initial, ptr, indices, labels))
        assert len(found) == len(expected)
        assert all(map(same_partition, found, expected))
        assert all(set(c) == set(range(max(c) + 1)) for c in map(np.ndarray.tolist, found))


def test_colours_without_any_edge_or_node() -> None:
    assert [
        c.tolist() for c in refine(np.array([5, 3, 5]), np.zeros(4, int), np.zeros(0, int))
    ] == [[1, 0, 1]]
    empty = np.zeros(0, dtype=np.int64)
    assert [c.tolist() for c in refine(empty, np.zeros(1, int), empty)] == [[]]


def test_colours_are_comparable_over_graphs() -> None:
    """Two hexagons, and two triangles: one colour for all; a path has others."""
    cycles = [[(i + 1) % 6, (i - 1) % 6] for i in range(6)]
    triangles = [[6, 7], [5, 7], [5, 6], [9, 10], [8, 10], [8, 9]]
    triangles = [[j + 1 for j in row] for row in triangles]
    path = [[13], [12, 14], [13]]
    rows = [*cycles, *triangles, *path]
    ptr = np.cumsum([0, *map(len, rows)])
    indices = np.array([j for row in rows for j in row])
    *_, stable = refine(np.zeros(15), ptr, indices)
    assert len(set(stable[:12].tolist())) == 1
    assert stable[12] == stable[14] != stable[13]
    assert multisets(stable, np.array([0, 6, 12, 15])).tolist() in ([0, 0, 1], [1, 1, 0])


def test_multisets_count_members_and_not_their_order() -> None:
    colours = np.array([0, 1, 1, 0, 1, 1, 0, 0, 0, 1])
    ranks = multisets(colours, np.array([0, 3, 3, 6, 9, 9, 10]))
    expected = ["011", "", "011", "000", "", "1"]
    assert same_partition(ranks.tolist(), expected)


def test_pieces_do_not_change_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    initial, ptr, indices, label = random_graph(7)
    whole = [c.tolist() for c in refine(initial, ptr, indices, label)]
    monkeypatch.setattr("gbench.audits.colours.pieces", lambda ptr: pieces(ptr, at_once=3))
    assert [c.tolist() for c in refine(initial, ptr, indices, label)] == whole


def test_pieces_cover_every_row_once() -> None:
    ptr = np.array([0, 0, 5, 5, 6, 20, 20, 21])
    found = list(pieces(ptr, at_once=4))
    assert found[0][0] == 0
    assert found[-1][1] == 7
    assert all(a[1] == b[0] for a, b in pairwise(found))
