"""gbench's side of a comparison: `gbench train` without the record at its end."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from gbench.bench import measure
from gbench.build import build_task
from gbench.config.compose import Config
from gbench.train.epochs import Epochs
from gbench.train.loggers import make_loggers
from gbench.train.progress import Display
from gbench.train.rounds import Rounds
from gbench.train.task import Task
from gbench.train.trainer import make_trainer


def trained(config: Config, epochs: int) -> tuple[Task, float]:
    """Train for at most so many epochs: the task with its best weights, and seconds per epoch.

    The seconds are those between the ends of the first and the last epoch, with all that is done
    for an epoch: training, validation, Lightning's loop, display, learning curve and checkpoints.
    """
    config = {**config, "trainer": {**config["trainer"], "max_epochs": epochs}}
    task = build_task(config)
    with tempfile.TemporaryDirectory() as folder:
        display = Clock(Console(stderr=True, quiet=True), "", task.dataset.card, epochs)
        last = Path(folder) / "last.ckpt"
        memory = Epochs(config, task.dataset.card, last_checkpoint=last, display=display)
        callbacks = [memory, Rounds(memory, config["trainer"])]
        loggers = make_loggers(config, Path(folder))
        make_trainer(config["trainer"], callbacks, loggers).fit(task)
    task.model.load_state_dict(memory.best_weights)
    return task, display.seconds_per_epoch


class Clock(Display):
    """When each epoch ended, of which a display is told last."""

    def start(self, first_epoch: int = 0) -> None:
        super().start(first_epoch)
        self.ends: list[float] = []
        self.now = measure.cpu_clock()

    def epoch(self, row: Mapping[str, float], best: float | None, best_epoch: int) -> None:
        super().epoch(row, best, best_epoch)
        self.ends.append(self.now())

    @property
    def seconds_per_epoch(self) -> float:
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
