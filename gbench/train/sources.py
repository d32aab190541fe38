"""Where the batches of a task come from: one graph whole, many graphs, pairs of nodes, or parts.

Which of the four it is follows from the dataset's level and from `batching`, and is chosen once,
when the task is built. A source holds settings alone; the dataset, wherever it lies, is given.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from gbench.data.bag_memory import ROWS_AT_ONCE, rows_of
from gbench.data.bagging import with_bags
from gbench.data.patches.patching import with_patches
from gbench.data.transfer import on_device
from gbench.seeds import nth_seed
from gbench.train.links import NonLinks, known_pairs, training_pairs
from gbench.train.parts import Cutter, training_parts

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.dataset import Dataset


# Of 64 numbers for each of so many pairs of nodes a tensor takes 256 MiB.
EVALUATION_PAIRS = 1 << 20


class Share(NamedTuple):
    """What one process takes of the training."""

    seed: int
    number: int  # of batches in an epoch
    rank: int
    world_size: int
    max_epochs: int

    def generator(self, epoch: int) -> torch.Generator:
        """What an epoch is drawn with."""
        return torch.Generator().manual_seed(nth_seed(self.seed, epoch))


class Source(ABC):
    """Batches to train on."""

    row: ClassVar[str]  # what an answer has a row for
    is_one_batch: ClassVar[bool] = False  # the one graph, which has to fit on the device
    devices: ClassVar[str] = ""  # what to take where several devices have nothing to share

    @abstractmethod
    def num_batches(self, num_ids: int, rank: int, world_size: int) -> int:
        """In a whole epoch of so many training nodes, graphs or links."""

    @abstractmethod
    def num_items(self, num_ids: int, count: int, whole: int) -> int:
        """Of them seen in `count` batches, where a whole epoch has `whole`."""

    @abstractmethod
    def training(self, dataset: Dataset, share: Share) -> Callable[[int], Iterator[Batch]]:
        """What yields the batches of an epoch."""

    @abstractmethod
    def more_rows(self, dataset: Dataset) -> str:
        """What to change where a norm over a training batch gets a single row."""


class Batched(Source):
    """Batches that have all that their answers depend on: they are evaluated with as well."""

    @abstractmethod
    def evaluation(
        self, dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
    ) -> Iterator[Batch]:
        """The nodes, graphs or pairs `ids`, in order; of one graph they are in one batch."""


@dataclass(frozen=True)
class WholeGraph(Batched):
    """One graph of labelled nodes: a step is an epoch."""

    row = "node"
    is_one_batch = True
    devices = " or batching=neighbours"

    def num_batches(self, num_ids: int, rank: int, world_size: int) -> int:
        """One."""
        return 1

    def num_items(self, num_ids: int, count: int, whole: int) -> int:
        """All."""
        return num_ids

    def training(self, dataset: Dataset, share: Share) -> Callable[[int], Iterator[Batch]]:
        """The same batch in each epoch."""
        return lambda epoch: self.evaluation(dataset, dataset.split.train, 0)

    def more_rows(self, dataset: Dataset) -> str:
        """Nothing."""
        return f"{dataset.card.name} has too few nodes for it"

    def evaluation(
        self, dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
    ) -> Iterator[Batch]:
        """The graph, with `ids` as targets."""
        yield dataset.store.whole().with_targets(ids)


@dataclass(frozen=True)
class Parts(Source):
    """Parts of one graph that is too big to be trained on whole, each for some of its nodes.

    In evaluation an answer depends on more than a part: see layerwise.py.
    """

    cutter: Cutter
    workers: int
    row = "node"

    def num_batches(self, num_ids: int, rank: int, world_size: int) -> int:
        """As many as the cutter makes."""
        return len(self.cutter.epoch(torch.Generator().manual_seed(0), rank, world_size))

    def num_items(self, num_ids: int, count: int, whole: int) -> int:
        """The same share of the nodes as of the batches."""
        return round(count / whole * num_ids)

    def training(self, dataset: Dataset, share: Share) -> Callable[[int], Iterator[Batch]]:
        """Cut ahead; of several devices each takes its part of each batch's nodes."""
        return lambda epoch: training_parts(
            self.cutter,
            self.workers,
            dataset.store,
            share.generator(epoch),
            rank=share.rank,
            world_size=share.world_size,
            count=share.number,
        )

    def more_rows(self, dataset: Dataset) -> str:
        """Fewer parts."""
        return "take more nodes per batch"


@dataclass(frozen=True)
class Drawn(Batched):
    """Graphs or links in a fresh order each epoch, the last batch with those that are left.

    With `steps_per_epoch` an epoch is so many batches, each drawn anew from the whole split without
    replacement, as in the code of Xu et al. (ICLR 2019).
    """

    batch_size: int
    steps_per_epoch: int = 0

    def num_batches(self, num_ids: int, rank: int, world_size: int) -> int:
        """So many that each item comes once, or `steps_per_epoch`."""
        return self.steps_per_epoch or math.ceil(num_ids / self.batch_size)

    def num_items(self, num_ids: int, count: int, whole: int) -> int:
        """In full batches, but for the last one of an order."""
        if self.steps_per_epoch:
            return count * min(self.batch_size, num_ids)
        return min(count * self.batch_size, num_ids)

    def chunks(self, ids: Tensor, count: int, generator: torch.Generator) -> list[Tensor]:
        """The ids of each batch of an epoch."""
        size = ids.numel()
        if self.steps_per_epoch:
            draws = (torch.randperm(size, generator=generator) for _ in range(count))
            return [ids[on_device(draw[: self.batch_size], ids.device)] for draw in draws]
        order = on_device(torch.randperm(size, generator=generator), ids.device)
        return [*ids[order].split(self.batch_size)[:count]]


class Graphs(Drawn):
    """Graphs side by side, `batch_size` in a batch; each device takes its share of each batch."""

    row = "graph"

    def num_batches(self, num_ids: int, rank: int, world_size: int) -> int:
        """A last batch that leaves a device a single graph is left out, as OGB's scripts do.

        Batch norm over the graphs has no variance to divide by when there is one.
        """
        full, rest = divmod(num_ids, self.batch_size)
        return self.steps_per_epoch or max(full + (rest >= 2 * world_size), 1)

    def training(self, dataset: Dataset, share: Share) -> Callable[[int], Iterator[Batch]]:
        """With patches or bags, if a model reads them."""

        def graphs(epoch: int) -> list[Tensor]:
            chunks = self.chunks(dataset.split.train, share.number, share.generator(epoch))
            return [chunk[share.rank :: share.world_size] for chunk in chunks]

        if dataset.bagging is not None:
            bagging, seed = dataset.bagging, share.seed
            return lambda epoch: with_bags(
                dataset.store.batches(graphs(epoch)), bagging, nth_seed(seed, epoch)
            )
        if dataset.patcher is None:
            return lambda epoch: dataset.store.batches(graphs(epoch))
        patches = dataset.patcher.training(graphs, seed=share.seed, max_epochs=share.max_epochs)
        return lambda epoch: with_patches(
            dataset.store.batches(graphs(epoch)), patches.epoch(epoch)
        )

    def more_rows(self, dataset: Dataset) -> str:
        """Larger batches."""
        return (
            f"{dataset.split.train.numel()} training graphs in batches of "
            f"optim.batch_size={self.batch_size} are to give each device two graphs or more"
        )

    def evaluation(
        self, dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
    ) -> Iterator[Batch]:
        """The first `limit` batches, or all; with values of pairs, or bags, in smaller ones."""
        ids = ids[: limit * batch_size] if limit else ids
        chunks = [*ids.split(batch_size)]
        if dataset.spec.pair_dim:
            sizes = dataset.store.ranges[2].long().square()
            chunks = within(chunks, sizes, EVALUATION_PAIRS)
        if dataset.bagging is not None:
            chunks = within(chunks, rows_of(dataset.store.ranges, dataset.bagging), ROWS_AT_ONCE)
        batches = dataset.store.batches(chunks)
        if dataset.bagging is not None:
            batches = with_bags(batches, dataset.bagging, None)
        if dataset.patcher is not None:
            batches = with_patches(batches, dataset.patcher.evaluation(chunks))
        yield from batches


class Pairs(Drawn):
    """One graph, and links of it with as many pairs that are none."""

    row = "pair"
    is_one_batch = True

    def training(self, dataset: Dataset, share: Share) -> Callable[[int], Iterator[Batch]]:
        """`batch_size` links in a batch."""
        non_links = NonLinks.of(dataset.store, dataset.split.train)

        def epoch(number: int) -> Iterator[Batch]:
            generator = share.generator(number)
            chunks = self.chunks(dataset.split.train, share.number, generator)
            return training_pairs(dataset.store, chunks, generator, non_links)

        return epoch

    def more_rows(self, dataset: Dataset) -> str:
        """Nothing."""
        return f"{dataset.card.name} has too few nodes for it"

    def evaluation(
        self, dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
    ) -> Iterator[Batch]:
        """The pairs with their labels."""
        yield known_pairs(dataset.store, ids)


def within(chunks: Iterable[Tensor], sizes: Tensor, most: int) -> list[Tensor]:
    """The chunks of ids, each cut in consecutive ones of at most so much; one alone may have more.

    Shapes: sizes (G,) int64, how much each id has, on the CPU.
    """
    cut: list[Tensor] = []
    for chunk in chunks:
        first, total = 0, 0
        for place, size in enumerate(sizes[chunk.cpu()].tolist()):
            if total + size > most and place > first:
                cut.append(chunk[first:place])
                first, total = place, 0
            total += size
        cut.append(chunk[first:])
    return cut
