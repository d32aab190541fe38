"""From records to ranked tables: one per dataset and protocol, one row per setting. Plain data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from gbench.results.identity import decisive
from gbench.results.record import RunRecord


class Spread(NamedTuple):
    """Mean and sample standard deviation over runs; no deviation for one run."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Row:
    """One setting: all runs of one identity."""

    rank: int
    model: str
    identity: str
    settings: dict[str, Any]  # dotted key: value, only those that differ between rows
    test: Spread
    valid: Spread
    folds: int  # how many of the table's folds are there
    num_parameters: int
    seconds_per_epoch: float  # median over the runs that know it, like the next
    items_per_second: float
    item: str
    peak_memory_mib: float  # of the run that needed most
    devices: tuple[str, ...]
    finished: str  # of the last run
    dirty: bool  # a run came from a git tree with uncommitted changes
    other_data: bool  # a run saw another version of the dataset than most runs of the table
    runs: tuple[RunRecord, ...]  # by seed and fold


@dataclass(frozen=True)
class Table:
    """Everything measured on one dataset by one protocol, best row first."""

    data: str
    task: str
    split: str
    selection: str
    num_folds: int
    metric: str
    direction: Literal["max", "min"]
    rows: tuple[Row, ...]
    repeated: int  # runs left out because a later one has the same identity, seed and fold


def rows(records: Iterable[RunRecord]) -> list[Table]:
    """Group records into tables and rank their rows by mean test metric.

    Of two runs with one identity, seed and fold (folders of two machines, merged) the one that
    finished last counts.
    """
    protocols: dict[tuple[str, str, str, int, str, str], list[RunRecord]] = {}
    for record in records:
        protocol = (
            record.data,
            record.split,
            record.selection,
            record.num_folds,
            record.metric,
            record.direction,
        )
        protocols.setdefault(protocol, []).append(record)
    return [_table(group) for _, group in sorted(protocols.items())]


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation, sqrt(Σ (x - mean)² / (n - 1))."""
    # From the first value on, so that equal values have exactly their mean and no deviation.
    mean = values[0] + math.fsum(x - values[0] for x in values) / len(values)
    if not math.isfinite(mean):  # a diverged run, or finite values too far apart to average
        mean = math.nan
    if len(values) == 1:
        return Spread(mean, None)
    # hypot: the root of the sum of squares, without overflow
    return Spread(mean, math.hypot(*(x - mean for x in values)) / math.sqrt(len(values) - 1))


def median(values: Iterable[float]) -> float:
    """The median of the values that are known; NaN if none is."""
    known = sorted(x for x in values if not math.isnan(x))
    if not known:
        return math.nan
    middle = len(known) // 2
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2


def _table(records: list[RunRecord]) -> Table:
    latest: dict[tuple[str, int, int], RunRecord] = {}
    for record in sorted(records, key=_finished):
        latest[record.identity, record.seed, record.fold] = record
    groups: dict[str, list[RunRecord]] = {}
    for record in sorted(latest.values(), key=lambda record: (record.seed, record.fold)):
        groups.setdefault(record.identity, []).append(record)

    first = records[0]
    sign = -1.0 if first.direction == "max" else 1.0

    def rank(runs: list[RunRecord]) -> tuple[bool, float, str, str]:
        mean = spread([run.test for run in runs]).mean  # NaN, a diverged run, comes last
        diverged = math.isnan(mean)
        return diverged, 0.0 if diverged else sign * mean, runs[0].model, runs[0].identity

    ranked = sorted(groups.values(), key=rank)
    settings = differing_settings([(runs[0].model, runs[0].config) for runs in ranked])
    prints = Counter(record.fingerprint for record in latest.values())
    usual = prints.most_common(1)[0][0]
    return Table(
        data=first.data,
        task=first.task,
        split=first.split,
        selection=first.selection,
        num_folds=first.num_folds,
        metric=first.metric,
        direction=first.direction,
        rows=tuple(
            _row(place, runs, differing, usual)
            for place, (runs, differing) in enumerate(zip(ranked, settings, strict=True), start=1)
        ),
        repeated=len(records) - len(latest),
    )


def _row(rank: int, runs: list[RunRecord], settings: dict[str, Any], usual: str) -> Row:
    last = max(runs, key=_finished)
    return Row(
        rank=rank,
        model=last.model,
        identity=last.identity,
        settings=settings,
        test=spread([run.test for run in runs]),
        valid=spread([run.valid for run in runs]),
        folds=len({run.fold for run in runs}),
        num_parameters=last.num_parameters,
        seconds_per_epoch=median(run.seconds_per_epoch for run in runs),
        items_per_second=median(run.items_per_second for run in runs),
        item=last.item,
        peak_memory_mib=max(
            (run.peak_memory_mib for run in runs if not math.isnan(run.peak_memory_mib)),
            default=math.nan,
        ),
        devices=tuple(sorted({run.device for run in runs})),
        finished=last.finished,
        dirty=any(run.git is not None and run.git.get("dirty") is True for run in runs),
        other_data=any(run.fingerprint != usual for run in runs),
        runs=tuple(runs),
    )


def _finished(record: RunRecord) -> datetime:
    return datetime.fromisoformat(record.finished)


def differing_settings(configs: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """For each (model, config), the dotted settings that tell it from the others.

    A setting counts if two rows have different values of it, or if among rows of one model some
    have it and some do not; that another model lacks it says nothing. Settings that tell rows of
    one model apart come first: without them two rows would look the same.
    """
    flat = [_flatten(decisive(config)) for _, config in configs]
    for settings in flat:
        for group in ("encoding", "batching"):
            settings.pop(f"{group}._target_", None)  # its name says it
    anywhere: dict[str, set[str]] = {}  # key: its values
    by_model: dict[str, list[dict[str, str]]] = {}
    for (model, _), settings in zip(configs, flat, strict=True):
        texts = {key: repr(value) for key, value in settings.items()}
        by_model.setdefault(model, []).append(texts)
        for key, text in texts.items():
            anywhere.setdefault(key, set()).add(text)
    candidates = [key for key, values in anywhere.items() if len(values) > 1]
    # A model's class differs wherever its name does.
    across = {key for key in candidates if key not in ("model.name", "model._target_")}
    within = set()
    for same_model in by_model.values():
        if len(same_model) == 1:
            continue
        times = Counter(key for texts in same_model for key in texts)
        within |= {key for key, count in times.items() if count < len(same_model)}
        within |= {key for key in candidates if len({texts.get(key) for texts in same_model}) > 1}
    keys = sorted(across | within, key=lambda key: (key not in within, key))
    return [{key: settings[key] for key in keys if key in settings} for settings in flat]


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
