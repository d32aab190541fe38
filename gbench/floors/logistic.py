"""Logistic regression on features alone; ridge regression where labels are numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from gbench.audits.learners import linear
from gbench.floors.floor import Answers, Array, Candidate, Floor
from gbench.floors.shown import Shown

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # of C, from the strongest penalty to the weakest


class Logistic(Floor):
    """scikit-learn's LogisticRegression(C) on features as stored, or Ridge(alpha=1/C) of numbers.

    A graph's features are the mean, or the sum, of its nodes'. Validation chooses C, and between
    mean and sum.
    """

    uses: ClassVar[tuple[str, ...]] = ("x_numbers",)

    def candidates(self, shown: Shown) -> Iterator[Candidate]:
        """From the strongest penalty to the weakest; for graphs means first."""
        is_graph = shown.dataset.card.level == "graph"
        for readout in ("mean", "sum") if is_graph else ("",):
            for c in STRENGTHS:
                setting: dict[str, Any] = {"readout": readout} if readout else {}

                def fit(readout: str = readout, c: float = c) -> Answers:
                    rows = of_graphs(shown, readout) if readout else shown.features
                    known = shown.y[shown.train]
                    outputs = self.spec.num_outputs
                    found = linear(rows[shown.train], known, shown.labels, outputs, c)
                    return lambda items: found(rows[items])

                yield Candidate({**setting, "c": c}, fit)


def of_graphs(shown: Shown, readout: str) -> Any:
    """The mean or the sum of each graph's features of nodes. Shapes: → (G, F)."""
    sizes: Array = shown.dataset.store.ranges[2].numpy()
    first = np.concatenate([[0], sizes.cumsum()])
    one = np.ones(first[-1])
    if readout == "mean":
        one /= np.repeat(np.maximum(sizes, 1), sizes)
    return csr_matrix((one, np.arange(first[-1]), first)) @ shown.features
