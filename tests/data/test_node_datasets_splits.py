"""Drawn splits, connected components, and how node-level predictions are judged."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
import torch

from gbench.data import manage
from gbench.data.loaders.edges import among, both_directions, largest_component
from gbench.data.loaders.splits import of_masks, twenty_and_thirty_per_class, twenty_per_class
from gbench.data.source import Split
from gbench.train.losses import loss_of
from gbench.train.metrics import score

LABELS = np.random.RandomState(0).choice(4, size=3000, p=[0.1, 0.2, 0.3, 0.4])


def counts(part: torch.Tensor) -> list[int]:
    return np.bincount(LABELS[part.numpy()], minlength=4).tolist()


def test_twenty_per_class() -> None:
    split = twenty_per_class(LABELS, seed=3)
    assert counts(split.train) == [20] * 4
    assert (len(split.valid), len(split.test)) == (500, 1000)
    assert torch.cat(split).unique().numel() == 1580
    # the rest is drawn from all classes alike: 20 of each are missing in shares of 10 to 40 %
    share = np.array(counts(torch.cat(split[1:]))) / 1500
    expected = (np.bincount(LABELS) - 20) / (3000 - 80)
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / 1500)


def test_twenty_and_thirty_per_class() -> None:
    split = twenty_and_thirty_per_class(LABELS, seed=3)
    assert counts(split.train) == [20] * 4
    assert counts(split.valid) == [30] * 4
    assert torch.cat(split).sort().values.equal(torch.arange(3000))


@pytest.mark.parametrize(
    ("draw", "first"),
    [
        (twenty_per_class, [[107, 113, 126], [2, 6, 12], [1, 7, 10]]),
        (twenty_and_thirty_per_class, [[107, 113, 126], [12, 67, 75], [0, 1, 2]]),
    ],
)
def test_a_draw_never_changes(draw, first: list[list[int]]) -> None:  # type: ignore[no-untyped-def]
    """These are part of every result: a split drawn otherwise would be another dataset."""
    assert [part[:3].tolist() for part in draw(LABELS, seed=0)] == first
    again = draw(LABELS, seed=0)
    assert all(map(torch.equal, draw(LABELS, seed=0), again))
    assert not torch.equal(draw(LABELS, seed=1).train, again.train)
    assert all(torch.equal(part, part.sort().values) for part in again)


def test_masks() -> None:
    split = of_masks([True, False, False, False], [0, 0, 1, 1], np.array([0, 1, 0, 0], np.uint8))
    assert [part.tolist() for part in split] == [[0], [2, 3], [1]]
    assert isinstance(split, Split)


@pytest.mark.parametrize("seed", range(5))
def test_largest_component(seed: int) -> None:
    graph = networkx.gnm_random_graph(60, 40, seed=seed)
    edge_index = both_directions(torch.tensor(list(graph.edges)).t(), 60)
    nodes = largest_component(edge_index, 60)
    expected = max(networkx.connected_components(graph), key=len)
    assert len(expected) < 60
    assert nodes.tolist() == sorted(expected)
    part = graph.subgraph(expected).to_directed()
    place = {node: i for i, node in enumerate(sorted(expected))}
    renumbered = sorted((place[a], place[b]) for a, b in part.edges)
    assert sorted(map(tuple, among(edge_index, nodes, 60).t().tolist())) == renumbered


def test_isolated_nodes_are_components_too() -> None:
    assert largest_component(torch.empty(2, 0, dtype=torch.int64), 3).numel() == 1


@pytest.mark.parametrize("name", ["ogbn-arxiv", "ogbn-products"])
def test_evaluator_of_ogb(name: str) -> None:
    card = manage.card_of(name)
    torch.manual_seed(0)
    logits, y = torch.randn(500, 40), torch.randint(0, 40, (500,))
    logits[torch.arange(500), y] += 2
    expected = (logits.argmax(dim=1) == y).double().mean().item()
    assert 0.2 < expected < 0.8
    assert score(card, logits, y) == pytest.approx(expected, abs=1e-12)


def test_two_classes_of_nodes_are_judged_by_the_area_under_the_curve() -> None:
    """Against the definition: how often a positive node scores above a negative one."""
    card = manage.card_of("minesweeper")
    torch.manual_seed(0)
    logits, y = torch.randn(200, 1).round(decimals=1), torch.randint(0, 2, (200, 1)).float()
    ahead = logits[y == 1].unsqueeze(1) - logits[y == 0]
    area = (ahead.sign().double().mean().item() + 1) / 2
    assert score(card, logits, y) == pytest.approx(area, abs=1e-9)
    probability = logits.double().sigmoid()
    likelihood = torch.where(y == 1, probability, 1 - probability).log()
    assert loss_of(card, logits, y).item() == pytest.approx(-likelihood.mean().item(), abs=1e-6)
