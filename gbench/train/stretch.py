"""Epochs of one graph, one after another on the device, and read at their end alone.

A small graph's epoch is a hundred microseconds of work for a GPU and thousands for the CPU that
starts it. An epoch is therefore written here as work on tensors that stay where they are, which a
GPU captures once (see cuda_graph.py) and a CPU may do as it stands: training step, validation, and
what is to be known of both, laid down at the epoch's place in buffers of so many epochs.

What comes out is what the ordinary loop computes, bit for bit: the same operations in the same
order with the same random numbers. Only what decides about epochs is decided later.

Legend: n epochs in the buffers, G groups of parameters, T validation nodes, C outputs, V numbers
of an epoch's validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gbench.train.cuda_graph import Work
from gbench.train.losses import loss_of
from gbench.train.metrics import tensor_form
from gbench.train.optimizer import decayed_squares
from gbench.train.sources import WholeGraph
from gbench.train.whole_step import changed, step

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gbench.train.capturing import Recorder
    from gbench.train.rates import Rates
    from gbench.train.task import Task

MOST_EPOCHS = 256
MOST_BYTES = 1 << 26  # of what is kept of each epoch


@dataclass(frozen=True)
class Reads:
    """What is read of each validated epoch besides the metric."""

    logits: bool  # for other metrics
    loss: bool
    squares: bool  # of what weight decay stands for
    weights: bool  # those of the best epoch are kept


@dataclass
class Validated:
    """What validation told of an epoch."""

    has_nan: bool  # in the logits
    metric: float | None  # None: to be computed of the logits
    loss: float | None
    squares: Sequence[float]  # ‖w‖² of each group that decays


class Stretch:
    """Epochs of a task whose graph is one batch, `size` at most in one go."""

    def __init__(
        self, task: Task, trainer: Trainer, rates: Rates, reads: Reads, record: Recorder
    ) -> None:
        assert rates.tensor is not None
        self.task, self.trainer, self.reads, self.record = task, trainer, reads, record
        self.optimizer, self.rates = trainer.optimizers[0], rates.tensor
        self.works: dict[bool, Work] = {}  # by whether an epoch is validated
        assert isinstance(task.source, WholeGraph)
        (self.train_batch,) = task.source.evaluation(task.dataset, task.dataset.split.train, 0)
        (self.valid_batch,) = task.source.evaluation(task.dataset, task.part("valid"), 0)
        self.y = task.labels("valid")
        self.metric = tensor_form(task.dataset.card, self.y)
        self.state = task.model.state_dict()
        logits = (self.y.size(0), task.dataset.spec.num_outputs)
        keeps_logits = reads.logits or self.metric is None
        num_bytes = 4 * logits[0] * logits[1] * keeps_logits
        num_bytes += sum(value.nbytes for value in self.state.values()) * reads.weights
        self.size = max(1, min(MOST_EPOCHS, MOST_BYTES // max(1, num_bytes)))
        new = partial(torch.zeros, device=task.device)
        self.place = new(1, dtype=torch.int64)
        self.table = self.rates.new_zeros(self.size, self.rates.numel())
        terms = 0 if task.terms is None else task.terms.numel()
        self.train_loss = new(self.size, 1 + terms)
        self.told = new(self.size, len(self._numbers(new(logits))))
        self.logits = new(self.size, *logits) if keeps_logits else None
        self.weights = {
            kind: new(self.size, sum(value.numel() for value in values.values()), dtype=kind)
            for kind, values in self._by_type().items()
        }

    def run(
        self, rates: Sequence[Sequence[float]], validated: Sequence[bool]
    ) -> list[tuple[list[float], Validated | None]]:
        """So many epochs as rates are given, each with those of its groups: waits at their end.

        Of each epoch what is shown of its training loss and, if it is validated, what that told.
        """
        works = {each: self._work(each) for each in {*validated}}  # before the first epoch
        self.table[: len(rates)].copy_(torch.tensor(rates, dtype=self.table.dtype))
        self.place.zero_()
        for is_validated in validated:
            works[is_validated]()
        losses, told = self.train_loss.tolist(), self.told.tolist()
        return [
            (loss, self._validated(row) if is_validated else None)
            for loss, row, is_validated in zip(losses, told, validated, strict=False)
        ]

    def weights_of(self, place: int) -> dict[str, Tensor]:
        """The model's state after one of the epochs of the last run."""
        kept = {}
        for kind, values in self._by_type().items():
            row = self.weights[kind][place]
            parts = row.split([value.numel() for value in values.values()])
            for (name, value), part in zip(values.items(), parts, strict=True):
                kept[name] = part.view(value.shape).clone()
        return {name: kept[name] for name in self.state}

    def _work(self, is_validated: bool) -> Work:
        if is_validated not in self.works:
            written = [*changed(self.task, self.trainer), self.rates, self.place]
            self.works[is_validated] = self.record(partial(self._epoch, is_validated), written)
        return self.works[is_validated]

    def _epoch(self, is_validated: bool) -> None:
        torch.index_select(self.table, 0, self.place, out=self.rates.view(1, -1))
        loss = step(self.task, self.trainer, self.train_batch)
        with torch.no_grad():
            self._keep(self.train_loss, loss.view(-1))
            if is_validated:
                logits = self._valid_logits()
                self._keep(self.told, torch.stack(self._numbers(logits)))
                if self.logits is not None:
                    self._keep(self.logits, logits)
                for kind, values in self._by_type().items():
                    flat = torch.cat([value.reshape(-1) for value in values.values()])
                    self._keep(self.weights[kind], flat)
            self.place.add_(1)

    def _keep(self, buffer: Tensor, value: Tensor) -> None:
        buffer.index_copy_(0, self.place, value.detach().unsqueeze(0).to(buffer.dtype))

    def _valid_logits(self) -> Tensor:
        """Shapes: → (T, C)."""
        task = self.task
        task.model.eval()
        with self.trainer.precision_plugin.val_step_context():
            logits = task.answer(self.valid_batch)
            if self.valid_batch.asked is None:
                logits = logits[self.valid_batch.targets]
        task.model.train()
        return logits

    def _numbers(self, logits: Tensor) -> list[Tensor]:
        """What `_validated` reads, in its order. Shapes: (T, C) → V times ()."""
        numbers = [logits.isnan().any().float()]
        if self.metric is not None:
            numbers.append(self.metric(logits, self.y))
        if self.reads.loss:
            numbers.append(loss_of(self.task.dataset.card, logits, self.y))
        if self.reads.squares:
            numbers += [square for _, square in decayed_squares(self.optimizer)]
        return numbers

    def _validated(self, row: Sequence[float]) -> Validated:
        rest = [*row]
        has_nan = bool(rest.pop(0))
        metric = None if self.metric is None else rest.pop(0)
        loss = rest.pop(0) if self.reads.loss else None
        return Validated(has_nan, metric, loss, rest)

    def _by_type(self) -> dict[torch.dtype, dict[str, Tensor]]:
        """The model's state, if it is kept of each epoch; torch joins tensors of one type alone."""
        found: dict[torch.dtype, dict[str, Tensor]] = {}
        for name, value in self.state.items() if self.reads.weights else ():
            found.setdefault(value.dtype, {})[name] = value
        return found
