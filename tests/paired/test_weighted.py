"""Metrics of weighted items are those of training, of the items repeated as often as they weigh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gbench.metrics import METRICS, find
from gbench.paired.weighted import average_precision, hits, rocauc, weighted
from gbench.predictions.predictions import Predictions
from gbench.train.metrics import value_of

Said = Callable[..., Predictions]
KINDS = [(name, labels) for name, metric in METRICS.items() for labels in metric.labels]
KINDS += [("hits@1", "links"), ("hits@20", "links"), ("hits@500", "links")]


def _made_up(labels: str, size: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Labels and probabilities, with many equal scores, and a label missing here and there."""
    if labels == "classes":
        odds = rng.random((9, 3))[rng.integers(0, 9, size)]
        return rng.integers(0, 3, size), odds / odds.sum(1, keepdims=True)
    columns = 1 if labels == "links" else 3
    scores = rng.integers(1, 12, (size, columns)) / 12
    true = rng.normal(size=scores.shape) if labels == "numbers" else rng.random(scores.shape) < 0.4
    true = np.asarray(true, dtype=float)
    if labels != "links":
        true[rng.random(scores.shape) < 0.2] = np.nan
    return true, scores


def _logits(said: Predictions) -> torch.Tensor:
    if said.labels == "numbers":
        return torch.from_numpy(said.scores)
    if said.labels == "classes":
        return torch.from_numpy(np.log(said.scores))
    return torch.from_numpy(np.log(said.scores / (1 - said.scores)))


@pytest.mark.parametrize(("metric", "labels"), KINDS)
def test_weights_are_repetitions(said: Said, metric: str, labels: str) -> None:
    rng = np.random.default_rng(len(metric))
    given = said(metric, labels, *_made_up(labels, 80, rng))
    weights = np.stack([np.ones(80), *rng.multinomial(80, np.full(80, 1 / 80), size=4)])
    logits, y = _logits(given), torch.from_numpy(given.true)
    for value, row in zip(weighted(given)(weights), weights, strict=True):
        ids = torch.from_numpy(np.repeat(np.arange(80), row.astype(int)))
        theirs = value_of(find(metric), logits[ids], y[ids])
        assert value == pytest.approx(theirs, rel=1e-6, nan_ok=True)


def test_what_is_undefined_is_nan(said: Said) -> None:
    one_class = np.array([1.0, 1.0, 1.0, 0.0])
    score = np.array([0.1, 0.5, 0.5, 0.9])
    weights = np.array([[1.0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 2]])
    for of in (rocauc, average_precision):
        assert np.isnan(of(one_class, score)(weights)).tolist() == [True, False, True, True]
    nothing = said("mae", "numbers", [[np.nan], [1.0]], [[0.0], [3.0]])
    assert weighted(nothing)(np.array([[1.0, 0], [1, 1]])).tolist() == [
        pytest.approx(np.nan, nan_ok=True),
        2.0,
    ]


def test_hits_need_k_others_and_a_link() -> None:
    of = hits(np.array([True, True, False]), np.array([0.1, 0.9, 0.5]), k=2)
    values = of(np.array([[1.0, 1, 2], [2, 1, 3], [1, 1, 1], [0, 0, 3]]))
    assert values[:2].tolist() == [0.5, 1 / 3]
    assert np.isnan(values[2:]).all()
