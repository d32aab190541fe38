"""A sweep as one live table; elsewhere than in a terminal, a line for each point that ends."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gbench.figures import counted, metric_text, seconds_text
from gbench.sweep.labels import labels
from gbench.train.progress import REFRESH_SECONDS, clock

if TYPE_CHECKING:
    from gbench.sweep.queued import Point

STATUS_SECONDS = 30.0  # a log file gets a line at least so often
OTHER_LINES = 4  # of the terminal, for what stands around the rows
FEWEST_ROWS = 3
MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▸", "cyan"),
    "elsewhere": ("…", "yellow"),
    "finished": ("✓", "green"),
    "failed": ("✗", "red"),
    "interrupted": ("‖", "yellow"),
}
IMPORTANCE = ("running", "failed", "elsewhere", "interrupted", "waiting", "finished")


class View:
    """What the user sees of the points while they run."""

    def __init__(self, points: Sequence[Point], slots: int, console: Console) -> None:
        self.points = points
        self.slots = slots
        self.console = console
        self.labels = dict(
            zip(map(id, points), labels([point.config for point in points]), strict=True)
        )
        self.started = self.shown = time.monotonic()
        self.live: Live | None = None

    def __enter__(self) -> View:
        before = sum(point.before for point in self.points)
        text = f"{counted(len(self.points), 'run')}, {self.slots} at a time"
        if before:
            text += f"; {before} have finished before"
        self.console.print(text, style="bold")
        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
            self.draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def say(self, text: str) -> None:
        """Something that concerns all points."""
        self.console.print(text, style="yellow")

    def event(self, point: Point, note: str = "") -> None:
        """A point ended, or something is to be said: in a terminal the table tells most of it."""
        if self.live is None or note or point.state == "failed":
            over = sum(other.state in ("finished", "failed") for other in self.points)
            width = len(str(len(self.points)))
            text = Text(f"{over:{width}}/{len(self.points)}  {self.labels[id(point)]}  ")
            mark, style = MARKS[point.state]
            text.append(f"{mark} {note or self._result(point)}", style)
            self.shown = time.monotonic()
            self.console.print(text, soft_wrap=True)

    def draw(self) -> None:
        """Show where all points are, if it is time to."""
        now = time.monotonic()
        if now - self.shown < (REFRESH_SECONDS if self.live else STATUS_SECONDS):
            return
        self.shown = now
        if self.live is None:
            self.console.print(self._status(), soft_wrap=True)
        else:
            self.live.update(self._table(), refresh=True)

    def _status(self) -> str:
        counts = Counter("pending" if _pending(point) else point.state for point in self.points)
        words = {"elsewhere": "in another process", "waiting": "queued"}
        states = [
            f"{counts[state]} {words.get(state, state)}"
            for state in ("running", "pending", "elsewhere", "failed", "waiting")
            if counts[state]
        ]
        reasons = sorted({point.reason for point in self.points if _pending(point)})
        states = [f"{s} ({', '.join(reasons)})" if s.endswith(" pending") else s for s in states]
        first = f"{counts['finished']} of {len(self.points)} finished"
        return " · ".join([first, *states, f"left {self._left()}"])

    def _left(self) -> str:
        started = sum(_fraction(point) for point in self.points)
        over = sum(point.state in ("finished", "failed") for point in self.points if point.ended)
        still = sum(point.state in ("waiting", "running") for point in self.points)
        if started + over == 0:
            return "?"
        spent = time.monotonic() - self.started
        return clock(spent / (started + over) * (still - started))

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        room = max(self.console.height - OTHER_LINES, FEWEST_ROWS)
        ranked = sorted(self.points, key=lambda point: IMPORTANCE.index(point.state))
        # of those that have finished the last ones, of the others the first
        finished = [point for point in ranked if point.state == "finished"]
        finished.sort(key=lambda point: -point.ended)
        others = [point for point in ranked if point.state != "finished"]
        chosen = {id(point) for point in [*others, *finished][:room]}
        for point in self.points:
            if id(point) in chosen:
                mark, style = MARKS[point.state]
                table.add_row(
                    Text(mark, style),
                    Text(self.labels[id(point)], no_wrap=True, overflow="ellipsis"),
                    ProgressBar(total=point.of or 1, completed=point.epoch, width=12)
                    if point.state == "running"
                    else "",
                    Text(self._result(point), style, no_wrap=True, overflow="ellipsis"),
                )
        outer = Table.grid()
        outer.add_row(Text(self._status(), "bold"))
        outer.add_row(table)
        hidden = len(self.points) - len(chosen)
        if hidden:
            outer.add_row(Text(f"and {hidden} more", "dim"))
        return outer

    def _result(self, point: Point) -> str:
        metric = point.config["data"]["metric"]
        if point.state == "finished" and point.record is not None:
            record = point.record
            took = point.ended - point.started
            spent = f"  {seconds_text(took)}" if took > 0 else "  before"
            test, valid = metric_text(metric, record.test), metric_text(metric, record.valid)
            return f"test {metric} {test}  valid {valid}{spent}"
        if _pending(point):
            return f"pending: {point.reason}"
        if point.state == "running":
            if not point.of:
                return "starting"
            best = "" if point.best is None else f"  best valid {metric_text(metric, point.best)}"
            return f"epoch {int(point.epoch)}/{point.of}{best}"
        if point.state == "failed":
            return point.error.splitlines()[0] if point.error else "failed"
        return {"waiting": "queued", "elsewhere": "in another process"}.get(
            point.state, point.state
        )


def _pending(point: Point) -> bool:
    """Whether a cluster has it in its queue."""
    return point.state == "running" and not point.started and bool(point.reason)


def _fraction(point: Point) -> float:
    return point.epoch / point.of if point.state == "running" and point.of else 0.0
