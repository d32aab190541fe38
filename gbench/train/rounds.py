"""A round's epochs (see loader.py) without Lightning, whose part of an epoch can be the larger one.

A GPU's epochs are run so if they are captured. On one graph the first epoch of a process is not: it
compiles kernels, makes the optimizer's moments, and checks what the model answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, Trainer

from gbench.train import capturing, loader
from gbench.train.capturing import Recorder
from gbench.train.cuda_graph import NotCapturedError
from gbench.train.framed import FramedSteps
from gbench.train.plain_steps import PlainSteps
from gbench.train.sources import Graphs
from gbench.train.stretch import Reads, Stretch

if TYPE_CHECKING:
    from gbench.train.epochs import Epochs
    from gbench.train.task import Task


class Rounds(Callback):  # type: ignore[misc]
    """Runs each round before Lightning does, as far as it can; `epochs` come before it.

    Args:
        epochs: what happens where each of them ends.
        settings: the config's `trainer`, of which it reads `cuda_graphs`.
    """

    def __init__(self, epochs: Epochs, settings: Mapping[str, Any]) -> None:
        self.epochs = epochs
        self.cuda_graphs = capturing.wanted(settings)
        self.record: Recorder | None = None  # of a run whose epochs are captured
        self.stretch: Stretch | None = None
        self.framed: FramedSteps | None = None
        self.is_captured = False  # some of this process's epochs were

    def on_train_start(self, trainer: Trainer, task: Task) -> None:
        """Decide whether epochs are captured; raise UserError where that is asked for in vain."""
        if self.cuda_graphs != "off":
            reason = capturing.refusal(task, trainer)
            if reason and self.cuda_graphs == "on":
                raise capturing.told(reason)
            self.record = None if reason else capturing.recorder(task.device)
        if self.record is not None and self.epochs.rates.tensor is None:
            self.epochs.rates.to(task.device)

    def on_train_batch_start(self, trainer: Trainer, task: Task, batch: Any, index: int) -> None:
        """Run the round, and leave none of it to Lightning; or, with several processes, all."""
        if task.position:
            return
        ends = time.perf_counter() + loader.ROUND_SECONDS
        if self.record is not None and isinstance(task.source, Graphs):
            if self.framed is None:
                self.framed = FramedSteps(task, trainer, self.record, self._not_captured)
            self._stepped(trainer, task, self.framed, ends)
        elif self.record is not None and task.has_begun:
            try:
                self._stretched(trainer, task, self.record, ends)
            except NotCapturedError as error:
                self._not_captured(error)
                self.record = None
        if task.runs_rounds and not task.is_round_done:
            if self.record is not None:
                ends = 0.0  # one epoch, and the next ones are captured
            self._stepped(trainer, task, PlainSteps(task, trainer), ends)

    def _not_captured(self, error: NotCapturedError) -> None:
        if self.cuda_graphs == "on":
            raise capturing.told(str(error)) from error
        self.epochs.display.note(f"steps are launched one by one: {error}")

    def _stepped(
        self, trainer: Trainer, task: Task, taken: FramedSteps | PlainSteps, ends: float
    ) -> None:
        """Steps one by one, captured or not, and ordinary ends of epochs."""
        assert task.batches is not None
        epochs = self.epochs
        steps, number = task.windows.steps_per_epoch, task.batches.batches_per_epoch
        while not trainer.should_stop:
            for batch in task.batches.of_epoch(task.epoch):
                if task.position and epochs.schedule.changes_within(task.epoch, steps):
                    epochs.set_rate(task)
                taken.run(batch.to(task.device))
                task.position += 1
                items = task.batches.items_per_epoch
                if task.position < number:
                    epochs.display.batch(task.epoch, task.position, number, items)
            epochs.loss_sum = taken.taken()
            epochs.end_epoch(trainer, task)
            epochs.begin_epoch(task)
            task.is_round_done, self.is_captured = True, self.is_captured or taken.is_captured
            if time.perf_counter() > ends:
                break

    def _stretched(self, trainer: Trainer, task: Task, record: Recorder, ends: float) -> None:
        """Epochs of one graph, read together."""
        epochs = self.epochs
        if self.stretch is None:
            read = epochs.validation
            reads = Reads(bool(read.also), read.loss, read.objective, epochs.keeps_weights)
            self.stretch = Stretch(task, trainer, epochs.rates, reads, record)
        while not trainer.should_stop:
            self._stretch(trainer, task, self.stretch, ends - time.perf_counter())
            task.is_round_done = self.is_captured = True
            if time.perf_counter() > ends:
                break

    def _stretch(self, trainer: Trainer, task: Task, stretch: Stretch, left: float) -> None:
        """As many epochs as surely come, as the buffers hold and as fit in the seconds left."""
        epochs = self.epochs
        best_epoch = None if epochs.best is None else epochs.best_epoch
        most = min(epochs.stopping.sure(len(epochs.curve), best_epoch), stretch.size)
        if epochs.curve and epochs.curve[-1]["seconds"] * most > left:
            most = max(1, int(left / epochs.curve[-1]["seconds"]))
        rates = epochs.schedule.ahead(epochs.curve, most)
        validated = [epochs.is_validated(task, ahead) for ahead in range(len(rates))]
        started = time.perf_counter()
        told = stretch.run([epochs.rates.of(rate) for rate in rates], validated)
        seconds = (time.perf_counter() - started) / len(told)
        epochs.rates.forget()
        best_place = None
        for place, (shown, valid) in enumerate(told):
            row = epochs.trained(task, shown)
            if valid is not None:
                logits = None if stretch.logits is None else stretch.logits[place]
                row |= epochs.validation.told(task, trainer, valid, logits, stretch.y)
                best_place = place if epochs.is_best(task, row) else best_place
            # training and validation are one launch
            row |= {"seconds": seconds, "train_seconds": seconds}
            epochs.add(trainer, task, row)
        if best_place is not None and epochs.keeps_weights:
            epochs.best_weights = stretch.weights_of(best_place)
