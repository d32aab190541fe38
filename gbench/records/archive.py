"""Runs out of the way: moved to `archived/` beside them and back, or deleted for good.

A run is held while it is moved, so that none is taken from under a training. What lies behind a
link is never touched: only a folder that really is below its runs folder is moved or deleted.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from gbench.errors import UserError
from gbench.records.find import ARCHIVED, REPLACED
from gbench.records.folder import claimed


def archive(folder: Path) -> Path:
    """Move a run to `archived/`; returns where it is now."""
    if _is_aside(folder):
        raise UserError(f"{folder} is not among the runs that count, but in {folder.parent.name}/")
    return _move(folder, folder.parent / ARCHIVED / folder.name)


def restore(folder: Path) -> Path:
    """Move a run from `archived/` back; returns where it is now."""
    return _move(folder, folder.parent.parent / folder.name)


def delete(folder: Path) -> None:
    """Remove a run with all that lies in it; links in it are removed, not followed."""
    # Under another name first: what a killed deletion leaves behind must not look like a run.
    going = folder.with_name(f".{folder.name}.deleted")
    try:
        if going.exists():
            shutil.rmtree(going)
        shutil.rmtree(_move(folder, going))
    except OSError as error:
        raise UserError(f"{going} could not be removed whole: {error}") from error


def _move(folder: Path, to: Path) -> Path:
    runs_dir = folder.parent.parent if _is_aside(folder) else folder.parent
    below = folder.parent.name if _is_aside(folder) else ""
    if folder.resolve() != runs_dir.resolve() / below / folder.name:
        raise UserError(
            f"{folder} is a link, and what it leads to is left alone: give that folder's own path"
        )
    if to.exists():
        raise UserError(f"there is {to} already: move or delete that one first")
    with claimed(folder):
        try:
            to.parent.mkdir(exist_ok=True)
            folder.rename(to)
        except OSError as error:
            raise UserError(f"{folder} cannot be moved to {to}: {error.strerror}") from error
    with suppress(OSError):  # the last one has left: only an empty folder can be removed so
        if below:
            folder.parent.rmdir()
    return to


def _is_aside(folder: Path) -> bool:
    return folder.parent.name in (ARCHIVED, REPLACED)
