"""One calm line that says where a run is, on stderr: live in a terminal, now and then elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from gbench.figures import metric_text

if TYPE_CHECKING:
    from gbench.data.spec import DataCard

REFRESH_SECONDS = 0.2  # a terminal is redrawn at most so often
LINE_SECONDS = 10.0  # a log file gets a line at least so often, and one per tenth of the run
FIRST_SECONDS = (
    3.0  # the first line of a log file tells of the inside of an epoch that takes longer
)


class Display:
    """Epoch, loss, validation metric, best so far, seconds per epoch, time left."""

    def __init__(self, console: Console, title: str, card: DataCard, max_epochs: int) -> None:
        self.console = console
        self.title = title
        self.metric, self.item = card.metric, card.item
        self.max_epochs = max_epochs
        self.step = "epoch"  # what is counted: of a floor its settings
        self.live: Live | None = None
        self.started = self.shown = self.epoch_started = 0.0
        self.first_epoch = 0
        self.done = 0.0  # epochs, with the fraction of the current one
        self.text = self.inside = ""

    def start(self, first_epoch: int = 0) -> None:
        """Begin to show; `first_epoch` is where a resumed run goes on."""
        self.started = self.shown = self.epoch_started = time.perf_counter()
        self.first_epoch, self.done = first_epoch, float(first_epoch)
        self.text = "starting"
        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
            self._draw()

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def note(self, text: str) -> None:
        """Say something beside the progress."""
        self.console.print(f"note: {text}", style="yellow", markup=False, soft_wrap=True)

    def batch(self, epoch: int, done: int, batches: int, items: float) -> None:
        """Of the batches of an epoch, which has so many graphs, nodes or links, some are done."""
        if not self._due():
            return
        seconds = time.perf_counter() - self.epoch_started
        speed = items * done / batches / seconds
        self._inside(epoch + done / batches, f"batch {done}/{batches}  {speed:,.0f} {self.item}/s")

    def validation(self, epoch: int, fraction: float) -> None:
        """An epoch is trained, and part of its validation is done."""
        if self._due():
            self._inside(epoch + 1, f"validation {fraction:.0%}")

    def _due(self) -> bool:
        """Whether it is time to say something in the middle of an epoch."""
        now = time.perf_counter()
        if self.live is not None:
            return now - self.shown > REFRESH_SECONDS
        if now - self.epoch_started <= FIRST_SECONDS:  # its own line comes soon
            return False
        return self.shown == self.started or now - self.shown > LINE_SECONDS

    def _inside(self, done: float, text: str) -> None:
        self.done, epoch = done, math.ceil(done)
        self.inside = f"{self.step} {epoch}/{self.max_epochs}  {text}"
        if self.live is not None:
            self._draw()
        else:
            self._print(self.inside)

    def epoch(self, row: Mapping[str, float], best: float | None, best_epoch: int) -> None:
        """An epoch is over; `row` holds its loss, validation metric and seconds."""
        epoch = int(row["epoch"]) + 1
        now = self.epoch_started = time.perf_counter()
        self.inside = ""
        tenth = self.live is None and epoch % max(self.max_epochs // 10, 1) == 0
        due = now - self.shown > (REFRESH_SECONDS if self.live else LINE_SECONDS)
        if not (tenth or due or epoch == self.max_epochs):
            return
        self.done = float(epoch)
        losses = {k.removeprefix("train_"): v for k, v in row.items() if k.startswith("train_")}
        losses.pop("seconds", None)
        parts = [f"{name} {value:.4f}" for name, value in losses.items()]
        if "valid" in row:
            parts.append(f"valid {self.metric} {metric_text(self.metric, row['valid'])}")
        if best is not None:
            parts.append(f"best {metric_text(self.metric, best)} @{best_epoch + 1}")
        self.text = "  ".join([*parts, f"{_duration(row['seconds'])}/{self.step}"])
        if self.live is not None:
            self._draw()
        else:
            self._print(f"{self.step} {epoch}/{self.max_epochs}  {self.text}")

    def _print(self, text: str) -> None:
        self.shown = time.perf_counter()
        self.console.print(f"{text}  left {self._left()}", soft_wrap=True, highlight=False)

    def _draw(self) -> None:
        assert self.live is not None
        self.shown = time.perf_counter()
        line = Table.grid(padding=(0, 1))
        for _ in range(3):
            line.add_column(no_wrap=True)
        bar = ProgressBar(total=self.max_epochs, completed=self.done, width=16)
        count = f"[bold]{self.title}[/]  {int(self.done)}/{self.max_epochs}"
        line.add_row(count, bar, f"[dim]left[/] {self._left()}")
        block = Table.grid()
        block.add_row(line)
        block.add_row(self.text)
        if self.inside:
            block.add_row(f"[dim]{self.inside}[/]")
        self.live.update(block, refresh=True)

    def _left(self) -> str:
        advanced = self.done - self.first_epoch
        if advanced <= 0:
            return "?"
        spent = time.perf_counter() - self.started
        return clock(spent / advanced * (self.max_epochs - self.done))


def clock(seconds: float) -> str:
    """0:42, 3:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
