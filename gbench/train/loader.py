"""Batches of a split, cut from the packed dataset on the training device.

Lightning's loop costs milliseconds per epoch, more than a whole epoch on a citation graph. So what
Lightning calls an epoch is here a *round*: as many epochs as fit in ROUND_SECONDS, at least one.
Nothing that a run computes depends on where a round ends; checkpoints are written there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.load import Dataset

ROUND_SECONDS = 1.0


def split_batches(
    dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
) -> Iterator[Batch]:
    """The nodes or graphs `ids`, in order; one-graph data is one batch with `ids` as targets."""
    if dataset.spec.level == "node":
        yield dataset.store.whole().with_targets(ids)
        return
    chunks = ids.split(batch_size)
    yield from dataset.store.batches(chunks[:limit] if limit else chunks)


class TrainingBatches:
    """The training split in a fresh order each epoch, epoch after epoch, one round per iteration.

    The order depends on the seed and the epoch alone, so a resumed run sees what an uninterrupted
    one would. Of several devices, each takes every world_size-th graph of each batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        seed: int,
        limit: int,
        rank: int,
        world_size: int,
        next_epoch: Callable[[], int],
        max_epochs: int,
    ) -> None:
        self.dataset = dataset
        self.ids = dataset.split.train
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.next_epoch, self.max_epochs = next_epoch, max_epochs
        self.batches_per_epoch = 1
        if dataset.spec.level == "graph":
            full, rest = divmod(self.ids.numel(), batch_size)
            # Batch norm over the graphs has no variance to divide by when there is one: as OGB's
            # scripts do, a last batch of a single graph is left out.
            self.batches_per_epoch = max(full + (rest > world_size), 1)
        if limit:
            self.batches_per_epoch = min(self.batches_per_epoch, limit)

    @property
    def items_per_epoch(self) -> int:
        """Graphs, or training nodes, seen in an epoch."""
        if self.dataset.spec.level == "node":
            return self.ids.numel()
        return min(self.batches_per_epoch * self.batch_size, self.ids.numel())

    def __iter__(self) -> Iterator[Batch]:
        started = time.perf_counter()
        for epoch in range(self.next_epoch(), self.max_epochs):
            yield from self._epoch(epoch)
            if time.perf_counter() - started > ROUND_SECONDS:
                return

    def _epoch(self, epoch: int) -> Iterator[Batch]:
        if self.dataset.spec.level == "node":
            yield self.dataset.store.whole().with_targets(self.ids)
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(self.ids.numel(), generator=generator)
        chunks = self.ids[order].split(self.batch_size)[: self.batches_per_epoch]
        share = slice(self.rank, None, self.world_size)
        yield from self.dataset.store.batches([chunk[share] for chunk in chunks])
