"""What happens at the end of each epoch: validate, keep the best weights, log, show, stop.

Lightning's own callbacks for this act once per Lightning epoch, which is a round of epochs here
(see loader.py), and cost more than an epoch on a small graph does.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger
from torch import Tensor

from gbench.errors import UserError
from gbench.train.metrics import is_better

if TYPE_CHECKING:
    from gbench.train.progress import Display
    from gbench.train.task import Task


class Epochs(Callback):  # type: ignore[misc]
    """The run's memory: a row per epoch, the best epoch and its weights, all in the checkpoint."""

    def __init__(
        self, *, max_epochs: int, patience: int, last_checkpoint: Path, display: Display
    ) -> None:
        self.max_epochs = max_epochs
        self.patience = patience
        self.last_checkpoint = last_checkpoint
        self.display = display
        self.curve: list[dict[str, float]] = []  # epoch, train_loss, valid, seconds, train_seconds
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self.random_state: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, task: Task) -> None:
        """Continue the random numbers and the logged curve where a resumed run was cut."""
        if self.random_state:
            torch.set_rng_state(self.random_state["cpu"].cpu())
            if "cuda" in self.random_state and task.device.type == "cuda":
                torch.cuda.set_rng_state(self.random_state["cuda"].cpu(), task.device)
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):  # it begins its file anew; wandb goes on
                for row in self.curve:
                    _log(logger, row)
        self.display.start(first_epoch=task.epoch)
        trainer.should_stop = self._is_over(task)  # cut between its last epoch and its record
        self._begin_epoch(task)

    def _begin_epoch(self, task: Task) -> None:
        self.batches_done = 0
        self.loss_sum = torch.zeros((), device=task.device)
        self.epoch_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, task: Task, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.loss_sum += outputs["loss"].detach()
        self.batches_done += 1
        assert task.batches is not None
        if self.batches_done < task.batches.batches_per_epoch:
            self.display.batch(task.epoch, self.batches_done / task.batches.batches_per_epoch)
            return
        self._end_epoch(trainer, task)
        self._begin_epoch(task)

    def _end_epoch(self, trainer: Trainer, task: Task) -> None:
        train_loss = self.loss_sum.item() / self.batches_done
        trained = time.perf_counter()
        if not math.isfinite(train_loss):
            raise UserError(
                f"the training loss became {train_loss} in epoch {task.epoch}: "
                "try a smaller optim.lr, or trainer.gradient_clip_val=1"
            )
        valid = task.evaluate("valid", trainer.precision_plugin.val_step_context())
        if is_better(task.dataset.card, valid, self.best):
            self.best, self.best_epoch = valid, task.epoch
            state = task.model.state_dict()
            self.best_weights = {name: value.detach().clone() for name, value in state.items()}
        now = time.perf_counter()
        row = {
            "epoch": task.epoch,
            "train_loss": train_loss,
            "valid": valid,
            "seconds": now - self.epoch_started,
            "train_seconds": trained - self.epoch_started,
        }
        self.curve.append(row)
        task.epoch += 1
        for logger in trainer.loggers:
            _log(logger, row)
        self.display.epoch(row, self.best, self.best_epoch)
        if self._is_over(task):
            trainer.should_stop = True

    def _is_over(self, task: Task) -> bool:
        waited = task.epoch - 1 - self.best_epoch
        return task.epoch >= self.max_epochs or 0 < self.patience <= waited

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
        task.max_epochs = self.max_epochs

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
