"""Batches of graphs whose nodes have labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gbench.data.graph_splits import graphs_of, nodes_of
from gbench.data.transfer import on_device
from gbench.train.sources import Drawn, Share, within

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.dataset import Dataset

NODES_AT_ONCE = 1 << 16  # in evaluation, unless one graph has more


@dataclass(frozen=True)
class LabelledGraphs(Drawn):
    """`batch_size` of the training graphs in a batch, its targets their labelled nodes.

    A part of the split has whole graphs, and is evaluated on them alone: what a model says of a
    node depends on nothing else.
    """

    num_graphs: int = 0  # of the training part
    row = "node"

    @staticmethod
    def of(dataset: Dataset, batch_size: int, steps_per_epoch: int) -> LabelledGraphs:
        """Those of a dataset's training part."""
        number = graphs_of(dataset.store, dataset.split.train).numel()
        return LabelledGraphs(batch_size, steps_per_epoch, number)

    def num_batches(self, num_ids: int, rank: int, world_size: int) -> int:
        """A last batch with fewer graphs than devices is left out."""
        full, rest = divmod(self.num_graphs, self.batch_size)
        return self.steps_per_epoch or max(full + (rest >= world_size), 1)

    def num_items(self, num_ids: int, count: int, whole: int) -> int:
        """The same share of the nodes as of the graphs."""
        seen = super().num_items(self.num_graphs, count, whole)
        return round(num_ids * seen / self.num_graphs)

    def training(self, dataset: Dataset, share: Share) -> Callable[[int], Iterator[Batch]]:
        """Graphs in a fresh order; each device takes its share of each batch."""
        train = dataset.split.train
        graphs = graphs_of(dataset.store, train)

        def epoch(number: int) -> Iterator[Batch]:
            chunks = self.chunks(graphs, share.number, share.generator(number))
            mine = [chunk[share.rank :: share.world_size] for chunk in chunks]
            yield from _with_targets(dataset, mine, train)

        return epoch

    def more_rows(self, dataset: Dataset) -> str:
        """Larger batches."""
        return "take a larger optim.batch_size"

    def evaluation(
        self, dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
    ) -> Iterator[Batch]:
        """The graphs that have the nodes `ids`, which are the targets, ascending."""
        ids = ids[: limit * batch_size] if limit else ids
        graphs = graphs_of(dataset.store, ids)
        chunks = [graphs]
        if batch_size < ids.numel():
            chunks = within(chunks, dataset.store.ranges[2].long(), max(NODES_AT_ONCE, batch_size))
        yield from _with_targets(dataset, chunks, ids)


def _with_targets(dataset: Dataset, chunks: Sequence[Tensor], ids: Tensor) -> Iterator[Batch]:
    """Batches of the graphs of each chunk, their targets those of their nodes that are in `ids`."""
    store = dataset.store
    is_target = torch.zeros(store.num_nodes, dtype=torch.bool)
    is_target[ids.cpu()] = True
    for chunk, batch in zip(chunks, store.batches(chunks), strict=True):
        targets = is_target[nodes_of(store, chunk)].nonzero().view(-1)
        if targets.numel() < batch.num_nodes:
            batch = batch.with_targets(on_device(targets, store.device))
        yield batch
