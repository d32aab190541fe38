"""What runs the points of a sweep, as the engine sees it: here, or on other machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gbench.config.compose import Config
from gbench.sweep.job import RUN_POINT, Message
from gbench.sweep.local import Local
from gbench.sweep.remote import Remote
from gbench.sweep.words import Options


class Executor(Protocol):
    """Runs points, at most `slots` of them at once, and passes on what they say."""

    slots: int

    def start(self, key: int, config: Config, folder: Path) -> None:
        """Run the point; `key` comes back with what is heard of it."""

    def wait(self, seconds: float) -> list[tuple[int, Message]]:
        """What was heard within so long, as (key, message).

        A "started", then messages as point.py tells them; the last one of a point is always an
        "end". A process that died without one ends as "failed", or "lost" if it had not started.
        A cluster says "pending" of a point that it has queued, or queued again, and ends one as
        "cut" that is to be started again, and as "refused" one for which it has no room now. A
        "room" says that there are other `slots` from now on, and why.
        """

    def stop(self) -> None:
        """Tell all points to leave their checkpoints and end; `wait` hears what became of them."""

    def kill(self) -> None:
        """End all points now."""

    def cancel(self, key: int) -> None:
        """End this point now; `wait` hears its end."""

    def close(self) -> None:
        """Let everything go."""


def make_executor(configs: Sequence[Config], options: Options, runs: str = RUN_POINT) -> Executor:
    """The executor that the options name, for these configs; `runs` is what a process calls."""
    jobs = None if options.jobs == "auto" else options.jobs
    match options.executor:
        case "slurm":
            from gbench.sweep.slurm import Slurm

            return Remote(Slurm(configs, options.cluster), jobs or len(configs), runs)
        case "ray":
            from gbench.sweep.ray import Ray

            ray = Ray(configs, options.cluster)
            return Remote(ray, jobs or ray.room(), runs)
    return Local(configs, options.jobs, runs)
