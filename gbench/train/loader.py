"""Batches of a split, cut from the packed dataset where it lies: on the training device if it fits.

Lightning's loop costs milliseconds per epoch, more than a whole epoch on a citation graph. So what
Lightning calls an epoch is here a *round*: as many epochs as fit in ROUND_SECONDS, at least one.
Nothing that a run computes depends on where a round ends; checkpoints are written there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from gbench.data.encodings.encode import with_random_signs
from gbench.seeds import nth_seed
from gbench.train.sources import Share, Source

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.dataset import Dataset

ROUND_SECONDS = 1.0


class Round:
    """What Lightning gets in place of a round's batches where it is not to train on them."""

    def to(self, device: torch.device) -> Round:
        """Itself: it lies nowhere."""
        return self


class TrainingBatches:
    """The training split, epoch after epoch, one round per iteration.

    `is_asked` is whether an iteration yields them; else it is a single Round.

    What an epoch has depends on the seed and the epoch alone, so a resumed run sees what an
    uninterrupted one would. Of several devices, each takes every world_size-th graph, or target
    node, of each batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        source: Source,
        *,
        seed: int,
        limit: int,
        rank: int,
        world_size: int,
        next_epoch: Callable[[], int] = lambda: 0,
        max_epochs: int,
        is_asked: bool = True,
    ) -> None:
        num_ids = dataset.split.train.numel()
        whole = source.num_batches(num_ids, rank, world_size)
        self.batches_per_epoch = min(whole, limit) if limit else whole
        self.items_per_epoch = source.num_items(num_ids, self.batches_per_epoch, whole)
        self.random_signs, self.seed = dataset.random_signs, seed
        self.next_epoch, self.max_epochs = next_epoch, max_epochs
        self.is_asked = is_asked
        share = Share(seed, self.batches_per_epoch, rank, world_size, max_epochs)
        self.epoch = source.training(dataset, share)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch, counted from 0."""
        batches = self.epoch(epoch)
        if self.random_signs:
            return with_random_signs(batches, nth_seed(self.seed, epoch), self.random_signs)
        return batches

    def __iter__(self) -> Iterator[Batch | Round]:
        if not self.is_asked:
            yield Round()
            return
        started = time.perf_counter()
        for epoch in range(self.next_epoch(), self.max_epochs):
            yield from self.of_epoch(epoch)
            if time.perf_counter() - started > ROUND_SECONDS:
                return
