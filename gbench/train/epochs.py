"""What happens at the end of each epoch: validate, keep the best weights, log, show, stop.

Lightning's own callbacks for this act once per Lightning epoch, which is a round of epochs here
(see loader.py), and cost more than an epoch on a small graph does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from gbench.errors import UserError
from gbench.metrics import find
from gbench.mirror.mirrored import Mirror
from gbench.train.losses import loss_of
from gbench.train.metrics import score, scores
from gbench.train.monitor import Monitor
from gbench.train.optimizer import decay_penalty, has_penalty
from gbench.train.schedule import Schedule
from gbench.train.stopping import Stopping
from gbench.train.task import mean_of_processes

if TYPE_CHECKING:
    from gbench.data.spec import DataCard
    from gbench.train.progress import Display
    from gbench.train.task import Task


class Epochs(Callback):  # type: ignore[misc]
    """The run's memory: a row per epoch, the best epoch and its weights, all in the checkpoint."""

    def __init__(
        self,
        config: Mapping[str, Any],
        card: DataCard,
        *,
        last_checkpoint: Path,
        display: Display,
    ) -> None:
        trainer = config["trainer"]
        self.monitor = Monitor(trainer["monitor"], card.direction, trainer["ties"])
        self.stopping = Stopping.from_config(trainer)
        self.schedule = Schedule.from_config(config["optim"], trainer["max_epochs"], card.direction)
        self.reads_loss = (
            self.monitor.of != "metric" or self.stopping.reads_loss or self.schedule.reads_loss
        )
        self.also: Sequence[str] = trainer.get("also", ())
        self.keeps_weights = trainer["select"] == "best"
        self.validates_every = trainer.get("check_val_every_n_epoch", 1)
        self.last_checkpoint = last_checkpoint
        self.display = display
        # epoch, train_loss, seconds, train_seconds; of epochs that are validated valid, valid_NAME
        # of each metric of trainer.also, and valid_loss if anything reads it
        self.curve: list[dict[str, float]] = []
        self.best: float | None = None  # what is monitored, in the best epoch
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}  # with trainer.select=best
        self.random_state: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, task: Task) -> None:
        """Continue the random numbers and the logged curve where a resumed run was cut."""
        if self.random_state:
            torch.set_rng_state(self.random_state["cpu"].cpu())
            if "cuda" in self.random_state and task.device.type == "cuda":
                torch.cuda.set_rng_state(self.random_state["cuda"].cpu(), task.device)
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, Mirror):
                others = (f"valid_{name}" for name in self.also)
                loss = ["valid_loss"] if self.reads_loss else []
                logger.go_on([*self.curve], ("valid", *others, *loss))
        if self.monitor.of == "objective" and not has_penalty(trainer.optimizers[0]):
            raise UserError(
                "trainer.monitor=objective adds the penalty that weight decay descends, and that "
                "of this optim.optimizer is none: take trainer.monitor=loss, or adam"
            )
        self.schedule.check_warmup(task.windows.steps_per_epoch)
        self.display.start(first_epoch=task.epoch)
        trainer.should_stop = self._is_over(task)  # cut between its last epoch and its record
        self._begin_epoch(trainer, task)

    def _begin_epoch(self, trainer: Trainer, task: Task) -> None:
        task.position = 0
        if len(self.curve) < self.stopping.max_epochs:  # a schedule need not know more
            self._set_rate(trainer, task)
        self.loss_sum = torch.zeros((), device=task.device)
        self.epoch_started = time.perf_counter()

    def _set_rate(self, trainer: Trainer, task: Task) -> None:
        """The rate of the step to which the next batch belongs."""
        windows = task.windows
        step = task.position // windows.size
        rate = self.schedule.rate(self.curve, step, windows.steps_per_epoch)
        for group in trainer.optimizers[0].param_groups:
            initial = group.get("initial_lr", self.schedule.lr)  # older checkpoints do not say
            group["lr"] = rate * (initial / self.schedule.lr)

    def on_train_batch_end(
        self, trainer: Trainer, task: Task, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.loss_sum += outputs["loss"].detach()
        task.position += 1
        assert task.batches is not None
        number = task.batches.batches_per_epoch
        if task.position < number:
            if self.schedule.changes_within(task.epoch, task.windows.steps_per_epoch):
                self._set_rate(trainer, task)
            self.display.batch(task.epoch, task.position, number, task.batches.items_per_epoch)
            return
        self._end_epoch(trainer, task)
        self._begin_epoch(trainer, task)

    def _end_epoch(self, trainer: Trainer, task: Task) -> None:
        train_loss = mean_of_processes(self.loss_sum).item() / task.position
        trained = time.perf_counter()
        if not math.isfinite(train_loss):
            raise UserError(
                f"the training loss became {train_loss} in epoch {task.epoch + 1}: "
                "try a smaller optim.lr, or trainer.gradient_clip_val=1"
            )
        row = {"epoch": task.epoch, "train_loss": train_loss}
        if (task.epoch + 1) % self.validates_every == 0 or task.epoch + 1 == task.max_epochs:
            row |= self._validation(trainer, task)
            self._keep_best(task, self.monitor.value(row))
        row["seconds"] = time.perf_counter() - self.epoch_started
        row["train_seconds"] = trained - self.epoch_started
        self.curve.append(row)
        task.epoch += 1
        for logger in trainer.loggers if trainer.is_global_zero else ():
            _log(logger, row)
        best = None if self.best is None else self.curve[self.best_epoch]["valid"]
        self.display.epoch(row, best, self.best_epoch)
        if self._is_over(task):
            trainer.should_stop = True

    def _keep_best(self, task: Task, monitored: float) -> None:
        if self.monitor.is_better(monitored, self.best):
            self.best, self.best_epoch = monitored, task.epoch
            if self.keeps_weights:
                state = task.model.state_dict()
                self.best_weights = {name: value.detach().clone() for name, value in state.items()}

    def _validation(self, trainer: Trainer, task: Task) -> dict[str, float]:
        """The metric and, if anything reads it, the loss; both from one forward pass."""
        card, context = task.dataset.card, trainer.precision_plugin.val_step_context()
        tick = partial(self.display.validation, task.epoch)
        logits, y = task.answers("valid", context, tick)
        values = {"valid": score(card, logits, y)}
        if find(card.metric).is_own and not math.isfinite(values["valid"]):
            raise UserError(
                f"metric {card.metric} returned {values['valid']} on the validation part, and has "
                "to return a number, by which epochs are compared"
            )
        others = scores(self.also, logits, y)
        values |= {f"valid_{name}": value for name, value in others.items()}
        if self.reads_loss:
            values["valid_loss"] = loss_of(card, logits, y).item()
        if self.monitor.of == "objective":
            values["valid_loss"] += decay_penalty(trainer.optimizers[0])
        return values

    def _is_over(self, task: Task) -> bool:
        if self.curve and "valid" not in self.curve[-1]:  # what is tested last has been validated
            return False
        best_epoch = None if self.best is None else self.best_epoch
        steps = task.windows.steps_per_epoch
        return self.stopping.is_due(self.curve, best_epoch) or self.schedule.is_over(
            self.curve, steps
        )

    def on_train_epoch_end(self, trainer: Trainer, task: Task) -> None:
        """A round is over: leave a checkpoint to resume from."""
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
