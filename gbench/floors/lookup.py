"""A table: the label of the training items that are equal by some key, else another answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import ClassVar

import numpy as np

from gbench.audits.learners import linear
from gbench.floors.floor import Answers, Array, Candidate, Floor
from gbench.floors.keys import Key, keys_of_graphs, keys_of_nodes
from gbench.floors.shown import Shown
from gbench.models.needs import FIELDS
from gbench.train.unread import told

C = 1.0  # of the logistic regression that answers where the table has no entry


class Lookup(Floor):
    """Copies the label that most training items with an equal key have; of several the smallest.

    Tasks are answered by the mean label of those items, numbers by the median. Where no training
    item has the key, the answer is the usual one of the training part (majority, rate, median), or,
    of nodes, that of a logistic regression on features (C = 1; ridge regression of numbers).
    Validation chooses the key, see gbench/floors/keys.py, and what answers else.
    """

    uses: ClassVar[tuple[str, ...]] = ("x_numbers", "edge_weight", "edge_attr")

    def candidates(self, shown: Shown) -> Iterator[Candidate]:
        """All keys with the usual answer beside them, then all with the regression."""
        is_node = shown.dataset.card.level == "node"
        keys = dict((keys_of_nodes if is_node else keys_of_graphs)(shown))
        is_number = shown.labels == "numbers"
        usual = {"classes": "majority", "tasks": "rate", "numbers": "median"}[shown.labels]
        others: dict[str, Callable[[], Answers]] = {
            usual: lambda: lambda items: np.tile(shown.usual, (len(items), 1))
        }
        if is_node:
            others["ridge" if is_number else "logistic"] = cache(lambda: self._regression(shown))
        for name, other in others.items():
            for key, codes in keys.items():
                yield Candidate({"key": key, "else": name}, partial(_of, codes, other, shown))

    def notes(self, shown: Shown) -> list[str]:
        """That keys of nodes do not tell edges apart by what these carry; those of graphs do."""
        if shown.dataset.card.level != "node":
            return []
        carried = ("edge_weight", "edge_attr")
        left = [key for key in carried if getattr(self.spec, FIELDS[key].of_spec)]
        return told(left, "lookup", shown.dataset)

    def _regression(self, shown: Shown) -> Answers:
        known, x = shown.y[shown.train], shown.features
        found = linear(x[shown.train], known, shown.labels, self.spec.num_outputs, C)
        return lambda nodes: found(x[nodes])


def _of(codes: Callable[[], Key], other: Callable[[], Answers], shown: Shown) -> Answers:
    return table(codes(), shown, other())


def table(key: Key, shown: Shown, other: Answers) -> Answers:
    """What copies labels of training items with an equal key, and asks `other` about the rest.

    Shapes: key (N,) or (G,) int64; below 0 is none.
    """
    train = shown.train[key[shown.train] >= 0]
    entries, rows = np.unique(key[train], return_inverse=True)
    labels = _labels(shown, train, rows, len(entries))

    def answers(items: Array) -> Array:
        said = other(items)
        place = np.searchsorted(entries, key[items])
        place = np.minimum(place, max(len(entries) - 1, 0))
        found = entries[place] == key[items] if len(entries) else np.zeros(len(items), dtype=bool)
        copied = labels[place[found]]
        said[found] = np.where(np.isnan(copied), said[found], copied)
        return said

    return answers


def _labels(shown: Shown, train: Array, rows: Array, count: int) -> Array:
    """What the table says of each entry; NaN where none of its items has a label of a task.

    Shapes: train and rows (T,), which entry each item has → (count, C) or (count, K).
    """
    y = shown.y[train]
    if shown.labels == "classes":
        votes = np.zeros((count, shown.dataset.spec.num_outputs))
        np.add.at(votes, (rows, y), 1.0)
        shares: Array = votes / votes.sum(1, keepdims=True)
        return shares
    from pandas import DataFrame

    grouped = DataFrame(y).groupby(rows)
    said = grouped.median() if shown.labels == "numbers" else grouped.mean()
    found: Array = said.reindex(range(count)).to_numpy()
    return found
