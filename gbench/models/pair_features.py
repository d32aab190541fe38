"""What models on all pairs of nodes begin with: the pairs' places, their values, edges on them.

Legend: N nodes, E entries, P = Σ n² pairs, K values of a pair, D dim.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import Pairs, embedding_sum
from gbench.models.dense import Dense
from gbench.models.encoders import Embeddings


def pairs_of(batch: Batch) -> Pairs:
    """Where the pairs stand; kept with the batch."""
    if "pairs" not in batch.memo:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            batch.memo["pairs"] = Pairs.of(batch.node_ptr, batch.num_nodes)
    pairs: Pairs = batch.memo["pairs"]
    return pairs


def pair_values(batch: Batch) -> Tensor:
    """batch.pairs, (P, K)."""
    assert batch.pairs is not None
    return batch.pairs


def entries_of(batch: Batch) -> Tensor:
    """Which pair each entry of `batch.graph.col` is, int64 (E,); kept with the batch."""
    if "pair_entries" not in batch.memo:
        with torch.inference_mode(False):
            batch.memo["pair_entries"] = pairs_of(batch).entries(batch.graph)
    entries: Tensor = batch.memo["pair_entries"]
    return entries


def own_values(batch: Batch) -> Tensor:
    """The values of each node's pair with itself, (N, K)."""
    if "pair_diagonal" not in batch.memo:
        with torch.inference_mode(False):
            batch.memo["pair_diagonal"] = pairs_of(batch).diagonal()
    return pair_values(batch).index_select(0, batch.memo["pair_diagonal"])


class EdgesOnPairs(nn.Module):
    """Adds e_ij to the pair of each edge (j → i): embeddings of its categories, W a + b of numbers.

    Edges that have neither add nothing.

    Shapes: p (P, D) → (P, D), changed in place.
    """

    uses: ClassVar = ("edge_attr",)
    first: Tensor

    def __init__(self, spec: DataSpec, dim: int) -> None:
        super().__init__()
        categories = spec.edge_categories
        self.bonds = Embeddings(categories, dim, normal=True) if categories else None
        self.numbers = Dense(spec.edge_dim, dim) if spec.edge_dim else None
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    def forward(self, batch: Batch, p: Tensor) -> Tensor:
        for e in self.values(batch):
            # index_put and not index_add: an edge may be there twice, and the order of sums is one
            p = p.index_put_((entries_of(batch),), e.to(p.dtype), accumulate=True)
        return p

    def values(self, batch: Batch) -> list[Tensor]:
        """Of categories and of numbers, where there are such. Shapes: each (E, D)."""
        found: list[Tensor] = []
        if self.bonds is not None and batch.edge_code is not None:
            assert batch.edge_combos is not None
            table = self.bonds(batch.edge_combos)
            found.append(embedding_sum(batch.edge_code[:, None], table, self.first))
        if self.numbers is not None:
            found.append(self.numbers(batch.edge_attr))
        return found
