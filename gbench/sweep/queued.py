"""A sweep's points on their way, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gbench.config.compose import Config
from gbench.records.record import RunRecord

State = Literal["waiting", "running", "elsewhere", "finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Outcome:
    """What became of one config."""

    folder: Path
    state: Literal["finished", "failed", "interrupted", "waiting"]
    record: RunRecord | None = None
    error: str = ""


class Outcomes(list[Outcome]):
    """What became of all of them."""

    stopped_by: int = 0  # the signal that ended the sweep early

    @property
    def exit_code(self) -> int:
        """0 if all have finished, 1 if some failed, and what a shell expects of a signal."""
        if self.stopped_by:
            return 128 + self.stopped_by
        return int(any(outcome.state != "finished" for outcome in self))


@dataclass
class Point:
    """One config on its way."""

    config: Config
    folder: Path
    state: State = "waiting"
    attempts: int = 0
    epoch: float = 0
    of: int = 0  # epochs
    best: float | None = None
    # monotonic, like the next two: the clock of the day may be set back; 0: it has not begun
    started: float = 0.0
    ended: float = 0.0
    look_at: float = 0.0
    reason: str = ""  # why it waits on a cluster
    record: RunRecord | None = None
    error: str = ""
    before: bool = False  # it had finished before this sweep began

    def outcome(self) -> Outcome:
        match self.state:
            case "finished" | "failed" | "interrupted" as state:
                return Outcome(self.folder, state, self.record, self.error)
        return Outcome(self.folder, "waiting")
