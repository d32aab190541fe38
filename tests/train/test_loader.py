"""Training batches: each graph once an epoch, in a new order each time, shared without overlap."""

from __future__ import annotations

import itertools

import pytest
import torch

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.big.part import batch_of
from gbench.train import loader
from gbench.train.loader import TrainingBatches
from gbench.train.sources import Graphs, Parts
from gbench.train.task import Task, fits


@pytest.fixture(scope="module")
def task() -> Task:
    return build_task(compose(["model=gin", "data=csl"]))


def epochs(
    task: Task,
    count: int,
    *,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    size: int = 16,
    steps: int = 0,
) -> list[list[int]]:
    """The graphs of each epoch, in order, told apart by where their edges are."""
    store = task.dataset.store
    names = {_name(store.batch(torch.tensor([i]))): i for i in range(store.num_graphs)}
    assert len(names) == store.num_graphs
    batches = TrainingBatches(
        task.dataset, Graphs(size, steps), seed=seed, limit=0, rank=rank, world_size=world_size,
        next_epoch=lambda: 0, max_epochs=count,
    )  # fmt: skip
    seen: list[list[int]] = []
    for number, batch in enumerate(batches):
        if number % batches.batches_per_epoch == 0:
            seen.append([])
        for graph in range(batch.num_graphs):
            first, last = batch.node_ptr[graph : graph + 2].tolist()
            col = batch.graph.col[batch.graph.rowptr[first] : batch.graph.rowptr[last]] - first
            seen[-1].append(names[bytes(col.int().numpy())])
    return seen


def _name(batch: object) -> bytes:
    return bytes(batch.graph.col.int().numpy())  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def one_long_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "ROUND_SECONDS", 1e9)


def test_every_epoch_has_every_training_graph_once_in_another_order(task: Task) -> None:
    first, second, third = epochs(task, 3)
    train = task.dataset.split.train.tolist()
    for epoch in (first, second, third):
        assert sorted(epoch) == sorted(train)
    assert len({tuple(first), tuple(second), tuple(third), tuple(train)}) == 4


def test_steps_are_batches_without_repetition_each_drawn_anew_from_the_whole_split(
    task: Task,
) -> None:
    train = set(task.dataset.split.train.tolist())
    assert len(train) == 90
    (epoch,) = epochs(task, 1, size=40, steps=50)
    batches = [epoch[start : start + 40] for start in range(0, len(epoch), 40)]
    assert len(batches) == 50
    assert all(len(set(batch)) == 40 and set(batch) <= train for batch in batches)
    # a pass over the split has no graph twice in its first two batches; two draws of 40 out of 90
    # share 17.8 on average, and 50 draws leave a graph out with probability (5 / 9)^50
    shared = [len(set(a) & set(b)) for a, b in itertools.pairwise(batches)]
    assert 15 < sum(shared) / len(shared) < 21
    assert set(epoch) == train
    first, second = epochs(task, 2, size=40, steps=50)
    assert first == epoch != second
    assert epochs(task, 1, size=200, steps=2)[0][:90] != sorted(train)
    assert len(epochs(task, 1, size=200, steps=2)[0]) == 180  # no batch has a graph twice


def test_steps_are_shared_by_the_devices_batch_by_batch(task: Task) -> None:
    (whole,) = epochs(task, 1, size=8, steps=3)
    halves = [epochs(task, 1, size=8, steps=3, rank=rank, world_size=2)[0] for rank in (0, 1)]
    assert [halves[0], halves[1]] == [whole[0::2], whole[1::2]]


def test_the_order_depends_on_seed_and_epoch_alone(task: Task) -> None:
    assert epochs(task, 2, seed=1) == epochs(task, 2, seed=1)
    assert epochs(task, 2, seed=1) != epochs(task, 2, seed=2)


def test_two_devices_share_each_batch_without_overlap(task: Task) -> None:
    (whole,) = epochs(task, 1)
    (even,) = epochs(task, 1, rank=0, world_size=2)
    (odd,) = epochs(task, 1, rank=1, world_size=2)
    assert sorted(even + odd) == sorted(whole)
    assert sorted(even[:8] + odd[:8]) == sorted(whole[:16])  # the first batch of 16


def test_a_last_batch_of_one_graph_is_left_out(task: Task) -> None:
    (epoch,) = epochs(task, 1, size=89)  # 90 training graphs
    assert len(epoch) == 89


def test_a_round_that_is_out_of_time_ends_with_its_epoch(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = epochs(task, 3)
    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)
    assert epochs(task, 3) == expected[:1]


def test_evaluation_goes_through_a_split_in_order(task: Task) -> None:
    ids = task.dataset.split.valid
    labels = torch.cat([batch.y for batch in task.source.evaluation(task.dataset, ids, 7)])
    assert torch.equal(labels, task.dataset.store.y[ids])


def test_no_graphs_are_one_empty_batch(task: Task) -> None:
    """A process that gets none of a very small split still takes part in the gathering."""
    (batch,) = task.source.evaluation(task.dataset, torch.empty(0, dtype=torch.int64), 7)
    assert task.model.eval()(batch).shape == (0, 10)
    task.model.train()


@pytest.mark.parametrize(("free", "expected"), [(100, True), (99, False)])
def test_a_dataset_is_placed_where_it_leaves_half_of_the_memory(
    free: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1000))
    assert fits(50, torch.device("cuda", 0)) is expected
    assert fits(50, torch.device("cpu"))


def test_what_does_not_fit_stays_and_its_batches_are_moved(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = torch.device("meta")
    monkeypatch.setattr("gbench.train.task.fits", lambda num_bytes, device: False)
    before = task.dataset
    task.place_data(meta)
    assert task.dataset is before
    (batch,) = task.source.evaluation(before, torch.arange(3), 7)
    assert batch.to(torch.device("cpu")) is batch  # what is derived from it is kept
    moved = batch.to(meta)
    assert moved.memo == {} and moved.graph.device == moved.x.device == moved.y.device == meta

    one_graph = build_task(compose(["model=gcn", "data=csbm", "data.num_nodes=300"]))
    one_graph.place_data(meta)  # trained on as one batch, it has to be there
    assert one_graph.dataset.store.device == meta


def test_every_tensor_of_a_part_is_moved() -> None:
    task = build_task(
        compose(["model=gcn", "data=csbm", "data.num_nodes=300", "batching=neighbours",
                 "encoding=rwse"])
    )  # fmt: skip
    assert isinstance(task.source, Parts)
    cutter, store = task.source.cutter, task.dataset.store
    batch = batch_of(store, cutter.cut(torch.arange(4), 0)).to(torch.device("meta"))
    values = {**vars(batch), **{f"graphs {i}": graph for i, graph in enumerate(batch.graphs)}}
    on_a_device = {name: value.device for name, value in values.items() if hasattr(value, "device")}
    assert {"x", "y", "pe", "degree", "targets", "graphs 0", "graphs 1"} <= set(on_a_device)
    assert {device.type for device in on_a_device.values()} == {"meta"}
