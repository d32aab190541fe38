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
from lightning.pytorch.plugins.precision import Precision
from torch import Tensor

from gbench.errors import UserError
from gbench.metrics import find
from gbench.mirror.mirrored import Mirror
from gbench.models.answers import nan_answered
from gbench.peak_memory import PeakMemory
from gbench.train import capturing, loader
from gbench.train.capturing import Recorder
from gbench.train.cuda_graph import NotCapturedError
from gbench.train.framed import FramedSteps
from gbench.train.losses import loss_of
from gbench.train.metrics import score, scores
from gbench.train.monitor import Monitor
from gbench.train.optimizer import decay_penalty, has_penalty, penalty
from gbench.train.plain_steps import PlainSteps
from gbench.train.rates import Rates, reads_tensors
from gbench.train.schedule import Schedule
from gbench.train.sources import Graphs
from gbench.train.stopping import Stopping
from gbench.train.stretch import Reads, Stretch, Validated
from gbench.train.task import mean_of_processes

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
        self.reads_loss = (
            self.monitor.of != "metric" or self.stopping.reads_loss or self.schedule.reads_loss
        )
        self.also: Sequence[str] = trainer.get("also", ())
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
        self.cuda_graphs = capturing.wanted(trainer)
        self.record: Recorder | None = None  # of a run whose epochs are captured
        self.stretch: Stretch | None = None
        self.framed: FramedSteps | None = None
        self.is_captured = False  # some of this process's epochs were

    def on_train_start(self, trainer: Trainer, task: Task) -> None:
        """Continue the random numbers and the logged curve where a resumed run was cut."""
        self.started = time.perf_counter()
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
        if self.peaks is not None:
            self.peaks.place(task.device)
            self.peaks.begin("training")
        self.schedule.check_warmup(task.windows.steps_per_epoch)
        self.rates = Rates(trainer.optimizers[0], self.schedule.lr)
        self.rates.to_numbers()
        if task.device.type == "cuda" and reads_tensors(trainer.optimizers[0]):
            self.rates.to(task.device)
        self._plan_capture(trainer, task)
        self.display.start(first_epoch=task.epoch)
        trainer.should_stop = self._is_over(task)  # cut between its last epoch and its record
        self._begin_epoch(trainer, task)

    def _plan_capture(self, trainer: Trainer, task: Task) -> None:
        """Decide whether epochs are captured; raise UserError where that is asked for in vain."""
        if self.cuda_graphs != "off":
            reason = capturing.refusal(task, trainer)
            if reason and self.cuda_graphs == "on":
                raise capturing.told(reason)
            self.record = None if reason else capturing.recorder(task.device)
        if self.record is not None and self.rates.tensor is None:
            self.rates.to(task.device)

    def _begin_epoch(self, trainer: Trainer, task: Task) -> None:
        task.position = 0
        if len(self.curve) < self.stopping.max_epochs:  # a schedule need not know more
            self._set_rate(task)
        self.loss_sum: Tensor | None = None
        self.epoch_started = time.perf_counter()

    def _set_rate(self, task: Task) -> None:
        """The rate of the step to which the next batch belongs."""
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
                self._set_rate(task)
            self.display.batch(task.epoch, task.position, number, task.batches.items_per_epoch)
            return
        self._end_epoch(trainer, task)
        self._begin_epoch(trainer, task)

    def _end_epoch(self, trainer: Trainer, task: Task) -> None:
        assert self.loss_sum is not None
        sums = mean_of_processes(self.loss_sum).view(-1).tolist()
        trained = time.perf_counter()
        row = self._trained(task, [each / task.position for each in sums])
        if self._is_validated(task):
            with self._peak_told(trained - self.epoch_started):
                row |= self._validation(trainer, task)
            if self._is_best(task, row) and self.keeps_weights:
                state = task.model.state_dict()
                self.best_weights = {name: value.detach().clone() for name, value in state.items()}
        row["seconds"] = time.perf_counter() - self.epoch_started
        row["train_seconds"] = trained - self.epoch_started
        self._add(trainer, task, row)

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

    def _trained(self, task: Task, shown: Sequence[float]) -> dict[str, float]:
        train_loss = shown[0]
        if not math.isfinite(train_loss):
            raise UserError(
                f"the training loss became {train_loss} in epoch {task.epoch + 1}: "
                "try a smaller optim.lr, or trainer.gradient_clip_val=1"
            )
        return {"epoch": task.epoch, **task.named(shown)}

    def _is_validated(self, task: Task, ahead: int = 0) -> bool:
        """Whether the epoch, or the one `ahead` epochs after it, ends with a validation."""
        number = task.epoch + ahead + 1
        return number % self.validates_every == 0 or number == task.max_epochs

    def _add(self, trainer: Trainer, task: Task, row: dict[str, float]) -> None:
        """An epoch is over."""
        self.curve.append(row)
        task.epoch += 1
        for logger in trainer.loggers if trainer.is_global_zero else ():
            _log(logger, row)
        best = None if self.best is None else self.curve[self.best_epoch]["valid"]
        self.display.epoch(row, best, self.best_epoch)
        if self._is_over(task):
            trainer.should_stop = True

    def _is_best(self, task: Task, row: Mapping[str, float]) -> bool:
        """Whether the epoch is the best so far, which is remembered."""
        monitored = self.monitor.value(row)
        if not self.monitor.is_better(monitored, self.best):
            return False
        self.best, self.best_epoch = monitored, task.epoch
        return True

    def _validation(self, trainer: Trainer, task: Task) -> dict[str, float]:
        """The metric and, if anything reads it, the loss; both from one forward pass."""
        card, precision = task.dataset.card, trainer.precision_plugin
        context = None if type(precision) is Precision else precision.val_step_context()
        tick = partial(self.display.validation, task.epoch)
        logits, y = task.answers("valid", context, tick)
        values = self._measured(card, score(card, logits, y), logits, y)
        if self.reads_loss:
            values["valid_loss"] = loss_of(card, logits, y).item()
        if self.monitor.of == "objective":
            values["valid_loss"] += decay_penalty(trainer.optimizers[0])
        return values

    def _measured(
        self, card: DataCard, value: float, logits: Tensor | None, y: Tensor
    ) -> dict[str, float]:
        """The metric's value, and those of trainer.also, which are measured of the logits."""
        if find(card.metric).is_own and not math.isfinite(value):
            raise UserError(
                f"metric {card.metric} returned {value} on the validation part, and has "
                "to return a number, by which epochs are compared"
            )
        others = {} if logits is None else scores(self.also, logits, y)
        return {"valid": value} | {f"valid_{name}": other for name, other in others.items()}

    def on_train_batch_start(self, trainer: Trainer, task: Task, batch: Any, index: int) -> None:
        """Run this round's epochs without Lightning, whose part of an epoch can be the larger one.

        A GPU's epochs are run so if they are captured. On one graph the first epoch of a process is
        not: it compiles kernels, makes the optimizer's moments, and checks what the model answers.
        """
        if task.position:
            return
        ends = time.perf_counter() + loader.ROUND_SECONDS
        if self.record is not None and isinstance(task.source, Graphs):
            if self.framed is None:
                self.framed = FramedSteps(task, trainer, self.record, self._not_captured)
            self._stepped_round(trainer, task, self.framed, ends)
        elif self.record is not None and task.has_begun:
            try:
                self._stretched_round(trainer, task, self.record, ends)
            except NotCapturedError as error:
                self._not_captured(error)
                self.record = None
        if task.runs_rounds and not task.is_round_done:
            if self.record is not None:
                ends = 0.0  # one epoch, and the next ones are captured
            self._stepped_round(trainer, task, PlainSteps(task, trainer), ends)

    def _not_captured(self, error: NotCapturedError) -> None:
        if self.cuda_graphs == "on":
            raise capturing.told(str(error)) from error
        self.display.note(f"steps are launched one by one: {error}")

    def _stepped_round(
        self, trainer: Trainer, task: Task, taken: FramedSteps | PlainSteps, ends: float
    ) -> None:
        """Steps one by one, captured or not, and ordinary ends of epochs."""
        assert task.batches is not None
        steps, number = task.windows.steps_per_epoch, task.batches.batches_per_epoch
        while not trainer.should_stop:
            for batch in task.batches.of_epoch(task.epoch):
                if task.position and self.schedule.changes_within(task.epoch, steps):
                    self._set_rate(task)
                taken.run(batch.to(task.device))
                task.position += 1
                items = task.batches.items_per_epoch
                if task.position < number:
                    self.display.batch(task.epoch, task.position, number, items)
            self.loss_sum = taken.taken()
            self._end_epoch(trainer, task)
            self._begin_epoch(trainer, task)
            task.is_round_done, self.is_captured = True, self.is_captured or taken.is_captured
            if time.perf_counter() > ends:
                break

    def _stretched_round(self, trainer: Trainer, task: Task, record: Recorder, ends: float) -> None:
        """Epochs of one graph, read together."""
        if self.stretch is None:
            is_objective = self.monitor.of == "objective"
            reads = Reads(bool(self.also), self.reads_loss, is_objective, self.keeps_weights)
            self.stretch = Stretch(task, trainer, self.rates, reads, record)
        while not trainer.should_stop:
            self._stretch(trainer, task, self.stretch, ends - time.perf_counter())
            task.is_round_done = self.is_captured = True
            if time.perf_counter() > ends:
                break

    def _stretch(self, trainer: Trainer, task: Task, stretch: Stretch, left: float) -> None:
        """As many epochs as surely come, as the buffers hold and as fit in the seconds left."""
        best_epoch = None if self.best is None else self.best_epoch
        most = min(self.stopping.sure(len(self.curve), best_epoch), stretch.size)
        if self.curve and self.curve[-1]["seconds"] * most > left:
            most = max(1, int(left / self.curve[-1]["seconds"]))
        rates = self.schedule.ahead(self.curve, most)
        validated = [self._is_validated(task, ahead) for ahead in range(len(rates))]
        started = time.perf_counter()
        epochs = stretch.run([self.rates.of(rate) for rate in rates], validated)
        seconds = (time.perf_counter() - started) / len(epochs)
        self.rates.forget()
        best_place = None
        for place, (shown, valid) in enumerate(epochs):
            row = self._trained(task, shown)
            if valid is not None:
                row |= self._read(trainer, task, stretch, place, valid)
                best_place = place if self._is_best(task, row) else best_place
            # training and validation are one launch
            row |= {"seconds": seconds, "train_seconds": seconds}
            self._add(trainer, task, row)
        if best_place is not None and self.keeps_weights:
            self.best_weights = stretch.weights_of(best_place)

    def _read(
        self, trainer: Trainer, task: Task, stretch: Stretch, place: int, valid: Validated
    ) -> dict[str, float]:
        """What an ordinary epoch's validation says, of an epoch that ran on the device alone."""
        if valid.has_nan:
            raise nan_answered(task.model, "valid")
        card, y = task.dataset.card, stretch.y
        logits = None if stretch.logits is None else stretch.logits[place]
        metric = valid.metric
        if metric is None:
            assert logits is not None
            metric = score(card, logits, y)
        values = self._measured(card, metric, logits, y)
        if valid.loss is not None:
            values["valid_loss"] = valid.loss
        if valid.squares:
            decays = [group["weight_decay"] for group in trainer.optimizers[0].param_groups]
            values["valid_loss"] += penalty([each for each in decays if each], valid.squares)
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
