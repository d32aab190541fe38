"""A run's folder: what lies in it, who may write to it, and how the user names it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gbench.errors import UserError, unknown

CONFIG = "config.yaml"  # the resolved config
RECORD = "record.json"  # written last: its presence means finished
BEST = "best.ckpt"  # the weights that were tested
LAST = "last.ckpt"  # what an interrupted run continues from; gone once it has finished


def helps_another_process() -> bool:
    """Whether this is not the first of the processes that train one run on several devices."""
    return int(os.environ.get("LOCAL_RANK", 0)) > 0


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; UserError if one is training there now."""
    if helps_another_process():
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): choose another with runs_dir=FOLDER"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder} is being trained by another process: wait for it, or change the seed"
            ) from None
        yield


def find(name: str, runs_dir: Path = Path("runs")) -> Path:
    """The folder of a run given by path, by name below `runs_dir`, or by the start of its name."""
    for folder in (Path(name), runs_dir / name):
        if (folder / CONFIG).is_file():
            return folder
    names = [path.parent.name for path in runs_dir.glob(f"*/{CONFIG}")]
    starting = [candidate for candidate in names if candidate.startswith(name)]
    if len(starting) == 1:
        return runs_dir / starting[0]
    if starting:
        raise UserError(f"'{name}' begins several runs' names: {', '.join(starting)}")
    if not names:
        raise UserError(f"no run '{name}': {runs_dir}/ holds none. gbench train makes one")
    raise unknown("run", name, names[:20])


def put_aside(folder: Path) -> Path:
    """Move a run to `replaced/` beside it, so that nothing of it is lost."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = folder.parent / "replaced" / f"{folder.name}-{stamp}"
    with claimed(folder):
        aside.parent.mkdir(exist_ok=True)
        folder.rename(aside)
    return aside
