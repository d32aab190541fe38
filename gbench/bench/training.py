"""`gbench bench train`: whole trainings beside the official way, by turns, with what both reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

import torch

from gbench import environment, folders
from gbench.bench import measure
from gbench.bench.case import Mismatch
from gbench.bench.train import graph_layers, mixer, molecules, nodes
from gbench.bench.train.pair import Comparison, Pair
from gbench.data import manage
from gbench.data.files import named

COMPARISONS: dict[str, Comparison] = {
    **nodes.PAIRS,
    **molecules.PAIRS,
    **mixer.PAIRS,
    **graph_layers.PAIRS,
}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainRow:
    """One comparison.

    `ratio` is the other's time divided by ours, with its 95 % bootstrap interval; `ours_test` and
    `other_test` the test metric after the same training of both, which `trained` tells. Where
    `checked` is false the two are not the same model, nothing was timed and `note` says why.
    """

    name: str
    other: str = ""
    unit: str = ""
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    ours_ms: float | None = None
    other_ms: float | None = None
    ours_test: float | None = None
    other_test: float | None = None
    metric: str = ""
    trained: str = ""
    checked: bool = True
    note: str = ""
    clock: str = field(default_factory=lambda: measure.clock_name(CPU))
    hardware: str = field(default_factory=lambda: environment.device_name(CPU))
    versions: dict[str, str] = field(default_factory=environment.versions)


def run(names: Sequence[str], is_quick: bool, missing: dict[str, str]) -> Iterator[TrainRow]:
    """The rows of these comparisons (all, if none is named), as they are measured.

    One whose data are not at hand is put into `missing` with the reason.
    """
    budget = measure.QUICK if is_quick else measure.FULL
    for name in names or COMPARISONS:
        data, build = COMPARISONS[name]
        if named.state(manage.card_of(data), folders.data_dir()) is None:
            missing[name] = f"no files below {folders.data_dir()}: gbench data get {data}"
            continue
        try:
            pair = build()
        except Mismatch as error:
            yield TrainRow(name, checked=False, note=f"{type(error).__name__}: {error}")
            continue
        yield _measured(name, pair, budget, is_quick)


def _measured(name: str, pair: Pair, budget: measure.Budget, is_quick: bool) -> TrainRow:
    ours: measure.Samples = []
    theirs: measure.Samples = []
    started = perf_counter()
    while len(ours) < budget.min_rounds or perf_counter() - started < budget.seconds:
        for samples, seconds in zip((ours, theirs), pair.by_turns(), strict=True):
            samples.append(seconds)
    ratio = measure.ratio(theirs, ours)
    reached = pair.finished(is_quick)
    return TrainRow(
        name,
        pair.other,
        pair.unit,
        *ratio,
        ours_ms=1000 * median(ours),
        other_ms=1000 * median(theirs),
        ours_test=reached.ours,
        other_test=reached.theirs,
        metric=reached.metric,
        trained=reached.how,
    )
