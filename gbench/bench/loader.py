"""`gbench bench loader`: batches of molecules from the packed store and from PyG's loader.

Both give the same graphs in the same order, which is checked first. Ours are measured twice: as
models here take them (CSR with its transpose, a code per bond), and with everything that PyG's
batch holds made as well (edge_index, the bonds' categories, the graph of each node).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.loader import DataLoader

from gbench.bench import measure
from gbench.bench.case import Mismatch
from gbench.bench.row import OURS, Row, Subject, is_wanted, rows
from gbench.bench.workloads import molecules
from gbench.data.batch import Batch
from gbench.data.store import GraphStore

BATCH_SIZES = (32, 512)
NUM_GRAPHS = 4096  # of one pass, at most: 128 batches of 32


def run(device: torch.device, budget: measure.Budget, words: Sequence[str]) -> Iterator[list[Row]]:
    """The rows of one batch size and form after the other, as they are measured."""
    name, packed, train = molecules()
    order = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))]
    order = order[:NUM_GRAPHS]
    graphs = pyg_graphs(packed, order)
    store = packed.to(device)
    for size in BATCH_SIZES:
        chunks = order.split(size)
        every = peers(graphs, size, device)
        wanted = {peer: make for peer, make in every.items() if is_wanted(peer, words)}
        for form, deliver in (("as CSR", _as_csr), ("as PyG's tensors", _as_pyg)):
            passes: dict[str, Callable[[], Iterable[Any]]] = {
                OURS: partial(_delivered, deliver, store, chunks),
                **wanted,
            }
            problems = _problems(passes, [*DataLoader(graphs, size)])
            calls = {
                peer: partial(_exhaust, make)
                for peer, make in passes.items()
                if peer not in problems and OURS not in problems
            }
            moved = sum(2 * _num_bytes(batch) for batch in store.batches(chunks))
            subject = Subject("loader", f"{name}-{size} {form}", "integers", "batch")
            yield rows(subject, calls, problems, moved, device, budget, num_batches=len(chunks))


def pyg_graphs(store: GraphStore, ids: Tensor) -> list[Data]:
    """The graphs `ids` as PyG has them, each with tensors of its own."""
    return [
        Data(
            x=batch.x.long(),
            edge_index=batch.edge_index,
            edge_attr=_edge_attr(batch),
            y=batch.y.clone(),
        )
        for batch in store.batches(ids.split(1))
    ]


def peers(
    graphs: list[Data], size: int, device: torch.device
) -> dict[str, Callable[[], Iterable[Any]]]:
    """One pass of each of PyG's ways, without shuffling: the graphs lie in order already."""
    dataset = _InMemory(graphs)

    def first_epoch() -> Iterable[Any]:
        dataset._data_list = None  # what it keeps after a graph was asked for once
        return moved(DataLoader(dataset, size))

    def moved(loader: Iterable[Any]) -> Iterable[Any]:
        return loader if device.type == "cpu" else (batch.to(device) for batch in loader)

    return {
        "PyG, list of Data": lambda: moved(DataLoader(graphs, size)),
        "PyG, dataset": first_epoch,
        "PyG, dataset, 2nd epoch": lambda: moved(DataLoader(dataset, size)),
    }


class _InMemory(InMemoryDataset):  # type: ignore[misc]
    """Graphs in PyG's own packed form, which OGB's dataset objects use too."""

    def __init__(self, graphs: list[Data]) -> None:
        super().__init__()
        self._data, self.slices = self.collate(graphs)


def _as_csr(batch: Batch) -> Batch:
    return batch


def _as_pyg(batch: Batch) -> tuple[Any, ...]:
    return batch.x.long(), batch.edge_index, _edge_attr(batch), batch.y, batch.batch


def _edge_attr(batch: Batch) -> Tensor:
    assert batch.edge_code is not None and batch.edge_combos is not None
    return batch.edge_combos.index_select(0, batch.edge_code.int())


def _delivered(
    deliver: Callable[[Batch], Any], store: GraphStore, chunks: Sequence[Tensor]
) -> Iterable[Any]:
    return map(deliver, store.batches(chunks))


def _exhaust(make: Callable[[], Iterable[Any]]) -> None:
    for _ in make():
        pass


def _num_bytes(batch: Batch) -> int:
    graph = batch.graph
    parts = (batch.x, batch.y, batch.node_ptr, batch.edge_code, *graph.arrays)
    return sum(part.nbytes for part in parts if isinstance(part, Tensor))


def _problems(
    passes: dict[str, Callable[[], Iterable[Any]]], truth: Sequence[Any]
) -> dict[str, str]:
    """Whose batches are not the graphs that they should be."""
    found = {}
    for name, make in passes.items():
        try:
            for given, wanted in zip(make(), truth, strict=True):
                check(given, wanted)
        except (Mismatch, ValueError) as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


NAMES = ("x", "edge_index", "edge_attr", "y", "batch")


def check(given: Any, wanted: Any) -> None:
    """Raise Mismatch unless two batches hold the same graphs, up to the order of their edges."""
    found, expected = _comparable(given), _comparable(wanted)
    for name, value in expected.items():
        if not torch.equal(found[name], value):
            raise Mismatch(f"{name} differs")


def _comparable(batch: Any) -> dict[str, Tensor]:
    if isinstance(batch, Batch):
        batch = _as_pyg(batch)
    values = batch if isinstance(batch, tuple) else [getattr(batch, name) for name in NAMES]
    named = {name: value.cpu() for name, value in zip(NAMES, values, strict=True)}
    edges = torch.cat([named.pop("edge_index"), named.pop("edge_attr").t()])
    kinds, counts = edges.unique(dim=1, return_counts=True)
    return {**named, "edges": torch.cat([kinds, counts[None]])}
