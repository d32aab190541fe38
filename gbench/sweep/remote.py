"""The executor of other machines: a cluster's own engine starts and ends the points.

These machines and this one share the runs folder. What a point says while it runs lies in a file
there; how it ended is told by the cluster, whatever became of the machine.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gbench.config import Config
from gbench.sweep.fork_server import Job, Message, carry_out


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
        with self.letters.open("a", encoding="utf-8") as file:

            def send(message: Message) -> None:
                with suppress(OSError):
                    file.write(f"{json.dumps(message)}\n")
                    file.flush()

            send({"kind": "started", "pid": os.getpid()})
            return carry_out(self.job, send)


class Cluster(Protocol):
    """An engine that runs functions on other machines."""

    def submit(self, work: Posted) -> Any:
        """Have the work done; returns what stands for it below."""

    def ended(self, handle: Any) -> Message | None:
        """The message that tells how it ended, None while it has not."""

    def cancel(self, handle: Any, at_once: bool) -> None:
        """Have it interrupted, or ended at once."""

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

    def start(self, key: int, config: Config, folder: Path) -> None:
        """Hand the point to the cluster."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        letters = folder / f".letters-{secrets.token_hex(4)}"
        job = Job(config, folder, 0, None, self.runs)
        work = Posted(job, letters, Path.cwd(), [*sys.path])
        self.running.append(_Point(key, self.cluster.submit(work), letters))

    def wait(self, seconds: float) -> list[tuple[int, Message]]:
        """What was heard of the points, after so long."""
        time.sleep(seconds)
        heard: list[tuple[int, Message]] = []
        for point in [*self.running]:
            end = self.cluster.ended(point.handle)
            heard += [(point.key, message) for message in _read(point)]
            if end is not None:
                heard.append((point.key, end))
                point.letters.unlink(missing_ok=True)
                self.running.remove(point)
        return heard

    def stop(self) -> None:
        """Have each point leave its checkpoint and end."""
        for point in self.running:
            self.cluster.cancel(point.handle, at_once=False)

    def kill(self) -> None:
        """End each point now."""
        for point in self.running:
            self.cluster.cancel(point.handle, at_once=True)

    def cancel(self, key: int) -> None:
        """End this point now."""
        for point in self.running:
            if point.key == key:
                self.cluster.cancel(point.handle, at_once=True)

    def close(self) -> None:
        """Let the cluster go."""
        self.cluster.close()


def failed(error: str) -> Message:
    """The end of a point that did not live to tell it."""
    return {"kind": "end", "state": "failed", "error": error, "again": True}


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
