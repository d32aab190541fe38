"""What happens at the end of each epoch: validate, keep the best weights, log, show, stop.

Lightning's own callbacks for this act once per Lightning epoch, which is a round of epochs here
(see loader.py), and cost more than an epoch on a small graph does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from gbench.errors import UserError
from gbench.mirror.mirrored import Mirror
from gbench.peak_memory import PeakMemory
from gbench.train import loader
from gbench.train.monitor import Monitor
from gbench.train.optimizer import has_penalty
from gbench.train.processes import mean_of_processes
from gbench.train.rates import Rates, reads_tensors
from gbench.train.schedule import Schedule
from gbench.train.stopping import Stopping
from gbench.train.validation import Validation

if TYPE_CHECKING:
    from gbench.data.spec import DataCard
    from gbench.train.progress import Display
    from gbench.train.task import Task


LONG = 0.02  # seconds, beside which the two readings of a peak are nothing


class Epochs(Callback):  # type: ignore[misc]
    """The run's memory: a row per epoch, the best epoch and its weights, all in the checkpoint."""

    def __init__(
        self,
        config: Mapping[str, Any],
        card: DataCard,
        *,
        last_checkpoint: Path,
        display: Display,
        peaks: PeakMemory | None = None,
    ) -> None:
        trainer = config["trainer"]
        self.monitor = Monitor(trainer["monitor"], card.direction, trainer["ties"])
        self.stopping = Stopping.from_config(trainer)
        self.schedule = Schedule.from_config(config["optim"], trainer["max_epochs"], card.direction)
        readers = (self.monitor.of != "metric", self.stopping.reads_loss, self.schedule.reads_loss)
        is_objective = self.monitor.of == "objective"
        self.validation = Validation(trainer.get("also", ()), any(readers), is_objective)
        self.keeps_weights = trainer["select"] == "best"
        self.validates_every = trainer.get("check_val_every_n_epoch", 1)
        self.last_checkpoint = last_checkpoint
        self.display = display
        self.peaks = peaks
        # epoch, train_loss, seconds, train_seconds; of epochs that are validated valid, valid_NAME
        # of each metric of trainer.also, and valid_loss if anything reads it
        self.curve: list[dict[str, float]] = []
        self.best: float | None = None  # what is monitored, in the best epoch
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}  # with trainer.select=best
        self.random_state: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, task: Task) -> None:
        """Continue the random numbers and the logged curve where a resumed run was cut."""
        self.started = time.perf_counter()
        if self.random_state:
            torch.set_rng_state(self.random_state["cpu"].cpu())
            if "cuda" in self.random_state and task.device.type == "cuda":
                torch.cuda.set_rng_state(self.random_state["cuda"].cpu(), task.device)
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, Mirror):
                others = (f"valid_{name}" for name in self.validation.also)
                loss = ["valid_loss"] if self.validation.loss else []
                logger.go_on([*self.curve], ("valid", *others, *loss))
        if self.validation.objective and not has_penalty(trainer.optimizers[0]):
            raise UserError(
                "trainer.monitor=objective adds the penalty that weight decay descends, and that "
                "of this optim.optimizer is none: take trainer.monitor=loss, or adam"
            )
        if self.peaks is not None:
            self.peaks.place(task.device)
            self.peaks.begin("training")
        self.schedule.check_warmup(task.windows.steps_per_epoch)
        self.rates = Rates(trainer.optimizers[0], self.schedule.lr)
        self.rates.to_numbers()
        if task.device.type == "cuda" and reads_tensors(trainer.optimizers[0]):
            self.rates.to(task.device)
        self.display.start(first_epoch=task.epoch)
        trainer.should_stop = self._is_over(task)  # cut between its last epoch and its record
        self.begin_epoch(task)

    def begin_epoch(self, task: Task) -> None:
        """Its first batch is next."""
        task.position = 0
        if len(self.curve) < self.stopping.max_epochs:  # a schedule need not know more
            self.set_rate(task)
        self.loss_sum: Tensor | None = None
        self.epoch_started = time.perf_counter()

    def set_rate(self, task: Task) -> None:
        """Set the rate of the step to which the next batch belongs."""
        windows = task.windows
        step = task.position // windows.size
        self.rates.set(self.schedule.rate(self.curve, step, windows.steps_per_epoch))

    def on_train_batch_end(
        self, trainer: Trainer, task: Task, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = task.shown(outputs["loss"])
        self.loss_sum = loss if self.loss_sum is None else self.loss_sum + loss
        task.position += 1
        assert task.batches is not None
        number = task.batches.batches_per_epoch
        if task.position < number:
            if self.schedule.changes_within(task.epoch, task.windows.steps_per_epoch):
                self.set_rate(task)
            self.display.batch(task.epoch, task.position, number, task.batches.items_per_epoch)
            return
        self.end_epoch(trainer, task)
        self.begin_epoch(task)

    def end_epoch(self, trainer: Trainer, task: Task) -> None:
        """Validate where it is due, and add the epoch's row; `loss_sum` is that of its batches."""
        assert self.loss_sum is not None
        sums = mean_of_processes(self.loss_sum).view(-1).tolist()
        trained = time.perf_counter()
        row = self.trained(task, [each / task.position for each in sums])
        if self.is_validated(task):
            with self._peak_told(trained - self.epoch_started):
                tick = partial(self.display.validation, task.epoch)
                row |= self.validation.run(task, trainer, tick)
            if self.is_best(task, row) and self.keeps_weights:
                state = task.model.state_dict()
                self.best_weights = {name: value.detach().clone() for name, value in state.items()}
        row["seconds"] = time.perf_counter() - self.epoch_started
        row["train_seconds"] = trained - self.epoch_started
        self.add(trainer, task, row)

    @contextmanager
    def _peak_told(self, seconds: float) -> Iterator[None]:
        """Tell the validation's peak memory from the training's, where it costs little time."""
        peaks = self.peaks
        if peaks is None or (seconds < LONG and peaks.knows("validation")):
            yield
        else:
            peaks.begin("validation")
            yield
            peaks.begin("training")

    def trained(self, task: Task, shown: Sequence[float]) -> dict[str, float]:
        """The row's part of the training; raises UserError for a loss that is no number."""
        train_loss = shown[0]
        if not math.isfinite(train_loss):
            raise UserError(
                f"the training loss became {train_loss} in epoch {task.epoch + 1}: "
                "try a smaller optim.lr, or trainer.gradient_clip_val=1"
            )
        return {"epoch": task.epoch, **task.named(shown)}

    def is_validated(self, task: Task, ahead: int = 0) -> bool:
        """Whether the epoch, or the one `ahead` epochs after it, ends with a validation."""
        number = task.epoch + ahead + 1
        return number % self.validates_every == 0 or number == task.max_epochs

    def add(self, trainer: Trainer, task: Task, row: dict[str, float]) -> None:
        """An epoch is over: keep, log and show its row, and stop where it is the last."""
        self.curve.append(row)
        task.epoch += 1
        for logger in trainer.loggers if trainer.is_global_zero else ():
            _log(logger, row)
        best = None if self.best is None else self.curve[self.best_epoch]["valid"]
        self.display.epoch(row, best, self.best_epoch)
        if self._is_over(task):
            trainer.should_stop = True

    def is_best(self, task: Task, row: Mapping[str, float]) -> bool:
        """Whether the epoch is the best so far, which is remembered."""
        monitored = self.monitor.value(row)
        if not self.monitor.is_better(monitored, self.best):
            return False
        self.best, self.best_epoch = monitored, task.epoch
        return True

    def _is_over(self, task: Task) -> bool:
        if self.curve and "valid" not in self.curve[-1]:  # what is tested last has been validated
            return False
        best_epoch = None if self.best is None else self.best_epoch
        steps = task.windows.steps_per_epoch
        return self.stopping.is_due(self.curve, best_epoch) or self.schedule.is_over(
            self.curve, steps
        )

    def on_train_epoch_end(self, trainer: Trainer, task: Task) -> None:
        """A round is over: leave a checkpoint to resume from, unless the whole run took no longer.

        Several processes write one together, and their clocks differ.
        """
        lasted = time.perf_counter() - self.started
        if not trainer.should_stop or lasted > loader.ROUND_SECONDS or trainer.world_size > 1:
            trainer.save_checkpoint(self.last_checkpoint, weights_only=False)
        self.epoch_started = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        random_state = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            random_state["cuda"] = torch.cuda.get_rng_state()
        return {
            "curve": self.curve,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "random_state": random_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def setup(self, trainer: Trainer, task: Task, stage: str) -> None:
        task.max_epochs = self.stopping.max_epochs

    def on_load_checkpoint(self, trainer: Trainer, task: Task, checkpoint: dict[str, Any]) -> None:
        """The task's epoch is the number of rows; the loader asks for it before training starts."""
        task.epoch = len(checkpoint["callbacks"][self.state_key]["curve"])

    @property
    def seconds_per_epoch(self) -> float:
        """Median over the epochs, validation included."""
        return median(row["seconds"] for row in self.curve)

    @property
    def train_seconds_per_epoch(self) -> float:
        """Median over the epochs, training alone."""
        return median(row["train_seconds"] for row in self.curve)


def _log(logger: Logger, row: dict[str, float]) -> None:
    metrics = {key: value for key, value in row.items() if key != "epoch"}
    logger.log_metrics(metrics, step=int(row["epoch"]))
