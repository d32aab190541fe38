"""What a floor is: a method without a network, with a few settings that validation chooses from.

A model's YAML with `is_network: false` names a class of this kind:

    class Majority(Floor):
        def candidates(self, shown):
            yield Candidate({"of": "training"}, lambda: answers)

where `answers(items)` says of nodes, graphs or pairs what is likely: see `Answers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gbench.data.spec import DataSpec
from gbench.floors.shown import Shown

Array = np.ndarray[Any, Any]

# What is said of items (T,), the numbers of nodes or graphs, or of pairs of nodes (T, 2).
# classes: probabilities (T, C) float64; of equal ones the smallest class counts.
# tasks: the probability of each to be 1, (T, K); numbers: their values, (T, K).
# links: (T, 1), the larger the more likely; any numbers.
Answers = Callable[[Array], Array]


class Candidate(NamedTuple):
    """One setting of a floor: how it is called, and what makes its answers from what is shown."""

    setting: dict[str, Any]  # words and numbers, alike for no two candidates of a floor
    fit: Callable[[], Answers]


class Floor(ABC):
    """A method that has no network.

    `spec` is what is known of the data, hyperparameters are those of its YAML. A class says in
    `uses`, as models do, which features of edges and numbers of nodes it reads beside features and
    graph.
    """

    uses: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[bool] = False  # random numbers: else all seeds of a fold give one row

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec

    @abstractmethod
    def candidates(self, shown: Shown) -> Iterator[Candidate]:
        """Its settings, from simple to rich: of equally good ones the first is taken.

        Raises UserError for data that it can do nothing with.
        """

    def notes(self, shown: Shown) -> list[str]:
        """Sentences that the user should know before it runs."""
        return []
