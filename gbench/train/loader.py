"""Batches of a split, cut from the packed dataset where it lies: on the training device if it fits.

Lightning's loop costs milliseconds per epoch, more than a whole epoch on a citation graph. So what
Lightning calls an epoch is here a *round*: as many epochs as fit in ROUND_SECONDS, at least one.
Nothing that a run computes depends on where a round ends; checkpoints are written there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gbench.data.encodings.encode import with_random_signs
from gbench.data.patches.patching import with_patches
from gbench.train.links import NonLinks, known_pairs, training_pairs
from gbench.train.parts import Batching, training_parts

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.dataset import Dataset, EpochPatches

ROUND_SECONDS = 1.0


def split_batches(
    dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
) -> Iterator[Batch]:
    """The nodes or graphs `ids`, in order; one-graph data is one batch with `ids` as targets."""
    if dataset.spec.level == "node":
        yield dataset.store.whole().with_targets(ids)
        return
    if dataset.spec.level == "link":
        yield known_pairs(dataset.store, ids)
        return
    chunks = ids.split(batch_size)
    chunks = chunks[:limit] if limit else chunks
    batches = dataset.store.batches(chunks)
    if dataset.patcher is not None:
        batches = with_patches(batches, dataset.patcher.evaluation(chunks))
    yield from batches


class TrainingBatches:
    """The training split in a fresh order each epoch, epoch after epoch, one round per iteration.

    The order depends on the seed and the epoch alone, so a resumed run sees what an uninterrupted
    one would. With `steps_per_epoch` an epoch is so many batches, each drawn anew from the whole
    split without replacement, as in the code of Xu et al. (ICLR 2019). Of several devices, each
    takes every world_size-th graph, or target node, of each batch; `batching` is there where one
    big graph is trained on in parts.
    """

    def __init__(
        self,
        dataset: Dataset,
        batching: Batching | None = None,
        *,
        batch_size: int,
        steps_per_epoch: int = 0,
        seed: int,
        limit: int,
        rank: int,
        world_size: int,
        next_epoch: Callable[[], int],
        max_epochs: int,
    ) -> None:
        self.dataset = dataset
        self.batching = batching
        self.ids = dataset.split.train
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.next_epoch, self.max_epochs = next_epoch, max_epochs
        self.batches_per_epoch = 1
        if batching is not None:
            self.batches_per_epoch = len(batching.cutter.epoch(_generator(0), rank, world_size))
        self.non_links = None
        if dataset.spec.level == "link":
            self.batches_per_epoch = math.ceil(self.ids.numel() / batch_size)
            self.non_links = NonLinks.of(dataset.store, self.ids)
        if dataset.spec.level == "graph":
            full, rest = divmod(self.ids.numel(), batch_size)
            # Batch norm over the graphs has no variance to divide by when there is one: as OGB's
            # scripts do, a last batch that leaves a device a single graph is left out.
            self.batches_per_epoch = max(full + (rest >= 2 * world_size), 1)
        if steps_per_epoch:
            self.batches_per_epoch = steps_per_epoch
        self.share_of_epoch = 1.0
        if limit:
            self.share_of_epoch = min(1.0, limit / self.batches_per_epoch)
            self.batches_per_epoch = min(self.batches_per_epoch, limit)
        self.patches: EpochPatches | None = None
        if dataset.patcher is not None:
            self.patches = dataset.patcher.training(self._graphs, seed=seed, max_epochs=max_epochs)

    @property
    def items_per_epoch(self) -> int:
        """Graphs, training nodes or links seen in an epoch."""
        if self.dataset.spec.level == "node":
            return round(self.share_of_epoch * self.ids.numel())
        if self.steps_per_epoch:
            return self.batches_per_epoch * min(self.batch_size, self.ids.numel())
        return min(self.batches_per_epoch * self.batch_size, self.ids.numel())

    def __iter__(self) -> Iterator[Batch]:
        started = time.perf_counter()
        for epoch in range(self.next_epoch(), self.max_epochs):
            batches = self._epoch(epoch)
            if self.dataset.random_signs:
                batches = with_random_signs(batches, self.seed * 1_000_003 + epoch)
            yield from batches
            if time.perf_counter() - started > ROUND_SECONDS:
                return

    def _epoch(self, epoch: int) -> Iterator[Batch]:
        if self.batching is not None:
            yield from training_parts(
                self.batching,
                self.dataset.store,
                _generator(self.seed * 1_000_003 + epoch),
                rank=self.rank,
                world_size=self.world_size,
                count=self.batches_per_epoch,
            )
            return
        if self.dataset.spec.level == "node":
            yield self.dataset.store.whole().with_targets(self.ids)
            return
        if self.dataset.spec.level == "link":
            chunks, generator = self._chunks(epoch)
            yield from training_pairs(self.dataset.store, chunks, generator, self.non_links)
            return
        batches = self.dataset.store.batches(self._graphs(epoch))
        if self.patches is not None:
            batches = with_patches(batches, self.patches.epoch(epoch))
        yield from batches

    def _graphs(self, epoch: int) -> list[Tensor]:
        """The graphs of each batch of an epoch, this device's share."""
        share = slice(self.rank, None, self.world_size)
        return [chunk[share] for chunk in self._chunks(epoch)[0]]

    def _chunks(self, epoch: int) -> tuple[Sequence[Tensor], torch.Generator]:
        generator = _generator(self.seed * 1_000_003 + epoch)
        size = self.ids.numel()
        if self.steps_per_epoch:
            draws = (
                torch.randperm(size, generator=generator) for _ in range(self.batches_per_epoch)
            )
            return [self.ids[draw[: self.batch_size]] for draw in draws], generator
        order = torch.randperm(size, generator=generator)
        chunks = self.ids[order].split(self.batch_size)[: self.batches_per_epoch]
        return chunks, generator


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
