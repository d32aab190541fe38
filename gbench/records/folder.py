"""A run's folder: what lies in it, who may write to it, and how the user names it."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from gbench.errors import UserError, unknown
from gbench.fault import fault_of, own_line, report_text
from gbench.locks import take
from gbench.passwords import without_password
from gbench.processes import helps_another_process

CONFIG = "config.yaml"  # the resolved config
RECORD = "record.json"  # written last: its presence means finished
BEST = "best.ckpt"  # the weights that were tested
LAST = "last.ckpt"  # what an interrupted run continues from; gone once it has finished
ERROR = "error.txt"  # why the last attempt failed; gone once another begins
OUTPUT = "output.txt"  # what the process of a failed point printed last


class Busy(UserError):
    """Another process is training in the folder."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes; raises Busy if one is training there now."""
    if helps_another_process():
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
        is_ours = take(lock) or _taken_after(0.05, lock)
    except OSError as error:  # some file systems have no locks
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): choose another with runs_dir=FOLDER"
        ) from error
    with lock:
        if not is_ours:
            raise Busy(
                f"{folder} is being trained by another process: wait for it, or change the seed"
            )
        for part in folder.glob(".*.part"):
            part.unlink()  # of a process that was killed while it wrote
        yield


@contextmanager
def failure_noted(folder: Path) -> Iterator[None]:
    """Leave in the folder what went wrong in the block, for `gbench runs` to tell."""
    (folder / ERROR).unlink(missing_ok=True)
    try:
        yield
    except (Exception, SystemExit) as error:
        with suppress(OSError):  # a full disk, say, which the error itself tells
            (folder / ERROR).write_text(failure_text(error), encoding="utf-8")
        raise


def failure_text(error: BaseException) -> str:
    """What `error.txt` holds: a sentence, and of what nothing foresaw the traceback below it."""
    if isinstance(error, UserError):
        place = own_line(error)
        return f"{error} ({place})\n" if place else f"{error}\n"
    fault = fault_of(error)
    if fault.is_own:
        return f"{fault.sentence}\n\n{fault.details}"
    return report_text(fault, without_password(shlex.join(["gbench", *sys.argv[1:]])))


def in_training(folder: Path) -> bool:
    """Whether a process of this machine holds the folder now.

    Looking takes the lock for an instant, which is why `claimed` tries twice.
    """
    try:
        with (folder / ".lock").open() as lock:
            return not take(lock, shared=True)
    except OSError:
        return False


def _taken_after(seconds: float, lock: IO[str]) -> bool:
    time.sleep(seconds)
    return take(lock)


def config_text(config: Mapping[str, Any]) -> bytes:
    """What `config.yaml` holds; libyaml writes it in a quarter of the time."""
    import yaml  # the leaderboard reads records without it

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(config, Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text.encode()


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
    raise unknown("run", name, names, most=10)


def put_aside(folder: Path) -> None:
    """Move a run, if it is there, to `replaced/` beside it, so that nothing of it is lost."""
    if not folder.exists():
        return
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = folder.parent / "replaced" / f"{folder.name}-{stamp}"
    with claimed(folder):
        aside.parent.mkdir(exist_ok=True)
        folder.rename(aside)
