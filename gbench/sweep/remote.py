"""The executor of other machines: a cluster's own engine starts and ends the points.

These machines and this one share the runs folder. What a point says while it runs lies in a file
there; how it ended is told by the cluster, whatever became of the machine.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.locks import take
from gbench.sweep.job import Job, Message, carry_out

FOLDER = ".letters"  # below the runs folder: what points say, in a folder for each command
LOOK_SECONDS = 0.3  # between two looks at a point


@dataclass(frozen=True)
class Posted:
    """A point's job as another machine gets it: it posts its messages in the file `letters`."""

    job: Job
    letters: Path
    folder: Path  # where the command was typed
    python_path: list[str]

    def __call__(self) -> Message:
        """Do it; returns how it ended."""
        with suppress(OSError):  # a machine without this folder has no use for relative paths
            os.chdir(self.folder)
        sys.path[:] = [*dict.fromkeys([*sys.path, *self.python_path])]
        with self._opened() as file:

            def send(message: Message) -> None:
                with suppress(OSError):
                    file.write(f"{json.dumps(message)}\n")
                    file.flush()

            send({"kind": "started", "pid": os.getpid()})
            return carry_out(self.job, send)

    def _opened(self) -> IO[str]:
        try:
            return self.letters.open("a", encoding="utf-8")
        except OSError:  # nobody listens any more: the command that asked for it was killed
            return Path(os.devnull).open("a", encoding="utf-8")


class Cluster(Protocol):
    """An engine that runs functions on other machines."""

    def submit(self, work: Posted) -> Any:
        """Have the work done; returns what stands for it below. Raises UserError if it cannot."""

    def heard(self, handle: Any) -> Message | None:
        """The message that tells how it ended, or that it waits; None if there is no news."""

    def cancel(self, handles: Sequence[Any], at_once: bool) -> None:
        """Have them interrupted, or ended at once."""

    def close(self) -> None:
        """Let the cluster go."""


@dataclass(eq=False)
class _Point:
    key: int
    handle: Any
    letters: Path
    read: int = 0  # bytes of the letters


@dataclass
class Remote:
    """Runs the points of a sweep on a cluster."""

    cluster: Cluster
    slots: int
    runs: str
    running: list[_Point] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room, self.look_at = self.slots, 0.0
        self.letters: Path | None = None
        self.ends: list[tuple[int, Message]] = []  # to be told

    def start(self, key: int, config: Config, folder: Path) -> None:
        """Hand the point to the cluster; one that it does not take beside others waits for them."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if self.letters is None:
            self.letters, self.lock = _letterbox(Path(config["runs_dir"]).absolute() / FOLDER)
        letters = self.letters / f"{key}-{secrets.token_hex(4)}"
        job = Job(config, folder, 0, None, self.runs)
        work = Posted(job, letters, Path.cwd(), [*sys.path])
        try:
            handle = self.cluster.submit(work)
        except UserError as error:
            if not self.running:
                raise
            self.slots = len(self.running)
            self.ends.append((key, {"kind": "end", "state": "refused", "error": str(error)}))
            return
        self.running.append(_Point(key, handle, letters))

    def wait(self, seconds: float) -> list[tuple[int, Message]]:
        """What was heard of the points, after so long."""
        time.sleep(seconds)
        heard, self.ends = self.ends, []
        now = time.monotonic()
        if now < self.look_at:
            return heard
        self.look_at = now + LOOK_SECONDS
        for point in [*self.running]:
            news = self.cluster.heard(point.handle)
            heard += [(point.key, message) for message in _read(point)]
            if news is not None:
                heard.append((point.key, news))
            if news is not None and news["kind"] == "end":
                point.letters.unlink(missing_ok=True)
                self.running.remove(point)
                self.slots = self.room
        return heard

    def stop(self) -> None:
        """Have each point leave its checkpoint and end."""
        self._cancel(self.running, at_once=False)

    def kill(self) -> None:
        """End each point now, and hear no more of it: the cluster may not answer."""
        self._cancel(self.running, at_once=True)
        gone: Message = {"kind": "end", "state": "interrupted"}
        self.ends += [(point.key, gone) for point in self.running]
        self.running.clear()

    def cancel(self, key: int) -> None:
        """End this point now."""
        self._cancel([point for point in self.running if point.key == key], at_once=True)

    def _cancel(self, points: Sequence[_Point], at_once: bool) -> None:
        if points:
            self.cluster.cancel([point.handle for point in points], at_once)

    def close(self) -> None:
        """Let the cluster go."""
        self.cluster.close()
        if self.letters is not None:
            self.lock.close()
            shutil.rmtree(self.letters, ignore_errors=True)
            with suppress(OSError):  # another command's are there
                self.letters.parent.rmdir()


def failed(error: str) -> Message:
    """The end of a point that did not live to tell it."""
    return {"kind": "end", "state": "failed", "error": error, "again": True}


def _letterbox(parent: Path) -> tuple[Path, IO[str]]:
    """A folder for this command's letters, and its lock; those of killed commands are removed."""
    name = secrets.token_hex(4)
    folder = parent / f"new-{name}"
    folder.mkdir(parents=True)
    lock = (folder / "lock").open("w")
    with suppress(OSError):  # a file system without locks
        take(lock)
        for other in parent.glob("of-*/lock"):
            with suppress(OSError), other.open() as theirs:
                if take(theirs, shared=True):
                    shutil.rmtree(other.parent, ignore_errors=True)
    return folder.rename(parent / f"of-{name}"), lock


def _read(point: _Point) -> list[Message]:
    """The letters that have come; the last, unfinished line waits."""
    try:
        with point.letters.open("rb") as file:
            file.seek(point.read)
            text = file.read()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind(b"\n") + 1]
    point.read += len(whole)
    return [json.loads(line) for line in whole.splitlines()]
