"""Find and load the records below one or more runs folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gbench.errors import UserError
from gbench.records.record import FILE_NAME, RunRecord

REPLACED = "replaced"  # where a forced rerun puts the run it replaces
ARCHIVED = "archived"  # where `gbench runs archive` puts what no table shall count


class Problem(NamedTuple):
    """A record that was left out, and why."""

    path: str
    reason: str


def find(runs_dirs: Iterable[str | Path]) -> tuple[list[RunRecord], list[Problem]]:
    """Load every `RUNS_DIR/*/record.json`; a run folder without one is unfinished and is skipped.

    Raises UserError if a runs folder does not exist.
    """
    records: list[RunRecord] = []
    problems: list[Problem] = []
    for folder in run_folders(runs_dirs):
        path = f"{folder}/{FILE_NAME}"
        try:
            content = _content(path)
            if content is not None:
                records.append(RunRecord.from_json(content))
        except OSError as error:
            problems.append(Problem(path, error.strerror or "cannot be read"))
        except UserError as error:
            problems.append(Problem(path, str(error)))
    return records, problems


def run_folders(runs_dirs: Iterable[str | Path]) -> list[str]:
    """Run folders in order of name; a runs folder given twice counts once."""
    folders: list[str] = []
    for runs_dir in {os.path.realpath(given): str(given) for given in runs_dirs}.values():
        try:
            with os.scandir(runs_dir) as entries:
                folders += sorted(
                    entry.path
                    for entry in entries
                    if entry.name not in (REPLACED, ARCHIVED)
                    and not entry.name.startswith(".")  # what `gbench runs delete` is removing
                    and entry.is_dir()
                )
        except OSError as error:
            raise UserError(
                f"cannot read the runs folder '{runs_dir}': {error.strerror}. "
                "Every finished run leaves its record there: type `gbench train`, or give the "
                "folder of your runs, `gbench leaderboard RUNS_DIR`"
            ) from None
    return folders


def _content(path: str) -> bytes | None:
    try:
        # os.open: half the time of open() for a small file, and there may be 10,000 of them.
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        content = b""
        while part := os.read(descriptor, 1 << 16):
            content += part
    finally:
        os.close(descriptor)
    return content
