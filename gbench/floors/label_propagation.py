"""Label propagation: the labels of training nodes spread over the edges, without features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, diags_array

from gbench.floors.floor import Answers, Array, Candidate, Floor
from gbench.floors.shown import Shown

ALPHAS = (0.5, 0.9, 0.99)  # of what comes from neighbours: from near to far
ROUNDS = (1, 2, 5, 10, 20, 50)


class LabelPropagation(Floor):
    """F ← α S F + (1 - α) Y for so many rounds, S = D^-1/2 A D^-1/2 (Zhou et al., NeurIPS 2003).

    A has each edge in both directions once, and no loops. Y has the labels of training nodes: one
    of each class, and of tasks and numbers the label beside a column of ones, so that their
    quotient is a weighted mean. A node that no label has reached gets what is usual: the shares of
    the classes in training, the rate, the median. Validation chooses α and the number of rounds.
    """

    def candidates(self, shown: Shown) -> Iterator[Candidate]:
        """From few rounds to many, for each α from small to large."""
        spread = _Spread(shown)
        for alpha in ALPHAS:
            for rounds in ROUNDS:

                def fit(alpha: float = alpha, rounds: int = rounds) -> Answers:
                    return spread.answers(alpha, rounds)

                yield Candidate({"alpha": alpha, "rounds": rounds}, fit)


class _Spread:
    """Labels after some rounds; the next rounds go on from there."""

    def __init__(self, shown: Shown) -> None:
        s = shown.structure
        with np.errstate(divide="ignore"):
            root = np.where(s.degree > 0, s.degree, np.inf) ** -0.5
        joined = csr_array((np.ones(len(s.indices)), s.indices, s.indptr), shape=(s.num_nodes,) * 2)
        self.smooth = diags_array(root) @ joined @ diags_array(root)
        self.usual = shown.usual
        self.has_classes = shown.labels == "classes"
        self.given = self._given(shown)
        self.alpha, self.rounds, self.now = 0.0, 0, self.given

    def _given(self, shown: Shown) -> Array:
        """Y. Shapes: → (N, C), or (N, 2 K) of labels and ones."""
        y, train = shown.y, shown.train
        if self.has_classes:
            given = np.zeros((len(y), len(self.usual)))
            given[train, y[train]] = 1.0
            return given
        known = ~np.isnan(y)
        return np.concatenate([np.where(known, y, 0.0), known.astype(np.float64)], axis=1)

    def answers(self, alpha: float, rounds: int) -> Answers:
        if alpha != self.alpha or rounds < self.rounds:
            self.alpha, self.rounds, self.now = alpha, 0, self.given
        while self.rounds < rounds:
            self.now = alpha * (self.smooth @ self.now) + (1 - alpha) * self.given
            self.rounds += 1
        reached = self.now
        usual = self.usual

        def shares(nodes: Array) -> Array:
            found = reached[nodes]
            if self.has_classes:
                weight = found.sum(1, keepdims=True)
            else:
                found, weight = np.split(found, 2, axis=1)
            return np.where(weight > 0, found / np.where(weight > 0, weight, 1), usual)

        return shares
