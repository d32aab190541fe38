"""A model and its dataset: the loss of a batch, and one way to evaluate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gbench.errors import UserError
from gbench.kernels.seeds import of_one_draw
from gbench.models.answers import (
    called,
    check_gradient,
    check_unchanged,
    checked,
    first_loss,
    lone_row,
    nan_answered,
)
from gbench.train.accumulation import Windows
from gbench.train.fitting import fit
from gbench.train.layerwise import predict, through_layers
from gbench.train.loader import TrainingBatches
from gbench.train.losses import loss_at, loss_of
from gbench.train.metrics import score
from gbench.train.modes import Modes
from gbench.train.optimization import Optimized
from gbench.train.own_loss import OwnLoss
from gbench.train.own_method import place
from gbench.train.processes import gathered, mean_of_processes, process
from gbench.train.sources import Batched, Parts, Source
from gbench.train.undefined import told, undefined

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.dataset import Dataset

# Evaluation keeps no activations, so larger batches than in training fit and are faster.
EVALUATION_BATCH = 512


class Task(Optimized):
    """One model on one dataset."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        optim: Mapping[str, Any],
        source: Source,
        *,
        seed: int,
        limit: int,
        accumulate: int = 1,
    ) -> None:
        super().__init__(model, optim, accumulate)
        self.dataset = dataset
        self.source = source
        self.seed = seed
        self.limit = limit
        self.epoch = 0  # epochs completed
        self.max_epochs = 0
        self.is_round_done = False  # its epochs were captured, and Lightning's loop has none to run
        self.has_begun = False  # a batch was trained on since the process began
        self.batches: TrainingBatches | None = None
        self.is_resumed = False  # what the model fits is in the checkpoint
        self.own_loss = OwnLoss.of(model)
        self.terms: Tensor | None = None  # (T,), entries of the own loss, of the last batch
        # a model of the user's own may checkpoint, which is to say draw its seeds twice
        homes = {type(part).__module__.partition(".")[0] for part in model.modules()}
        self.is_packaged = homes <= {"gbench", "torch"}
        self.modes = Modes(model, self.is_packaged)

    def __setattr__(self, name: str, value: object) -> None:
        """As torch's, whose search for parameters takes 1 % of SGC's epochs on Cora for counts."""
        if type(value) in (int, bool) and name in self.__dict__:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        """Let the model fit what it does before the first epoch, in the first process.

        Several devices get it as all weights: from the first.
        """
        if stage == "fit" and not self.is_resumed and process()[0] == 0:
            fit(self.model, self.dataset, self.source)

    def train_dataloader(self) -> TrainingBatches:
        """The training batches, on this module's device."""
        self.place_data(self.device)
        world_size = self.trainer.world_size
        if world_size > 1 and self.source.is_one_batch:
            raise UserError(
                f"{self.dataset.card.name} is one graph and is trained as one batch: "
                f"several devices have nothing to share. Use trainer=auto{self.source.devices}"
            )
        self.batches = TrainingBatches(
            self.dataset,
            self.source,
            seed=self.seed,
            limit=self.limit,
            rank=self.trainer.global_rank,
            world_size=world_size,
            next_epoch=lambda: self.epoch,
            max_epochs=self.max_epochs,
            is_asked=not self.runs_rounds,
        )
        self.windows = Windows(self.accumulate, self.batches.batches_per_epoch)
        return self.batches

    def place_data(self, device: torch.device) -> None:
        """Put the dataset on the device whole if it fits there; else its batches are moved there.

        A graph that is trained on as one batch has to fit.
        """
        if self.source.is_one_batch or fits(self.dataset.store.num_bytes, device):
            self.dataset = self.dataset.to(device)

    @property
    def runs_rounds(self) -> bool:
        """Whether a round's epochs are run without Lightning: see gbench/train/rounds.py."""
        return bool(self.device.type == "cpu" and self.trainer.world_size == 1)

    def transfer_batch_to_device(self, batch: Batch, device: object, index: int) -> Batch:
        """Nothing to move where the dataset is on the device."""
        return batch.to(self.device)

    def on_train_batch_start(self, batch: Batch, index: int) -> int | None:
        """-1, with which Lightning ends its epoch, where the round has been run otherwise."""
        done, self.is_round_done = self.is_round_done, False
        return -1 if done else None

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch. Raises UserError for an answer that the loss is not made for."""
        try:
            logits = self.answer(batch)
        except StopIteration as error:  # Lightning takes it for the end of the epoch
            raise RuntimeError(f"{called(self.model)} raised StopIteration") from error
        check_gradient(logits, self.model)
        loss = self.loss(logits, batch)
        if self.own_loss is not None:
            dataset_loss = loss
            loss, self.terms = self.own_loss(logits, batch, dataset_loss)
        if not self.has_begun:
            self.has_begun = True
            value = mean_of_processes(loss).item()
            if self.epoch == 0 and not math.isfinite(value):
                own, said = "", self.dataset.card.loss
                if self.own_loss is not None and bool(dataset_loss.isfinite()):
                    own = place(self.own_loss.method)
                raise first_loss(value, logits, batch.x, self.model, said, own)
        return loss

    def shown(self, loss: Tensor) -> Tensor:
        """What the curve says of a batch: its loss, and behind it the other entries of an own loss.

        Shapes: () → (), or (1 + T,).
        """
        loss = loss.detach()
        if self.terms is None or not self.terms.numel():
            return loss
        return torch.cat([loss.float().view(1), self.terms])

    def named(self, shown: Sequence[float]) -> dict[str, float]:
        """The same as columns of the curve, of sums or means that were read. Shapes: (1 + T,)."""
        names = ("loss", *(self.own_loss.names if self.own_loss is not None else ()))
        return {f"train_{name}": value for name, value in zip(names, shown, strict=True)}

    def answer(self, batch: Batch) -> Tensor:
        """What the model says of a batch. Shapes: (N, C), (B, C) or (P, 1), as the labels.

        (T, C) of the targets alone where the batch then has `asked`: see gbench/data/batch.py.
        """
        if batch.targets is not None and self._answers_targets(batch):
            batch.asked = batch.targets
        model, is_shared = self.model, batch.x.data_ptr() == self.dataset.store.x.data_ptr()
        version = batch.x._version
        with of_one_draw() if self.is_packaged and batch.x.is_cuda else nullcontext():
            try:
                answer: object = through_layers(model, batch) if batch.graphs else model(batch)
            except ValueError as error:
                told_so = lone_row(model, error, partial(self.source.more_rows, self.dataset))
                if told_so is None:
                    raise
                raise told_so from error
        if is_shared:
            check_unchanged(model, batch.x, version)
        return self._checked(answer, (batch.y if batch.asked is None else batch.asked).size(0))

    def _answers_targets(self, batch: Batch) -> bool:
        """Whether the model is asked for the targets alone.

        By what its own class says: one that inherits from it may do anything.
        """
        is_whole = self.source.is_one_batch and batch.x.is_cpu and self.own_loss is None
        return is_whole and "answers_targets" in vars(type(self.model))

    def _checked(self, answer: object, rows: int) -> Tensor:
        column = "class" if self.dataset.card.labels == "classes" else "target"
        shape = (rows, self.dataset.spec.num_outputs)
        what = f"a row per {self.source.row} and a column per {column}"
        return checked(answer, shape, self.model, what)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        if batch.asked is not None:
            return loss_of(self.dataset.card, logits, batch.y.index_select(0, batch.asked))
        return loss_at(self.dataset.card, logits, batch.y, batch.targets)

    def undefined(self, monitor: str, also: Sequence[str] = ()) -> list[str]:
        """A sentence for each part on which the metric, or one of `also`, has no value."""
        sentences = []
        for metric in (self.dataset.card.metric, *also):
            for part in ("valid", "test"):
                if reason := undefined(metric, self.labels(part)):
                    decides = "" if metric in also else monitor
                    sentences.append(told(metric, part, reason, decides))
        return sentences

    def labels(self, split: str) -> Tensor:
        """The labels that a split is evaluated by. Shapes: (T,) or (T, K)."""
        return self.dataset.store.y[self.part(split).to(self.dataset.store.device)]

    def part(self, split: str) -> Tensor:
        """What a split is evaluated on: all of it, or the first of so many batches."""
        ids: Tensor = getattr(self.dataset.split, split)
        is_limited = self.limit and not self.source.is_one_batch
        return ids[: self.limit * EVALUATION_BATCH] if is_limited else ids

    def evaluate(self, split: str, context: AbstractContextManager[Any] | None = None) -> float:
        """The dataset's metric on "train", "valid" or "test"."""
        return score(self.dataset.card, *self.answers(split, context))

    def answers(
        self,
        split: str,
        context: AbstractContextManager[Any] | None = None,
        tick: Callable[[float], None] = lambda fraction: None,
    ) -> tuple[Tensor, Tensor]:
        """The logits of a whole split in evaluation mode, and its labels.

        Under several processes each does its share and all get the answers of all. `tick` is told
        the fraction that is done.
        Shapes: (T, C), y (T,) or (T, K).
        """
        return self.answers_to(self.part(split), context, split, tick)

    @torch.no_grad()
    def answers_to(
        self,
        ids: Tensor,
        context: AbstractContextManager[Any] | None = None,
        what: str = "asked",
        tick: Callable[[float], None] = lambda fraction: None,
    ) -> tuple[Tensor, Tensor]:
        """The same of any nodes, graphs or pairs; `what` they are is told of an answer of nan."""
        rank, world_size = process()
        if world_size > 1:
            ids = ids[rank::world_size]
            for buffer in self.model.buffers():  # batch norm's statistics: those of one process
                torch.distributed.broadcast(buffer, src=0)
        if self.modes.model is not self.model:
            self.modes = Modes(self.model, is_fixed=False)
        was_training = self.model.training
        self.modes.set(False)
        outputs, labels = [], []
        with context or nullcontext():
            if not isinstance(self.source, Batched):
                assert isinstance(self.source, Parts)
                pattern, store = self.source.cutter.pattern, self.dataset.store
                answer = predict(self.model, store, pattern, ids, self.device, tick)
                outputs.append(self._checked(answer, ids.numel()))
                labels.append(store.y[ids.to(store.device)])
            else:
                done = 0
                for batch in self.source.evaluation(self.dataset, ids, EVALUATION_BATCH):
                    batch = batch.to(self.device)
                    logits = self.answer(batch)
                    y = batch.y
                    if batch.targets is not None:
                        y = y.index_select(0, batch.targets)
                        logits = logits if batch.asked is not None else logits[batch.targets]
                    labels.append(y)
                    outputs.append(logits)
                    done += labels[-1].size(0)
                    tick(min(1.0, done / max(1, ids.numel())))
        self.modes.set(was_training)
        logits, y = gathered(_joined(outputs), _joined(labels))
        # a sum that is a number is one of numbers
        if math.isnan(logits.sum().item()) and bool(logits.isnan().any()):
            raise nan_answered(self.model, what)
        return logits, y


def fits(num_bytes: int, device: torch.device) -> bool:
    """Whether so many bytes leave half of an accelerator's free memory to the training."""
    return device.type != "cuda" or num_bytes <= torch.cuda.mem_get_info(device)[0] / 2


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
