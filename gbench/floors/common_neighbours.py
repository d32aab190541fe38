"""Links by what two nodes share: common neighbours and three other scores, without parameters."""

from __future__ import annotations

from collections.abc import Iterator

from gbench.audits.link_scores import NAMES, neighbours, scores
from gbench.floors.floor import Answers, Candidate, Floor
from gbench.floors.shown import Shown


class CommonNeighbours(Floor):
    """One of the scores of gbench/audits/link_scores.py, on the graph of the training links.

    Validation chooses which. Links of the validation part are no edges, when testing neither.
    """

    def candidates(self, shown: Shown) -> Iterator[Candidate]:
        """In the order of their table."""
        linked = neighbours(shown.structure)
        for name in NAMES:

            def fit(name: str = name) -> Answers:
                return lambda pairs: scores(name, linked, pairs)[:, None]

            yield Candidate({"score": name}, fit)

    def notes(self, shown: Shown) -> list[str]:
        """That validation links are not read, which rules of some leaderboards allow."""
        return [
            "neighbours are counted in the graph of the training links alone: protocols that add "
            "the validation links when testing, as ogbl-collab's leaderboard allows, score more"
        ]
