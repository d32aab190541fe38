"""The dataset of the last run, for the next one of the same process where nothing has changed.

Nothing is kept unless a process that does many runs says so. What is kept is known again by the
prepared file's path, size and times, and by those of the raw files behind it; and with it goes what
models have derived from it, in the memos of its batches. So a run must change nothing there in
place, and a memo must hold nothing but what its key and the data decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbench.data.files import named
from gbench.data.source import Split
from gbench.data.store import GraphStore


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared file as it was read."""

    path: Path
    stamp: tuple[int, ...]  # of the file
    contents: dict[str, Any]
    store: GraphStore
    splits: tuple[Split, ...]


_is_on = False
_last: Prepared | None = None
_derived = ""


def keep() -> None:
    """From now on this process keeps the last dataset."""
    global _is_on
    _is_on = True


def begin(derived: str) -> None:
    """A run begins that derives this from its data; what was kept for another is let go."""
    global _last, _derived
    if derived != _derived:
        _last, _derived = None, derived


def remember(prepared: Prepared) -> None:
    """This was read; it is kept if it is to be."""
    global _last
    if _is_on:
        _last = prepared


def recalled(path: Path, raw: named.State | None) -> Prepared | None:
    """What was read of this file, if that and its raw files are the same still."""
    kept = _last
    if kept is None or kept.path != path or kept.stamp != stamp(path):
        return None
    return kept if raw in (None, kept.contents["raw"]) else None


def stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written anew; () where it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
