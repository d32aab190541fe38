"""Batches of a link-level dataset: its whole graph, and pairs of nodes to tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gbench.data.transfer import on_device
from gbench.errors import UserError

if TYPE_CHECKING:
    from gbench.data.batch import Batch
    from gbench.data.store import GraphStore


def known_pairs(store: GraphStore, ids: Tensor) -> Batch:
    """The pairs `ids` (P,) with their labels: links, and negatives that the dataset holds."""
    assert store.pairs is not None
    return replace(store.whole(), pairs=store.pairs[ids], y=store.y[ids])


def training_pairs(
    store: GraphStore,
    chunks: Sequence[Tensor],
    generator: torch.Generator,
    non_links: NonLinks | None = None,
) -> Iterator[Batch]:
    """Each chunk of links, followed by as many pairs that are none, labelled 0.

    Without `non_links` those of the graph and of these chunks are meant.
    """
    assert store.pairs is not None
    non_links = non_links or NonLinks.of(store, torch.cat([*chunks]))
    whole = store.whole()
    for ids in chunks:
        links = store.pairs[ids]
        drawn = non_links.draw(ids.numel(), generator)
        y = torch.zeros(2 * ids.numel(), 1, device=store.device)
        y[: ids.numel()] = 1.0
        drawn = on_device(drawn.to(links.dtype), store.device)
        yield replace(whole, pairs=torch.cat([links, drawn]), y=y)


@dataclass(frozen=True, eq=False)
class NonLinks:
    """The ordered pairs of two nodes that no edge of the graph and no training link joins.

    Neither (u, v) nor (v, u) is there if one of them is an edge or a link. A pair (u, v) is number
    u (N - 1) + v, less 1 where v > u; the pairs that are left are counted in this order.

    Shapes: taken (T,) int64, the numbers that are not there, ascending.
    """

    num_nodes: int
    taken: Tensor

    @staticmethod
    def of(store: GraphStore, ids: Tensor) -> NonLinks:
        """Those of a dataset's graph with the training links `ids`.

        Raises UserError where every two nodes are joined.
        """
        assert store.pairs is not None
        joined = torch.cat([store.whole().edge_index, store.pairs[ids].t()], dim=1).cpu().long()
        u, v = torch.cat([joined, joined.flip(0)], dim=1)
        u, v = u[u != v], v[u != v]
        taken = (u * (store.num_nodes - 1) + v - (v > u).long()).unique()
        found = NonLinks(store.num_nodes, taken)
        if found.count == 0:
            raise UserError(
                "every two nodes of the graph are joined by an edge or a training link: there is "
                "no pair left that a model could learn to tell from the links"
            )
        return found

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return self.num_nodes * (self.num_nodes - 1) - self.taken.numel()

    @cached_property
    def free_before(self) -> Tensor:
        """How many pairs come before each number that is not there."""
        return self.taken - torch.arange(self.taken.numel())

    def draw(self, number: int, generator: torch.Generator) -> Tensor:
        """So many pairs, uniform over all of them and without repeats, as PyG's negative_sampling.

        Where there are fewer, each comes as often as `number` allows and the rest is drawn so.

        Shapes: (number, 2) int64.
        """
        cycles, rest = divmod(number, self.count)
        ranks = distinct(self.count, rest, generator)
        if cycles:
            ranks = torch.cat([torch.arange(self.count).repeat(cycles), ranks])
        return self.pairs(ranks)

    def pairs(self, ranks: Tensor) -> Tensor:
        """The pairs of these places in the order. Shapes: (P,) → (P, 2)."""
        number = ranks + torch.searchsorted(self.free_before, ranks, right=True)
        u = number // (self.num_nodes - 1)
        v = number % (self.num_nodes - 1)
        return torch.stack([u, v + (v >= u)], dim=1)


def distinct(below: int, number: int, generator: torch.Generator) -> Tensor:
    """`number` integers below a bound, no two alike, each such sequence as likely.

    Draws until enough are new: the first occurrences of independent draws are such a sequence.
    """
    if below <= 2 * number:
        return torch.randperm(below, generator=generator)[:number]
    kept = torch.empty(0, dtype=torch.int64)
    while kept.numel() < number:
        more = number - kept.numel()
        draws = torch.randint(below, (more + more // 8 + 8,), generator=generator)
        kept = torch.cat([kept, draws])
        values, order = kept.sort(stable=True)
        is_first = torch.ones_like(values, dtype=torch.bool)
        is_first[1:] = values[1:] != values[:-1]
        kept = kept[order[is_first].sort().values]
    return kept[:number]
