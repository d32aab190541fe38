"""What a score on a dataset is worth: ceilings and floors of its audit, in a table's own metric.

Which fact stands for what is fixed here, and by names alone: what scores best on test is never
picked. The first name that the audit has in the table's metric counts.

- ceiling: of the isomorphism classes of graphs, by the finest labels that training sees; of nodes,
  or where that was not computed, of the stable 1-WL colours.
- features alone: logistic regression on features; of graphs a forest on sizes and label counts, or
  on sizes where there are no labels, or labels in the files that training leaves out.
- copy the twin: the label of training items that are equal, which are nodes with the same
  neighbours, where training sees directions with the same out-neighbours, or isomorphic graphs;
  elsewhere logistic regression on features, of graphs the most frequent label.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gbench.audits.fact import Audit
from gbench.board.statistics import Run

# What is said of a row: it cannot be told apart from the best floor, or it is worse;
AgainstFloor = Literal["", "equal", "worse"]
# and it is better than anything can be that sees no more than this.
Beyond = Literal["", "features", "1-WL", "isomorphism"]

# A metric of records and the units of the facts that are in it; other metrics have no such facts.
_UNITS = {
    "accuracy": ("%",),
    "rocauc": ("ROC-AUC", "ratio"),
    "ap": ("AP",),
    "mae": ("MAE",),
    "rmse": ("RMSE",),
    "r2": ("R2",),
}
_ERRORS = ("mae", "rmse")  # of which less is better
# what is known of a graph's nodes and edges, the finest first
_LABELS = (
    "all features",
    "graph, all features",
    "labels and attributes",
    "node and edge labels",
    "node labels",
    "no labels",
    "graph, no labels",
)
_BEST = ("ceiling", "ROC-AUC ceiling", "AP ceiling", "MAE floor", "RMSE floor", "R2 ceiling")
_CEILINGS = tuple(f"test {best}" for best in _BEST) + _BEST[1:]  # the first is of all items
# one answer for all, and the word for it
_CONSTANTS = {
    "constant baseline": "majority",
    "constant score": "constant score",
    "median baseline": "median",
    "mean baseline": "mean",
}
_SEEN = "labels that training sees"  # of a dataset of graphs: the finest of them
_DIRECTED = "directed, in training"  # of one graph: "no" where each edge counts in both directions
_SAME = "1-WL classes that hold several isomorphism classes"


class Figure(NamedTuple):
    """One fact in each fold, as records have it: fractions instead of percent."""

    fact: str  # its name in the audit
    by_fold: Mapping[int, float]  # of one split, or the whole dataset, that of fold 0

    @property
    def mean(self) -> float:
        """Over the folds that were audited."""
        return math.fsum(self.by_fold.values()) / len(self.by_fold)

    @property
    def is_bound(self) -> bool:
        """Whether a ceiling cannot be passed: that of average precision can, by a little.

        It scores each class by its share of positive items; another order of classes of unlike
        sizes may have a higher average precision. No exact maximum is computed.
        """
        return "AP ceiling" not in self.fact

    def of(self, folds: Iterable[int]) -> list[float] | None:
        """Fold by fold; None where one of them was not audited."""
        values = [self.by_fold.get(fold) for fold in folds]
        known = [value for value in values if value is not None]
        return known if len(known) == len(values) else None


class Bar(NamedTuple):
    """The floor that a table's rows are held against: the best one by its mean test score.

    That it is the best of several by their test scores makes it harder to be above it.
    """

    name: str  # words for a floor of the audit, or the model of a row without a network
    mean: float
    by_fold: Mapping[int, float]
    by_run: Mapping[Run, float]  # of a row with several runs in a fold, else empty
    is_fact: bool  # of the audit


@dataclass(frozen=True)
class Worth:
    """The ceilings and floors of one table; None for what the audit does not tell."""

    ceiling: Figure | None  # the best within each test part: a mean over folds has one each
    one_rule: Figure | None  # of one rule for the whole dataset
    colours: Figure | None  # as `ceiling`, of the stable 1-WL colours
    features_ceiling: Figure | None  # as `ceiling`, without any edge
    isomorphism: Figure | None  # as `ceiling`, of isomorphism classes; of graphs alone
    constant: Figure | None
    features: Figure | None
    twins: Figure | None
    propagation: Figure | None  # of nodes: training labels, spread along the edges
    neighbours: Figure | None  # of pairs of nodes: the number of common neighbours
    unreachable: Figure | None  # test nodes in a component without a training node, or links
    test_items: Figure | None  # between two components

    @property
    def floors(self) -> dict[str, Figure]:
        """By the words for them, those that are known."""
        named = {
            "features alone": self.features,
            "copy the twin": self.twins,
            "label propagation": self.propagation,
            "common neighbours": self.neighbours,
        }
        if self.constant:
            named = {_CONSTANTS[self.constant.fact]: self.constant, **named}
        return {name: figure for name, figure in named.items() if figure}

    @property
    def folds(self) -> int:
        """How many were audited; 1 for one split."""
        known = (*self.floors.values(), self.ceiling, self.unreachable)
        return max((len(figure.by_fold) for figure in known if figure), default=0)


def worth(audit: Audit, metric: str) -> Worth | None:
    """What an audit says of scores in this metric; None if it says nothing."""
    of = _Facts(audit, _UNITS.get(metric, ()))
    finest = next(of.labels(), "")
    labels = str(audit.find(_SEEN) or finest)
    stable = "at depth inf"
    is_directed = audit.find(_DIRECTED) != "no"
    isomorphism = of.first(f"{start}, {labels}" for start in _CEILINGS)
    colours = of.first(f"{start} {stable}, {labels}" for start in _CEILINGS)
    if isomorphism is None and of.counts.get(f"{_SAME}, {labels}") == 0:
        isomorphism = colours
    if not labels:
        better = min if metric in _ERRORS else max
        names = [f"{start} {stable}" for start in _CEILINGS]
        colours = of.either(better, *names) if is_directed else of.first(names)
    ceiling = isomorphism or colours
    found = Worth(
        ceiling=ceiling,
        one_rule=of.whole(f"ceiling, {labels}", f"ceiling {stable}, {labels}", f"ceiling {stable}"),
        colours=colours,
        features_ceiling=of.first(
            f"{start} at depth 0{f', {labels}' if labels else ''}" for start in _CEILINGS
        ),
        isomorphism=isomorphism,
        constant=of.first(_CONSTANTS),
        features=of.first(
            (
                "logistic regression on features",
                "logistic regression on features, ROC-AUC",
                "logistic regression on features, AP",
                "ridge on features",
                # of all labels in the files
                *(["random forest on sizes and label counts"] if labels == finest else []),
                "random forest on sizes",
            )
        ),
        twins=of.first(
            (
                *(
                    ["table lookup by out-neighbours, else logistic regression"]
                    if is_directed
                    else []
                ),
                "table lookup by neighbours, else logistic regression",
                f"table lookup, {labels}",
            )
        ),
        propagation=of.first(("label propagation", "label propagation, ROC-AUC")),
        neighbours=of.first(("common neighbours, test",)),
        unreachable=of.count("unreachable test nodes", "test links between components"),
        test_items=of.count("test nodes", "test links"),
    )
    is_told = found.ceiling or found.one_rule or found.floors or found.unreachable
    return found if is_told else None


class _Facts:
    """The facts of an audit: those of test parts in one metric, counts, and of the whole."""

    def __init__(self, audit: Audit, units: tuple[str, ...]) -> None:
        self._folds: dict[str, dict[int, float]] = {}
        self._counts: dict[str, dict[int, float]] = {}
        self._whole: dict[str, float] = {}
        self.counts: dict[str, float] = {}  # of the whole dataset
        for split, fold, fact, value, unit in audit.facts:
            if not isinstance(value, int | float) or not math.isfinite(value):
                continue
            scaled = value / 100 if unit == "%" else float(value)
            if fold is not None and split in (audit.split, "test"):
                # the metrics of links, of which papers tell percentages, are in %
                if unit in units or fact == "common neighbours, test":
                    self._folds.setdefault(fact, {})[fold] = scaled
                elif unit == "count":
                    self._counts.setdefault(fact, {})[fold] = scaled
            elif not split and fold is None:
                if unit in units:
                    self._whole[fact] = scaled
                elif unit == "count":
                    self.counts[fact] = scaled

    def labels(self) -> Iterator[str]:
        """How graphs are told apart where a ceiling says so, the finest first."""
        for labels in _LABELS:
            if any(
                f"{start}{depth}, {labels}" in self._folds
                for start in _CEILINGS
                for depth in ("", " at depth inf")
            ):
                yield labels

    def first(self, names: Iterable[str]) -> Figure | None:
        """The first of these that the audit has of test parts."""
        return next(
            (Figure(name, self._folds[name]) for name in names if name in self._folds), None
        )

    def either(self, better: Callable[[float, float], float], *names: str) -> Figure | None:
        """The same along edges both ways, or as they are directed where that tells more apart.

        A model may look along either, so that in each fold the better of the two bounds it.
        """
        both = self.first(names)
        directed = self.first(f"{name} (directed)" for name in names)
        if both is None or directed is None or directed.by_fold.keys() != both.by_fold.keys():
            return both
        return Figure(
            both.fact,
            {fold: better(value, directed.by_fold[fold]) for fold, value in both.by_fold.items()},
        )

    def whole(self, *names: str) -> Figure | None:
        """The first of these that the audit has of the whole dataset."""
        return next((Figure(n, {0: self._whole[n]}) for n in names if n in self._whole), None)

    def count(self, *names: str) -> Figure | None:
        """The first of these numbers of items in the test parts that the audit has."""
        return next((Figure(n, self._counts[n]) for n in names if n in self._counts), None)
