"""Items that every run gets wrong.

Legend: T items that any run was asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gbench.predictions.predictions import Array, Predictions


@dataclass(frozen=True)
class Wrong:
    """An item that every run gets wrong: of classes and links its answer, of tasks an entry."""

    item: int
    id: str
    graph: str
    true: str
    answers: list[str]  # that were given, the most frequent first
    has_twin: bool  # equal to another item that has another label


def wrong_in_all(given: Sequence[Predictions], items: Array, conflict: Array | None) -> list[Wrong]:
    """The items that no run gets right, in the order of the dataset."""
    always = np.ones((len(items), 1 if given[0].true.ndim == 1 else given[0].true.shape[1]), bool)
    for p in given:
        values = p.is_right.reshape(len(p), -1)
        place = np.searchsorted(items, p.items)
        always[place] &= values == 0  # NaN, without a label, is not wrong
    said: dict[int, list[tuple[str, str, str, str]]] = {}
    wanted = items[always.any(axis=1)]
    for p in given:
        for row in np.flatnonzero(np.isin(p.items, wanted)).tolist():
            said.setdefault(int(p.items[row]), []).append(_told(p, row))
    return [
        Wrong(
            item,
            said[item][0][0],
            said[item][0][1],
            said[item][0][2],
            _by_number([answer for _, _, _, answer in said[item]]),
            bool(conflict is not None and conflict[item]),
        )
        for item in wanted.tolist()
    ]


def _told(p: Predictions, row: int) -> tuple[str, str, str, str]:
    """An item's id, graph, label and answer in words."""
    graph = "" if p.graph is None else str(p.graph[row])
    if p.labels == "classes":
        true, answer = p.classes[p.true[row]], p.classes[p.predicted[row]]
    else:
        true, answer = (_entries(values[row]) for values in (p.true, p.predicted))
    return str(p.ids[row]), graph, true, answer


def _entries(values: Array) -> str:
    """Some tasks' 0 and 1 in one word, with - where there is no label."""
    return "".join("-" if np.isnan(value) else str(int(value)) for value in values)


def _by_number(answers: list[str]) -> list[str]:
    return sorted(dict.fromkeys(answers), key=lambda answer: -answers.count(answer))
