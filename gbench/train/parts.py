"""Batches that are parts of one big graph, cut ahead of the training that uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.big.part import Part, Pattern, batch_of
from gbench.data.store import GraphStore
from gbench.data.transfer import Packed
from gbench.parallel import in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


class Cutter(Protocol):
    """What the `_target_` of a `batching` choice makes: see gbench/data/big/neighbours.py."""

    pattern: Pattern

    def epoch(self, generator: torch.Generator, rank: int, world_size: int) -> list[Tensor]:
        """What each batch of an epoch is about; of several devices, this one's share of each."""

    def cut(self, chunk: Tensor, draw: int) -> Part:
        """The part for one of them; `draw` seeds whatever is random about it."""


def training_parts(
    cutter: Cutter,
    workers: int,
    store: GraphStore,
    generator: torch.Generator,
    *,
    rank: int,
    world_size: int,
    count: int,
) -> Iterator[Batch]:
    """The first `count` batches of an epoch that depends on the generator alone."""
    chunks = cutter.epoch(generator, rank, world_size)
    draws = torch.randint(2**62, (len(chunks),), generator=generator).tolist()

    jobs = islice(zip(chunks, draws, strict=True), count)
    yield from batches(store, lambda job: cutter.cut(*job), jobs, workers)


def batches(
    store: GraphStore, cut: Callable[[Item], Part], items: Iterable[Item], workers: int
) -> Iterator[Batch]:
    """The batch of the part of each item, in their order, cut ahead by threads.

    On the CPU the threads gather features too. A GPU does so itself, on the stream of the training:
    the threads leave the parts where it finds them.
    """
    if store.device.type == "cpu":
        yield from ahead(lambda item: batch_of(store, cut(item)), items, workers)
        return
    for part in ahead(lambda item: Packed(cut(item), store.device), items, workers):
        yield batch_of(store, part.to(store.device))


def ahead(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """What `work` makes of each item, in their order, made by threads while the last one is used.

    At most `workers` + 1 results wait.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="parts") as pool:
        yield from in_order(lambda item: pool.submit(work, item), items, workers)
