"""What tells two or more runs apart: settings, results, and what they ran on. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbench.config import compose as configs
from gbench.config.flat import flatten
from gbench.own_code.kept import stated_parts
from gbench.own_code.stated import judged_alike
from gbench.records import curves
from gbench.records import folder as runfolder
from gbench.records import record as records
from gbench.records.dense_products import differing_products
from gbench.records.record import RunRecord

# Where a run lies and who watches it says nothing of the run.
_WITHOUT_MEANING = {
    "runs_dir",
    "data_dir",
    "cache_dir",
    "data_source",
    "config_dirs",
    "logger",
    "code",
    "runs",  # what model.teacher and init_from resolve to
}

# Figures of a record, in the order that they are read.
FIGURES = (
    "test",
    "valid",
    "best_epoch",
    "epochs",
    "num_parameters",
    "seconds_per_epoch",
    "seconds_total",
    "items_per_second",
    "peak_memory_mib",
)


@dataclass(frozen=True)
class Run:
    """A run to compare; one that has not finished has no record."""

    name: str
    config: dict[str, Any]
    record: RunRecord | None
    curve: list[float]
    folder: Path

    @property
    def protocol(self) -> tuple[Any, ...]:
        """What has to be the same for two results to mean the same."""
        data = self.config["data"]
        names = ("name", "variant", "split", "num_folds", "metric")
        return (*(data.get(name) for name in names), self.config["trainer"]["select"])


@dataclass(frozen=True)
class Comparison:
    """Values in the order of the runs; None where a run has no such key."""

    runs: tuple[Run, ...]
    settings: dict[str, list[Any]]  # dotted key; only those that differ
    figures: dict[str, list[Any]]  # of the records, all of them
    code: dict[str, list[Any]]  # of the user's own: digests by file, only those that differ
    surroundings: dict[str, list[Any]]  # versions, git, device, ...; only those that differ
    same_protocol: bool


def load(folder: Path) -> Run:
    """A run from its folder; UserError where its files are damaged."""
    path = folder / runfolder.RECORD
    config = configs.load(folder / runfolder.CONFIG)
    record = records.read(path) if path.exists() else None
    return Run(folder.name, config, record, curves.read(folder), folder)


def compare(runs: Sequence[Run]) -> Comparison:
    """Lay runs side by side."""
    finished = [run.record for run in runs]
    there = [record for record in finished if record is not None]
    settings = [
        {k: v for k, v in flatten(run.config) if k.split(".")[0] not in _WITHOUT_MEANING}
        | ({} if record is None else {f"chosen.{k}": v for k, v in record.chosen.items()})
        for run, record in zip(runs, finished, strict=True)
    ]
    figures = {
        key: [None if record is None else getattr(record, key) for record in finished]
        for key in FIGURES
    } | _also(runs)
    return Comparison(
        tuple(runs),
        _differing(settings),
        figures if any(finished) else {},
        _differing([stated_parts(run.config.get("code", {})) for run in runs]),
        _differing([_surroundings(record) for record in there])
        | {f"products of {of}": row for of, row in differing_products(there).items()},
        len({run.protocol for run in runs}) == 1,
    )


def also_key(name: str, part: str) -> str:
    """The figure of a metric of `trainer.also` on the valid or the test part."""
    return f"{part}_{name}"


def also_names(runs: Sequence[Run]) -> list[str]:
    """The metrics of `trainer.also` that some of the runs tell, all by the same code."""
    told = (run.record.also for run in runs if run.record is not None)
    names = dict.fromkeys(name for also in told for name in also)
    return [name for name in names if judged_alike((run.config for run in runs), name)]


def _also(runs: Sequence[Run]) -> dict[str, list[Any]]:
    found = [{} if run.record is None else run.record.also for run in runs]
    return {
        also_key(name, part): [also[name][part] if name in also else None for also in found]
        for name in also_names(runs)
        for part in ("test", "valid")
    }


def _surroundings(record: RunRecord) -> dict[str, Any]:
    git = record.git or {}
    return {
        **{f"version of {name}": version for name, version in record.versions.items()},
        "git commit": git.get("commit"),
        "uncommitted changes": git.get("dirty"),
        "device": record.device,
        "dataset's fingerprint": record.fingerprint,
    }


def _differing(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The keys that not all have, or not with one value, in the order they first occur."""
    keys = dict.fromkeys(key for column in columns for key in column)
    values = {key: [column.get(key) for column in columns] for key in keys}
    return {
        key: row
        for key, row in values.items()
        if any(value != row[0] for value in row) or not all(key in column for column in columns)
    }
