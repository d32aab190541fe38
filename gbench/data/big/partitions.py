"""Parts of a graph that few edges leave, and batches of several parts with the edges among them.

Chiang et al., "Cluster-GCN: An Efficient Algorithm for Training Deep and Large Graph Convolutional
Networks" (KDD 2019).

Legend: N nodes, E edges, P parts.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gbench.data.big.part import Part, Pattern, with_transpose
from gbench.data.dataset import Dataset
from gbench.data.files.derived import Key, derived
from gbench.errors import UserError
from gbench.kernels.cpu.rows import array, compiled


class Partitions:
    """Batches of `parts_per_batch` of the `num_parts` parts that METIS cuts the graph into."""

    def __init__(
        self,
        dataset: Dataset,
        reach: int,
        cache_dir: Path,
        *,
        num_parts: int,
        parts_per_batch: int,
    ) -> None:
        if not parts_per_batch <= num_parts <= dataset.store.num_nodes:
            raise UserError(
                f"batching.num_parts={num_parts}: at least parts_per_batch, {parts_per_batch}, and "
                f"at most the nodes of {dataset.card.name}, {dataset.store.num_nodes}"
            )
        target, options = "gbench.data.big.kway.metis", {"num_parts": num_parts}
        key = Key(dataset.card.name, dataset.fingerprint, "partitions", target, options)
        graph = dataset.store.whole().graph
        part_of = derived(key, lambda cut: {"part": cut(graph, **options)}, cache_dir)["part"]

        self.pattern = Pattern(dataset.store)
        self.reach = reach
        self.parts_per_batch = parts_per_batch
        self.is_train = torch.zeros(self.pattern.num_nodes, dtype=torch.bool)
        self.is_train[dataset.split.train] = True
        parts = part_of.argsort(stable=True).int().split(torch.bincount(part_of).tolist())
        self.parts = [nodes for nodes in parts if nodes.numel()]  # METIS may leave some empty
        self.has_train = torch.tensor([bool(self.is_train[nodes].any()) for nodes in self.parts])

    def epoch(self, generator: torch.Generator, rank: int, world_size: int) -> list[Tensor]:
        """The parts of each batch in a random order, dealt so that each has training nodes.

        Of several devices each gets its share of a batch. Raises UserError when there are not
        enough parts for that.
        """
        order = torch.randperm(len(self.parts), generator=generator)
        has_train = self.has_train[order]
        order = torch.cat([order[has_train], order[~has_train]])
        count = min(
            math.ceil(len(self.parts) / self.parts_per_batch), int(has_train.sum()) // world_size
        )
        if self.parts_per_batch < world_size or count == 0:
            raise UserError(
                f"batching.parts_per_batch={self.parts_per_batch}: each of {world_size} devices "
                f"needs a part with training nodes in every batch, and {int(has_train.sum())} of "
                f"{len(self.parts)} parts have some"
            )
        hands = count * world_size
        order = order[: count * self.parts_per_batch]
        return [order[hand::hands] for hand in range(rank, hands, world_size)]

    def cut(self, chunk: Tensor, draw: int) -> Part:
        """The nodes of these parts with all edges among them; nothing about it is random."""
        nodes = torch.cat([self.parts[part] for part in chunk.tolist()]).sort().values
        with self.pattern.places() as places:
            rowptr, col = _among(
                array(self.pattern.rowptr), array(self.pattern.col), array(nodes), places
            )
        graph = with_transpose(rowptr, col, nodes.numel(), self.pattern.longest)
        targets = self.is_train[nodes].nonzero().view(-1)
        return Part((graph,) * self.reach, nodes, targets)


@compiled
def _among(rowptr: Any, col: Any, nodes: Any, places: Any) -> tuple[Any, Any]:
    """The rows and columns of the edges that join two of `nodes`, which ascend."""
    for i in range(len(nodes)):
        places[nodes[i]] = i
    rows = np.zeros(len(nodes) + 1, np.int32)
    for i in range(len(nodes)):
        rows[i + 1] = rows[i]
        for e in range(rowptr[nodes[i]], rowptr[nodes[i] + 1]):
            rows[i + 1] += places[col[e]] >= 0
    cols, count = np.empty(rows[-1], np.int32), 0
    for i in range(len(nodes)):
        for e in range(rowptr[nodes[i]], rowptr[nodes[i] + 1]):
            if places[col[e]] >= 0:
                cols[count] = places[col[e]]
                count += 1
    for i in range(len(nodes)):
        places[nodes[i]] = -1
    return rows, cols
