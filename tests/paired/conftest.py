"""Predictions made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gbench.predictions.predictions import Predictions


def _said(metric: str, labels: str, true: Any, scores: Any, **changes: Any) -> Predictions:
    true, scores = np.asarray(true), np.asarray(scores, dtype=np.float64)
    items = np.arange(len(true))
    if labels == "classes":
        predicted = scores.argmax(1)
    else:
        predicted = scores if labels == "numbers" else (scores > 0.5).astype(float)
    given: dict[str, Any] = {
        "run": "made-up-s0",
        "model": "made-up",
        "data": "made up",
        "seed": 0,
        "fold": 0,
        "split": "test",
        "metric": metric,
        "labels": labels,
        "classes": tuple(map(str, range(scores.shape[1]))),
        "items": items,
        "ids": items.astype(str).astype(object),
        "graph": None,
        "true": true,
        "scores": scores,
        "predicted": predicted,
        "parts": np.full(len(true), "test", dtype=object),
        "scale": "value" if labels == "numbers" else "probability",
    }
    return Predictions(**(given | changes))


@pytest.fixture(scope="session")
def said() -> Callable[..., Predictions]:
    """`said("accuracy", "classes", true, scores)`: what a run might say."""
    return _said
