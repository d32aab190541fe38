"""Nodes of one graph, each with a small graph of its own that a model of any depth sees alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gbench.data.big.part import Pattern
from gbench.data.big.scopes import batch_of, by_hops, by_ppr, remembered, scopes_of
from gbench.data.transfer import Packed
from gbench.errors import UserError
from gbench.train.parts import ahead
from gbench.train.sources import Batched, Share

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.dataset import Dataset


class Shadow(Batched):
    """`nodes_per_batch` nodes in a batch with a scope each: their answers are read at the roots.

    scope=ppr takes the `most_nodes` nodes that personalised PageRank ranks highest, scope=hops
    those within `hops` edges, of each node's in-neighbours `budget` at most (see scopes.py).
    Evaluation sees the same scopes as training, and each node's is found once. Raises UserError for
    other words and numbers, and for data of several graphs.
    """

    row = "node"

    def __init__(
        self,
        dataset: Dataset,
        *,
        scope: str,
        most_nodes: int,
        alpha: float,
        epsilon: float,
        hops: int,
        budget: int,
        nodes_per_batch: int,
        workers: int,
    ) -> None:
        if dataset.store.num_graphs != 1:
            raise UserError(
                f"batching=shadow cuts one graph, and {dataset.card.name} has "
                f"{dataset.store.num_graphs}: take batching=full"
            )
        self.nodes_per_batch, self.workers = nodes_per_batch, workers
        self.pattern = Pattern(dataset.store)
        if scope == "ppr":
            options = {"alpha": alpha, "epsilon": epsilon}
            members = by_ppr(self.pattern, most=most_nodes, **options)
        else:
            members = by_hops(self.pattern, hops=hops, budget=budget)
        self.members = remembered(members)

    def num_batches(self, num_ids: int, rank: int, world_size: int) -> int:
        """A last batch that leaves a device no node is left out."""
        full, rest = divmod(num_ids, self.nodes_per_batch)
        return max(1, full + (rest >= world_size))

    def num_items(self, num_ids: int, count: int, whole: int) -> int:
        """Those of full batches, and of the last one."""
        return min(count * self.nodes_per_batch, num_ids)

    def training(self, dataset: Dataset, share: Share) -> Callable[[int], Iterator[Batch]]:
        """In a fresh order each epoch; of several devices each takes its part of each batch."""

        def epoch(number: int) -> Iterator[Batch]:
            ids = dataset.split.train.cpu()
            order = ids[torch.randperm(ids.numel(), generator=share.generator(number))]
            chunks = order.split(self.nodes_per_batch)[: share.number]
            return self._batches(
                dataset, [chunk[share.rank :: share.world_size] for chunk in chunks]
            )

        return epoch

    def more_rows(self, dataset: Dataset) -> str:
        """Larger batches."""
        return "take more nodes per batch: batching.nodes_per_batch"

    def evaluation(
        self, dataset: Dataset, ids: Tensor, batch_size: int, limit: int = 0
    ) -> Iterator[Batch]:
        """The scopes of the nodes `ids`, in order."""
        ids = ids[: limit * batch_size] if limit else ids
        return self._batches(dataset, [*ids.cpu().split(self.nodes_per_batch)])

    def _batches(self, dataset: Dataset, chunks: list[Tensor]) -> Iterator[Batch]:
        """Cut ahead by threads, which on a CPU gather features as well."""
        store = dataset.store

        def cut(roots: Tensor) -> Packed[object]:
            scopes = scopes_of(self.pattern, roots, self.members)
            return Packed(scopes, store.device)

        for packed in ahead(cut, chunks, self.workers):
            yield batch_of(store, packed.to(store.device))  # type: ignore[arg-type]
