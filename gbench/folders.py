"""Where raw and derived files live, and how a file is written so that none is seen half done."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def data_dir(configured: str | None = None) -> Path:
    """Raw datasets: the config's `data_dir`, else $GBENCH_DATA, else the user's cache folder."""
    return _folder(configured, "GBENCH_DATA", "data")


def cache_dir(configured: str | None = None) -> Path:
    """Derived files: the config's `cache_dir`, else $GBENCH_CACHE, else the user's cache folder."""
    return _folder(configured, "GBENCH_CACHE", "derived")


def _folder(configured: str | None, variable: str, name: str) -> Path:
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    chosen = configured or os.environ.get(variable) or user_cache / "gbench" / name
    return Path(chosen).expanduser().absolute()


def near(path: Path | str) -> str:
    """A path as the user would type it: relative where it lies below the current folder."""
    short = os.path.relpath(path)
    return os.fspath(path) if short.startswith(os.pardir) else short


@contextmanager
def written_whole(path: Path, *, synced: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path` complete or not at all, whatever interrupts it.

    After a power cut that holds of one that is `synced`, which takes some milliseconds.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
        if synced:
            sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
