"""A search as one live table; elsewhere than in a terminal, a line for each trial that ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gbench.config.compose import Config
from gbench.figures import metric_text
from gbench.train.progress import REFRESH_SECONDS

if TYPE_CHECKING:
    from gbench.search.running import Running
    from gbench.search.space import Value
    from gbench.search.study import Study

LAST_LINES = 8  # of trials that ended, in the live table


class View:
    """What the user sees of the trials while they run."""

    def __init__(
        self,
        study: Study,
        running: Mapping[int, Running],
        limit: int,
        slots: int,
        base: Config,
        console: Console,
    ) -> None:
        self.study, self.running = study, running  # the trials by number, as they come and go
        self.limit, self.slots = limit, slots
        self.of = base["data"]["metric"]
        self.title = f"{base['model']['name']} on {base['data']['name']}"
        self.console = console
        self.shown = 0.0
        self.live: Live | None = None
        self.ended: list[Text] = []

    def __enter__(self) -> View:
        tally = self.study.tally()
        known = f"; {tally.spent} of them are known" if tally.spent else ""
        text = f"{self.title}: {self.limit} trials, {self.slots} at a time"
        self.console.print(f"{text}{known}", style="bold", soft_wrap=True)
        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def metric(self, value: float) -> str:
        """A validation metric in words."""
        return f"valid {self.of} {metric_text(self.of, value)}"

    def say(self, text: str) -> None:
        """Something that concerns all trials."""
        self.console.print(text, style="yellow")

    def event(self, number: int, values: Mapping[str, Value], note: str) -> None:
        """A trial ended, or is tried again."""
        style = "red" if note.startswith(("failed", "cannot")) else ""
        line = Text(f"trial {number:3}  {setting_text(values)}  ")
        line.append(note, "dim" if note.startswith("pruned") else style)
        best = self.study.best()
        if best is not None and best.number == number:
            line.append("  best so far", "green")
        if self.live is None:
            self.console.print(line, soft_wrap=True)
        self.ended = [*self.ended, line][-LAST_LINES:]

    def draw(self) -> None:
        """Show where the trials are, if it is time to."""
        now = time.monotonic()
        if self.live is None or now - self.shown < REFRESH_SECONDS:
            return
        self.shown = now
        study = self.study
        tally, known = study.tally(), ""
        for trial in study.ranked()[:1]:
            known = f" · best {self.metric(study.value(trial))}, trial {trial.number}"
        head = Text(f"{tally.spent} of {self.limit} trials · {tally}{known}", "bold")
        table = Table.grid(padding=(0, 1))
        for number, running in self.running.items():
            table.add_row(
                Text("▸", "cyan"),
                Text(f"{number:3}  {setting_text(running.values)}", no_wrap=True),
                ProgressBar(total=running.of or 1, completed=running.epoch, width=12),
            )
        self.live.update(Group(head, table, *self.ended), refresh=True)


def setting_text(values: Mapping[str, Value]) -> str:
    """`hidden_dim=16 lr=0.0312`: short, for reading."""
    return " ".join(
        f"{key.rpartition('.')[2]}={value:.3g}"
        if isinstance(value, float)
        else f"{key.rpartition('.')[2]}={value}"
        for key, value in values.items()
    )
