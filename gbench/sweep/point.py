"""One point in the process that trains it: what it tells while it runs, and how it ended.

A message is a plain dict with `kind`: "progress", or once, as the last one, "end" with `state`:

* finished: the record is in the folder
* failed: with `error`, with `text`, which says more where nothing foresaw it, and with `again`,
  whether trying it again may help (it cannot for a UserError)
* interrupted: told to stop; a checkpoint is there to go on from
* busy: another process is training in this folder
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from gbench.config.compose import Config
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.fault import fault_of
from gbench.quiet import silence
from gbench.records.folder import Busy, failure_text
from gbench.sweep.job import Message, Send
from gbench.train.interrupt import Interrupted, stoppable
from gbench.train.progress import FIRST_SECONDS, REFRESH_SECONDS, Display
from gbench.training import train


def run_point(config: Config, folder: Path, send: Send) -> Message:
    """Train in `folder`, `send` progress, and return the message that says how it ended."""
    console = Console(quiet=True)
    return told(lambda: train(config, folder, console, display=Reporter(console, config, send)))


def told(work: Callable[[], object]) -> Message:
    """The message that says how the work ended."""
    silence()  # a job on another machine has not done so
    try:
        with stoppable():
            work()
    except Interrupted:
        return {"kind": "end", "state": "interrupted"}
    except Busy as busy:
        return {"kind": "end", "state": "busy", "error": str(busy)}
    except UserError as error:
        sentence = failure_text(error)[:-1]
        return {"kind": "end", "state": "failed", "error": sentence, "again": False}
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        sentence, text = fault_of(error).sentence, failure_text(error)
        end = {"kind": "end", "state": "failed", "error": sentence, "again": True}
        return {**end, "text": text}
    return {"kind": "end", "state": "finished"}


class Reporter(Display):
    """A display whose line is a message, at most every REFRESH_SECONDS."""

    def __init__(self, console: Console, config: Config, send: Send) -> None:
        card = DataCard.from_config(config["data"])
        # a floor tells later how many settings it tries
        super().__init__(console, card.title, card, config["trainer"].get("max_epochs", 0))
        self.send = send
        self.best: float | None = None

    def start(self, first_epoch: int = 0) -> None:
        """Training begins, in `first_epoch` of a resumed run."""
        self._send(first_epoch, None)

    def batch(self, epoch: int, done: int, batches: int, items: float) -> None:
        """Part of an epoch is done: of interest where an epoch takes long."""
        if time.monotonic() - self.shown > FIRST_SECONDS:
            self._send(epoch + done / batches, self.best)

    def validation(self, epoch: int, fraction: float) -> None:
        """The sweep's table has no room for it."""

    def epoch(self, row: Mapping[str, float], best: float | None, best_epoch: int) -> None:
        """An epoch is over."""
        self.best = best
        if time.monotonic() - self.shown > REFRESH_SECONDS:
            self._send(row["epoch"] + 1, best)

    def _send(self, epoch: float, best: float | None) -> None:
        self.shown = time.monotonic()
        self.send({"kind": "progress", "epoch": epoch, "of": self.max_epochs, "best": best})
