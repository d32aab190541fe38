"""From records to ranked tables: one per dataset and protocol, one row per setting. Plain data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gbench.board.differing import differing_settings
from gbench.board.mean_epoch import row_values
from gbench.board.published import Published, published_rows
from gbench.board.statistics import (
    ALPHA,
    Run,
    Spread,
    compare,
    holm,
    interval,
    median,
    spread,
    verdict,
)
from gbench.board.worth import AgainstFloor, Bar, Beyond, Worth
from gbench.own_code.stated import has_own_code, judged_alike
from gbench.records.dense_products import differing_products
from gbench.records.record import RunRecord

# what the name of a protocol says that selects on test data or repeats an error of published code
_QUIRKS = ("selects-on-test", "train-is-test", "quirk")


@dataclass(frozen=True)
class Row:
    """One setting: all runs of one identity."""

    rank: int
    model: str
    identity: str
    settings: dict[str, Any]  # dotted key: value, only those that differ between rows
    experiment: str  # the published setting that it has unchanged; empty if it has none
    test: Spread
    interval: float | None  # half the width of the 95 % interval of the mean; None for one run
    valid: Spread
    tied: bool  # cannot be told apart from the best of more than one run, or is it and another is
    verdict: str  # agrees, below, above or inconclusive; empty where no paper printed this setting
    gap: float  # to the paper's mean, in standard errors; NaN where there is none
    folds: int  # how many of the table's folds are there
    num_parameters: int
    trials: int  # that the search for these settings took; 1 without a search
    seconds_per_epoch: float  # median over the runs that know it, like the next
    items_per_second: float
    item: str
    peak_memory_mib: float  # of the run that needed most
    devices: tuple[str, ...]
    finished: str  # of the last run
    own_code: bool  # classes outside gbench: the user's own, or of an installed package
    dirty: bool  # a run came from a git tree with uncommitted changes
    other_data: bool  # a run saw another version of the dataset than most runs of the table
    other_products: bool  # its runs multiplied in different ways: see records/dense_products.py
    quirk: bool  # the protocol selects on test data, or repeats an error of published code
    no_network: bool  # a floor: a method without a network
    runs: tuple[RunRecord, ...]  # by seed and fold
    # where there is an audit of the dataset, or a floor in the table: see gbench/board/flags.py
    against_floor: AgainstFloor = ""
    beyond: Beyond = ""


@dataclass(frozen=True)
class Table:
    """Everything measured on one dataset by one protocol, best row first."""

    data: str
    task: str
    split: str
    selection: str  # empty in a table of published results only
    num_folds: int
    metric: str
    direction: Literal["max", "min"]
    rows: tuple[Row, ...]
    published: tuple[Published, ...]  # on the same split by the same metric, best first
    repeated: int  # runs left out because a later one has the same identity, seed and fold
    worth: Worth | None = None  # what the audit of the dataset says of scores, where it was made
    bar: Bar | None = None  # the floor that rows are held against


def rows(records: Iterable[RunRecord], published: Sequence[Published] | None = None) -> list[Table]:
    """Group records into tables, rank their rows by mean test metric and add what papers print.

    Of two runs with one identity, seed and fold (folders of two machines, merged) the one that
    finished last counts. A published result stands in the table of its own way to choose the tested
    weights if there is one, else in all of its split and metric. So does a floor in all: it has no
    weights, and its settings are chosen by validation.
    """
    if published is None:
        published = published_rows()
    protocols: dict[tuple[str, str, str, int, str, str], list[RunRecord]] = {}
    selections: dict[tuple[str, str, str], set[str]] = {}
    floors = []
    for record in records:
        if record.is_floor:
            floors.append(record)
            continue
        protocols.setdefault(_protocol(record), []).append(record)
        selections.setdefault((record.data, record.split, record.metric), set()).add(
            record.selection
        )
    for record in floors:
        key = record.data, record.split, record.metric
        for selection in selections.get(key) or {record.selection}:
            protocols.setdefault(_protocol(record, selection), []).append(record)
    papers = _by_protocol(published)
    tables = []
    for (data, split, selection, _, metric, _), group in sorted(protocols.items()):
        others = selections.get((data, split, metric), set()) - {selection}
        beside = papers.get((data, split, metric), [])
        beside = [row for row in beside if row.selection not in others]
        tables.append(_table(group, selection, beside))
    return tables


def _protocol(record: RunRecord, selection: str = "") -> tuple[str, str, str, int, str, str]:
    """What the records of one table share."""
    return (
        record.data,
        record.split,
        selection or record.selection,
        record.num_folds,
        record.metric,
        record.direction,
    )


def published_tables(published: Iterable[Published]) -> list[Table]:
    """Tables of published results alone, for who has no runs there yet."""
    return [
        Table(
            data=data,
            task="",
            split=split,
            selection="",
            num_folds=1,
            metric=metric,
            direction=group[0].direction,
            rows=(),
            published=_best_first(group),
            repeated=0,
        )
        for (data, split, metric), group in sorted(_by_protocol(published).items())
    ]


def _by_protocol(published: Iterable[Published]) -> dict[tuple[str, str, str], list[Published]]:
    groups: dict[tuple[str, str, str], list[Published]] = {}
    for row in published:
        groups.setdefault((row.data, row.split, row.metric), []).append(row)
    return groups


def _table(records: list[RunRecord], selection: str, published: list[Published]) -> Table:
    latest: dict[tuple[str, int, int], RunRecord] = {}
    for record in sorted(records, key=_finished):
        latest[record.identity, record.seed, record.fold] = record
    groups: dict[str, list[RunRecord]] = {}
    for record in sorted(latest.values(), key=lambda record: (record.seed, record.fold)):
        groups.setdefault(record.identity, []).append(record)

    first = records[0]
    sign = -1.0 if first.direction == "max" else 1.0

    def rank(runs: list[RunRecord]) -> tuple[bool, float, str, str]:
        mean = spread(row_values(runs)).mean  # NaN, a diverged run, comes last
        diverged = math.isnan(mean)
        return diverged, 0.0 if diverged else sign * mean, runs[0].model, runs[0].identity

    ranked = sorted(groups.values(), key=rank)
    settings = differing_settings([(runs[0].model, runs[0].config) for runs in ranked])
    prints = Counter(record.fingerprint for record in latest.values())
    usual = prints.most_common(1)[0][0]
    papers = {row.experiment: row for row in published if row.experiment}
    return Table(
        data=first.data,
        task=first.task,
        split=first.split,
        selection=selection,
        num_folds=first.num_folds,
        metric=first.metric,
        direction=first.direction,
        rows=tuple(
            _row(place, runs, differing, usual, tied, papers)
            for place, (runs, differing, tied) in enumerate(
                zip(ranked, settings, _ties(ranked), strict=True), start=1
            )
        ),
        published=_best_first(published),
        repeated=len(records) - len(latest),
    )


def _row(
    rank: int,
    runs: list[RunRecord],
    settings: dict[str, Any],
    usual: str,
    tied: bool,
    papers: Mapping[str, Published],
) -> Row:
    last = max(runs, key=_finished)
    mean_epoch = last.selection == "best-mean-epoch"
    tests = row_values(runs)
    test = spread(tests)
    # runs from before this was written down lie beside later ones
    experiment = next((name for run in runs if (name := run.config.get("experiment"))), "")
    word, gap = "", math.nan
    if paper := papers.get(experiment):
        said = verdict(tests, paper.mean, paper.sample_std, paper.n, paper.resolution)
        word, gap = said.word, said.standard_errors
    return Row(
        rank=rank,
        model=last.model,
        identity=last.identity,
        settings=settings,
        experiment=experiment,
        test=test,
        interval=interval(test, len(runs)),
        # one epoch for all runs has no validation besides what it is chosen and tested on
        valid=test if mean_epoch else spread([run.valid for run in runs]),
        tied=tied,
        verdict=word,
        gap=gap,
        folds=len({run.fold for run in runs}),
        num_parameters=last.num_parameters,
        trials=max(run.trials for run in runs),
        # a floor has no epochs: what its record tells is how long one setting takes to try
        seconds_per_epoch=median(run.seconds_per_epoch for run in runs if not run.is_floor),
        items_per_second=median(run.items_per_second for run in runs),
        item=last.item,
        peak_memory_mib=max(
            (run.peak_memory_mib for run in runs if not math.isnan(run.peak_memory_mib)),
            default=math.nan,
        ),
        devices=tuple(sorted({run.device for run in runs})),
        finished=last.finished,
        own_code=has_own_code(last.config),
        dirty=any(run.git is not None and run.git.get("dirty") is True for run in runs),
        other_data=any(run.fingerprint != usual for run in runs),
        other_products=bool(differing_products(runs)),
        quirk=mean_epoch or any(word in last.split for word in _QUIRKS),
        no_network=last.is_floor,
        runs=tuple(runs),
    )


def have_told(runs: Sequence[RunRecord], name: str) -> bool:
    """Whether each of the runs has told a metric of `trainer.also`, all by the same code."""
    return all(name in run.also for run in runs) and judged_alike((r.config for r in runs), name)


def told(runs: Sequence[RunRecord], name: str, part: str) -> Spread:
    """A metric of `trainer.also` over runs; NaN where they have not told it."""
    are_told = have_told(runs, name)
    return spread([run.also[name][part] if are_told else math.nan for run in runs])


def by_run(runs: Sequence[RunRecord]) -> dict[Run, float]:
    """What each run of a row contributes to its result, by its seed and fold."""
    keys = ((run.seed, run.fold) for run in runs)
    return dict(zip(keys, row_values(runs), strict=True))


def _ties(ranked: Sequence[list[RunRecord]]) -> list[bool]:
    """Which rows, best first, cannot be told apart from the best; it itself if another cannot.

    A row of one run has no spread to be compared by: it has no mark, and the best is the first of
    the others.
    """
    tests = [by_run(runs) for runs in ranked]
    best, *others = [i for i, of in enumerate(tests) if len(of) > 1] or [-1]
    diverged = {i for i in (best, *others) if any(map(math.isnan, tests[i].values()))}
    p_values = holm([compare(tests[best], tests[i]).p for i in others])
    tied = {
        i
        for i, p in zip(others, p_values, strict=True)
        if not (i in diverged or best in diverged or p <= ALPHA)
    }
    return [i in tied or (i == best and bool(tied)) for i in range(len(ranked))]


def _best_first(published: Iterable[Published]) -> tuple[Published, ...]:
    return tuple(
        sorted(published, key=lambda row: -row.mean if row.direction == "max" else row.mean)
    )


def _finished(record: RunRecord) -> datetime:
    return datetime.fromisoformat(record.finished)
