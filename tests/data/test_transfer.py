"""What goes to a GPU goes in one copy from pinned memory. The GPU here is torch's device `meta`.

It has no memory, so that whatever would wait for a value there, or copy one back, raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data import transfer
from gbench.data.batch import Batch
from gbench.data.source import Graph
from gbench.data.store import GraphStore, pack
from gbench.data.transfer import ALIGNMENT, Packed, on_device
from gbench.kernels import CSR
from gbench.train.links import NonLinks, known_pairs, training_pairs
from gbench.train.loader import TrainingBatches
from gbench.train.task import Task

CPU, GPU = torch.device("cpu"), torch.device("meta")
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Copies(TorchDispatchMode):
    """Counts what goes from the CPU to the GPU, and refuses what the host would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.pinned: list[Tensor] = []
        self.count = 0

    def buffer(self, num_bytes: int, device: torch.device) -> Tensor:
        """In place of pinned memory, which there is none of without a GPU."""
        assert device == GPU
        self.pinned.append(torch.empty(num_bytes, dtype=torch.uint8))
        return self.pinned[-1]

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        out = op(*args, **(kwargs or {}))
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        here = [t for t in given if t.device == CPU and t.dim()]
        there = [t for t in tree_leaves((given, out)) if isinstance(t, Tensor) and t.device == GPU]
        if here and there:
            assert op in COPIES, f"{op} takes tensors of both, and copies them in secret"
            assert (kwargs or {}).get("non_blocking") or (op is COPIES[1] and args[-1] is True), op
            assert any(t.data_ptr() == here[0].data_ptr() for t in self.pinned), "not pinned"
            self.count += 1
        return out


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Copies]:
    mode, tensor = Copies(), torch.tensor
    monkeypatch.setattr(transfer, "buffer", mode.buffer)

    def plain(*args: Any, **options: Any) -> Tensor:
        assert torch.device(options.get("device") or "cpu") == CPU, "a copy that the host waits for"
        return tensor(*args, **options)

    monkeypatch.setattr(torch, "tensor", plain)
    yield mode


def parts_of(value: Any) -> list[Tensor]:
    return list(transfer._tensors(value))


def test_what_is_packed_is_what_arrives() -> None:
    """Bit for bit, each tensor where 256 bytes begin, whatever its type, shape and strides."""
    graph, _ = CSR.from_edge_index(torch.randint(0, 9, (2, 31)), 9)
    x = torch.randn(7, 5)
    value = (
        (graph, graph, x),
        torch.tensor(3),
        x.T[1:],
        x.bfloat16()[:, ::2],
        torch.empty(0, 4),
        torch.rand(11) < 0.5,
        torch.arange(300, dtype=torch.uint8),
        "a word",
    )
    packed = Packed(value, GPU)
    assert packed.buffer is not None
    found = packed.read(packed.buffer.clone())
    assert found[-1] == "a word" and found[0][0] is found[0][1]
    for ours, wanted in zip(parts_of(found), parts_of(value), strict=True):
        assert ours.dtype == wanted.dtype and torch.equal(ours, wanted)
        assert ours.data_ptr() != wanted.data_ptr() or not ours.numel()
        assert ours.storage_offset() * ours.itemsize % ALIGNMENT == 0
    # what occurs twice is there once
    distinct = {id(tensor): tensor.nbytes for tensor in parts_of(value)}
    assert packed.buffer.nbytes < sum(distinct.values()) + ALIGNMENT * len(distinct)
    assert len(packed.places) == len(distinct)


def test_nothing_is_copied_within_the_cpu() -> None:
    graph, _ = CSR.from_edge_index(torch.randint(0, 9, (2, 31)), 9)
    value = (graph, torch.ones(3))
    assert on_device(value, CPU) is value
    assert Packed(value, GPU).to(CPU) is value


def task_of(*words: str) -> Task:
    return build_task(compose([*words, "trainer=cpu"]))


def epoch_of(task: Task) -> Iterator[Batch]:
    return iter(
        TrainingBatches(
            task.dataset, task.source, seed=3, limit=0, rank=0, world_size=1, max_epochs=1
        )
    )


CSBM = ("model=gcn", "data=csbm", "data.num_nodes=300", "encoding=rwse")
NEIGHBOURS = (*CSBM, "batching=neighbours", "batching.nodes_per_batch=20")
PARTITIONS = (*CSBM, "batching=partitions", "batching.num_parts=8", "batching.parts_per_batch=2")


@pytest.mark.parametrize("words", [NEIGHBOURS, PARTITIONS], ids=["neighbours", "partitions"])
def test_a_part_of_a_big_graph_is_one_copy(words, copies: Copies) -> None:
    task = task_of(*words)
    expected = list(epoch_of(task))
    task.place_data(GPU)
    with copies:
        found = list(epoch_of(task))
    assert copies.count == len(found) == len(expected) > 2
    for ours, wanted in zip(found, expected, strict=True):
        assert ours.x.device == ours.node_ptr.device == GPU
        shapes = [[t.shape for t in parts_of(batch)] for batch in (ours, wanted)]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("encoding", ["none", "lappe"])
def test_many_small_graphs_are_one_copy_in_all(encoding, copies: Copies) -> None:
    """Of 512 at a time, and one more per batch for the random signs of its encoding."""
    task = task_of("model=gin", "data=csl", f"encoding={encoding}", "optim.batch_size=16")
    task.place_data(GPU)
    with copies:
        found = list(epoch_of(task))
        signs = len(found) if encoding == "lappe" else 0
        assert len(found) > 4 and copies.count == 1 + signs
        list(task.source.evaluation(task.dataset, task.dataset.split.valid, 512))
        assert copies.count == 2 + signs


def test_links_are_one_copy_per_batch(copies: Copies) -> None:
    edges, links = torch.randint(0, 40, (2, 80)), torch.randint(0, 40, (60, 2))
    store = pack([Graph(torch.zeros(40, 1), edges, torch.ones(60, 1), pairs=links)], "link")
    ids = torch.arange(60)
    non_links = NonLinks.of(store, ids)
    there, ids = store.to(GPU), ids.to(GPU)
    with copies:
        found = list(
            training_pairs(there, ids.split(20), torch.Generator().manual_seed(0), non_links)
        )
        assert [batch.pairs.shape for batch in found] == [(40, 2)] * 3
        assert copies.count == 3
        known_pairs(there, ids)
        assert copies.count == 3


@pytest.mark.parametrize("kind", ["graphs", "part", "patches"])
def test_a_batch_of_a_dataset_that_does_not_fit_is_one_copy(kind, copies: Copies) -> None:
    words = {
        "graphs": ("model=gin", "data=csl"),
        "part": NEIGHBOURS,
        "patches": ("model=graph-mlp-mixer", "data=csl", "model.partition=random"),
    }[kind]
    batch = next(epoch_of(task_of(*words)))
    assert (batch.patches is not None) is (kind == "patches")
    with copies:
        moved = batch.to(GPU)
    assert copies.count == 1
    assert {tensor.device for tensor in parts_of(moved)} == {GPU}
    assert len(parts_of(moved)) == len(parts_of(batch))


def test_patches_are_one_copy_more(copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a thread packs where there is a GPU."""
    monkeypatch.setattr("gbench.data.patches.patching.ready", lambda patches: Packed(patches, GPU))
    task = task_of(
        "model=graph-mlp-mixer", "data=csl", "model.partition=random", "optim.batch_size=16"
    )
    task.place_data(GPU)
    with copies:
        found = list(epoch_of(task))
    assert copies.count == len(found) + 1
    assert found[0].patches is not None and found[0].patches.coarse.device == GPU


def test_a_store_is_moved_whole() -> None:
    store: GraphStore = task_of("model=gin", "data=csl").dataset.store.to(GPU)
    assert {t.device for name, t in store.tensors().items() if name != "ranges"} == {GPU}
    assert replace(store).ranges.device == CPU
