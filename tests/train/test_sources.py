"""Which batches a task has: by its dataset's level and by `batching`."""

from __future__ import annotations

import pytest
import torch

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.train.scopes import Shadow
from gbench.train.sources import Graphs, Pairs, Parts, Share, Source, WholeGraph

FEW = ("batching.num_parts=8", "batching.parts_per_batch=2")
SMALL = ("data=csbm", "data.num_nodes=200")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["data=csl"], Graphs),
        ([*SMALL], WholeGraph),
        ([*SMALL, "batching=neighbours"], Parts),
        ([*SMALL, "batching=shadow"], Shadow),
        (
            [*SMALL, "batching=partitions", "batching.num_parts=8", "batching.parts_per_batch=2"],
            Parts,
        ),
    ],
)
def test_a_task_has_the_batches_of_its_level(words: list[str], kind: type[Source]) -> None:
    task = build_task(compose(["model=gcn", *words]))
    assert type(task.source) is kind
    # a graph that is one batch has to be on the device whole, and devices have nothing to share
    assert task.source.is_one_batch == (kind is WholeGraph)


@pytest.mark.parametrize(
    ("source", "batches", "items"),
    [
        (WholeGraph(), 1, 100),
        (Graphs(32), 4, 100),  # the last of 4 graphs
        (Graphs(33), 3, 99),  # a last batch of one graph is left out
        (Graphs(32, 7), 7, 7 * 32),
        (Graphs(200, 7), 7, 7 * 100),
        (Pairs(33), 4, 100),
        (Pairs(32, 2), 2, 64),
    ],
)
def test_batches_and_items_of_an_epoch(source: Source, batches: int, items: int) -> None:
    assert source.num_batches(100, 0, 1) == batches
    assert source.num_items(100, batches, batches) == items


def test_the_share_of_an_epoch_that_a_limit_leaves() -> None:
    assert Graphs(32).num_items(100, 2, 4) == 64
    assert Pairs(32).num_items(100, 1, 4) == 32
    task = build_task(compose(["model=gcn", *SMALL, "batching=neighbours"]))
    assert task.source.num_items(100, 1, 3) == 33


def test_an_epoch_is_drawn_from_seed_and_number_alone() -> None:
    def draw(seed: int, epoch: int) -> list[int]:
        share = Share(seed, 4, 0, 1, 10)
        chunks = Graphs(3).chunks(torch.arange(12), 4, share.generator(epoch))
        return torch.cat(chunks).tolist()

    generator = torch.Generator().manual_seed(5 * 1_000_003 + 2)
    assert draw(5, 2) == torch.randperm(12, generator=generator).tolist()
    assert draw(5, 2) == draw(5, 2) != draw(5, 3)
    assert draw(5, 2) != draw(6, 2)
