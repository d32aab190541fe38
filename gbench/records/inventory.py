"""Every run below a runs folder, finished or not: what it is, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from gbench.choices import read_yaml
from gbench.errors import UserError
from gbench.records import curves, tags
from gbench.records import folder as runfolder
from gbench.records import record as records

State = Literal["finished", "running", "interrupted", "failed", "damaged"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Entry:
    """One run's folder."""

    folder: Path
    state: State
    data: str
    model: str
    seed: int | None
    metric: str
    test: float  # NaN until it has finished
    epochs: int  # that were run so far
    when: datetime  # it finished, or last wrote something
    tags: tuple[str, ...]
    note: str  # why it failed, or what is wrong with its files

    def matches(self, filters: Mapping[str, Sequence[str]]) -> bool:
        """Whether each filter names this run; `data=csbm` also names csbm's variants."""
        own: dict[str, set[str]] = {
            "data": {self.data, self.data.split(" ")[0]},
            "model": {self.model},
            "state": {self.state},
            "tag": {*self.tags},
        }
        return all(own[key] & {*names} for key, names in filters.items())


def entries(runs_dir: Path) -> list[Entry]:
    """The runs of a folder by name, without what was archived or replaced."""
    folders = sorted(path.parent for path in runs_dir.glob(f"*/{runfolder.CONFIG}"))
    return [entry(folder) for folder in folders if not folder.name.startswith(".")]


def entry(folder: Path) -> Entry:
    """One run, as its files tell it; a file that cannot be read makes it "damaged"."""
    try:
        if (folder / runfolder.RECORD).exists():
            return _finished(folder)
        return _unfinished(folder)
    except UserError as error:
        reason = str(error)
    return Entry(folder, "damaged", "", "", None, "", math.nan, 0, _last_sign(folder), (), reason)


def _finished(folder: Path) -> Entry:
    record = records.read(folder / runfolder.RECORD)
    return Entry(
        folder,
        "finished",
        record.data,
        record.model,
        record.seed,
        record.metric,
        record.test,
        record.epochs,
        datetime.fromisoformat(record.finished),
        tags.read(folder),
        "",
    )


def _unfinished(folder: Path) -> Entry:
    state: State = "interrupted"
    note = ""
    if runfolder.in_training(folder):
        state = "running"
    elif (folder / runfolder.ERROR).exists():
        state = "failed"
        note = (folder / runfolder.ERROR).read_text(encoding="utf-8", errors="replace").strip()
    try:
        config = read_yaml(folder / runfolder.CONFIG)
        data = config["data"]
        title = f"{data['name']} {data.get('variant', '')}".rstrip()
        model, seed, metric = config["model"]["name"], config["seed"], data["metric"]
    except Exception as error:  # a YAML file edited by hand can hold anything
        raise UserError(f"{folder / runfolder.CONFIG}: {type(error).__name__}: {error}") from error
    return Entry(
        folder,
        state,
        title,
        model,
        seed,
        metric,
        math.nan,
        len(curves.read(folder)),
        _last_sign(folder),
        tags.read(folder),
        note,
    )


def _last_sign(folder: Path) -> datetime:
    newest = max(path.stat().st_mtime for path in (folder, *folder.glob("*")))
    return datetime.fromtimestamp(newest, UTC)
