"""model=label-propagation: by hand, as a quotient, and real sets against the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.source import Graph, Split
from gbench.data.spec import DataSpec
from gbench.floors.answering import FloorTask
from gbench.floors.label_propagation import LabelPropagation
from gbench.floors.running import build_floor
from gbench.floors.shown import Shown
from tests.floors.test_contract import card


def path(y: torch.Tensor, metric: str, loss: str) -> tuple[LabelPropagation, Shown]:
    """0 - 1 - 2 - 3 and 4 alone, stored one way, with a loop and an edge that comes twice."""
    edges = torch.tensor([[0, 1, 2, 2, 1], [1, 2, 3, 3, 1]])
    split = Split(torch.tensor([0, 3]), torch.tensor([1]), torch.tensor([2, 4]))
    spec = DataSpec("node", 2 if y.ndim == 1 else 1, 1)
    graph = Graph(torch.zeros(5, 1), edges, y)
    dataset = tiny.dataset(card("node", metric, loss), spec, [graph], split)
    return LabelPropagation(spec), Shown.of(dataset, 0)


def answers(floor: LabelPropagation, shown: Shown, alpha: float, rounds: int) -> np.ndarray:
    for setting, fit in floor.candidates(shown):
        if setting == {"alpha": alpha, "rounds": rounds}:
            return fit()(np.arange(5))
    raise AssertionError("no such setting")


@pytest.mark.parametrize("rounds", [1, 2, 50])
def test_rounds_are_those_of_dense_matrices(rounds: int) -> None:
    floor, shown = path(torch.tensor([1, 0, 0, 0, 1]), "accuracy", "cross-entropy")
    joined = np.zeros((5, 5))
    for u, v in ((0, 1), (1, 2), (2, 3)):
        joined[u, v] = joined[v, u] = 1
    root = np.array([1, 2, 2, 1, np.inf]) ** -0.5
    smooth = root[:, None] * joined * root
    given = np.zeros((5, 2))
    given[0, 1] = given[3, 0] = 1
    spread = given
    for _ in range(rounds):
        spread = 0.9 * smooth @ spread + 0.1 * given
    total = spread.sum(1, keepdims=True)
    expected = np.where(total > 0, spread / np.maximum(total, 1e-300), 0.5)
    np.testing.assert_allclose(answers(floor, shown, 0.9, rounds), expected, atol=1e-12)
    assert (answers(floor, shown, 0.9, rounds)[4] == 0.5).all()  # what no label reaches: shares


def test_numbers_are_weighted_means_and_elsewhere_the_median() -> None:
    y = torch.tensor([[2.0], [9.0], [9.0], [6.0], [9.0]])
    said = answers(*path(y, "mae", "l1"), 0.5, 1).ravel()
    assert said[0] == 2 and said[3] == 6 and said[4] == 4
    assert said[1] == 2 and said[2] == 6  # the other end is not reached yet
    later = answers(*path(y, "mae", "l1"), 0.5, 5).ravel()
    assert 2 < later[1] < 4 < later[2] < 6


@pytest.mark.parametrize(("data", "split"), [("texas", "geom-gcn"), ("cora", "public")])
def test_fifty_rounds_score_what_the_reference_says(
    data: str, split: str, data_dir: Path, shared_cache: Path, reference: Callable
) -> None:
    places = [f"data_dir={data_dir}", f"cache_dir={shared_cache}"]
    config = compose(["model=label-propagation", f"data={data}", f"data.split={split}", *places])
    floor, dataset = build_floor(config)
    for setting, fit in floor.candidates(Shown.of(dataset, 0)):
        if setting == {"alpha": 0.9, "rounds": 50}:
            test = FloorTask(floor, dataset, fit()).evaluate("test")
            known = float(reference(data)[split, 0, "label propagation"])
            assert 100 * test == pytest.approx(known, abs=1e-3)
            return
    raise AssertionError("no such setting")
