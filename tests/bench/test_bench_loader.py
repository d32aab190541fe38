"""`gbench bench loader` compares loaders that deliver the same graphs, and refuses others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch as PyGBatch

from gbench.bench import loader, measure, workloads
from gbench.bench.case import Mismatch
from gbench.data.store import GraphStore, pack

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small_and_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("GBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(loader, "BATCH_SIZES", (4, 20))
    monkeypatch.setattr(loader, "NUM_GRAPHS", 50)
    workloads.molecules.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    workloads.molecules.cache_clear()


def measured() -> list[loader.Row]:
    budget = measure.Budget(seconds=0.0, min_rounds=2)
    return [row for block in loader.run(CPU, budget, ()) for row in block]


def test_all_loaders_deliver_the_same_graphs_and_are_timed_per_batch() -> None:
    rows = measured()
    assert len(rows) == 2 * 2 * 3
    for row in rows:
        assert row.checked, row.note
        assert row.ratio is not None
        assert row.workload.startswith("molhiv-like-")


def test_a_store_that_delivers_other_graphs_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GraphStore.batches

    def swapped(store: GraphStore, chunks):
        chunks = [*chunks]
        if len(chunks[0]) > 1:  # taking single graphs out of the store still works
            chunks[0] = chunks[0].flip(0)
        return right(store, chunks)

    monkeypatch.setattr(GraphStore, "batches", swapped)
    for row in measured():
        assert not row.checked
        assert row.note.startswith("gbench: Mismatch")
        assert row.ratio is row.ours_ms is None


def test_only_the_order_of_edges_is_free() -> None:
    store = pack(workloads.drawn_molecules(5))
    batch = store.batch(torch.arange(5))
    theirs = PyGBatch.from_data_list(loader.pyg_graphs(store, torch.arange(5)))
    loader.check(batch, theirs)
    order = torch.randperm(theirs.edge_index.size(1))
    theirs.edge_index, theirs.edge_attr = theirs.edge_index[:, order], theirs.edge_attr[order]
    loader.check(batch, theirs)
    theirs.edge_attr = theirs.edge_attr.roll(1, dims=0)
    with pytest.raises(Mismatch, match="edges differs"):
        loader.check(batch, theirs)
    theirs.edge_attr = theirs.edge_attr.roll(-1, dims=0)
    theirs.edge_index = torch.cat([theirs.edge_index, theirs.edge_index[:, :1]], dim=1)
    theirs.edge_attr = torch.cat([theirs.edge_attr, theirs.edge_attr[:1]])
    with pytest.raises(Mismatch, match="edges differs"):
        loader.check(batch, theirs)


@pytest.mark.parametrize("name", ["x", "y", "batch"])
def test_every_tensor_is_compared(name: str) -> None:
    store = pack(workloads.drawn_molecules(5))
    theirs = PyGBatch.from_data_list(loader.pyg_graphs(store, torch.arange(5)))
    changed = getattr(theirs, name).clone()
    changed.view(-1)[-1] += 1
    setattr(theirs, name, changed)
    with pytest.raises(Mismatch, match=f"{name} differs"):
        loader.check(store.batch(torch.arange(5)), theirs)
