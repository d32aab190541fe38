"""A GCN that tells the kill sweep each thing that happens, and kills where the plan says so.

What happens is a step of training, or a file below the runs folder about to be opened, renamed or
removed. A point is killed so many calls of functions later, which may be in the midst of a write.
It ends its round, and so writes its checkpoint, after each epoch, however long one takes.

Of the folder that the environment names this reads `sweep`, the sweep's process, and `plan.json`,
a list of [number, calls later, kind]; it appends a byte to `events` for each thing that happens, in
any process, and a line to `kills` for each kill that is given.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

import gbench.train.loader
from gbench.data.batch import Batch
from gbench.models.gcn import GCN

FOLDER = Path(os.environ["GBENCH_KILL_SWEEP"])
WATCHED = ("open", "os.rename", "os.remove")


class Doomed(GCN):
    """GCN, and no other number than GCN's."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        gbench.train.loader.ROUND_SECONDS = 0.0
        sys.addaudithook(_audit)

    def forward(self, batch: Batch) -> Tensor:
        if self.training:
            happened()
        return super().forward(batch)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in WATCHED and str(args[0]).startswith(f"{FOLDER}/runs/"):
        happened()


def happened() -> None:
    """Count one more thing, and give the kill that is due, if its aim is alive."""
    with (FOLDER / "events").open("ab", buffering=0) as events:
        fcntl.flock(events, fcntl.LOCK_EX)  # of the points of a sweep, one at a time is here
        events.write(b".")
        plan = json.loads((FOLDER / "plan.json").read_bytes())
        with (FOLDER / "kills").open("a+", buffering=1) as kills:
            kills.seek(0)
            given = len(kills.readlines())
            if given == len(plan) or events.tell() < plan[given][0]:
                return
            _, calls, kind = plan[given]
            for pid in aims(kind):
                kills.write(f"{kind}\n")
                if kind == "a point":
                    sys.setprofile(Fuse(calls))
                else:
                    os.kill(pid, signal.SIGKILL)


class Fuse:
    """Kills its process after so many calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self, frame: object, event: str, argument: object) -> None:
        self.calls -= event.endswith("call")
        if self.calls < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def aims(kind: str) -> list[int]:
    """The process to kill, or none where it is gone already."""
    if kind == "a point":
        return [os.getpid()]
    pid = os.getppid() if kind == "the fork server" else int((FOLDER / "sweep").read_text())
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    mark = b"fork_server.main" if kind == "the fork server" else b"seeds="
    return [pid] if mark in command else []
