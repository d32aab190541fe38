"""Batches of a link-level dataset: its whole graph, and pairs of nodes to tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.store import GraphStore


def known_pairs(store: GraphStore, ids: Tensor) -> Batch:
    """The pairs `ids` (P,) with their labels: links, and negatives that the dataset holds."""
    assert store.pairs is not None
    return replace(store.whole(), pairs=store.pairs[ids], y=store.y[ids])


def training_pairs(
    store: GraphStore, chunks: Sequence[Tensor], generator: torch.Generator
) -> Iterator[Batch]:
    """Each chunk of links, followed by as many pairs drawn uniformly at random, labelled 0.

    As in OGB's examples a drawn pair may happen to be a link: of a sparse graph few are.
    """
    assert store.pairs is not None
    whole = store.whole()
    for ids in chunks:
        links = store.pairs[ids]
        drawn = torch.randint(store.num_nodes, links.shape, generator=generator)
        y = torch.zeros(2 * ids.numel(), 1, device=store.device)
        y[: ids.numel()] = 1.0
        yield replace(whole, pairs=torch.cat([links, drawn.to(links)]), y=y)
