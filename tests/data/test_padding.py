"""Batches in frames: what counts is as it was, and sees nothing of what fills the frame."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.batch import Batch
from gbench.data.padding import Frame, Size, frame_sizes
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore
from gbench.kernels.csr import CSR

CARD = DataCard.from_config(compose(["data=csl", "experiment=null"])["data"])
SIZE = Size(nodes=80, entries=240, graphs=7, fan=6)


@pytest.fixture(params=["dense", "molecules"])
def store(request: pytest.FixtureRequest) -> GraphStore:
    return tiny.graphs(CARD, are_molecules=request.param == "molecules").store


def laid(store: GraphStore, *chunks: Sequence[int], size: Size = SIZE) -> tuple[Batch, Batch]:
    """The batch of the last chunk, and the frame in which all were laid, one after another."""
    batches = [store.batch(torch.tensor(chunk)) for chunk in chunks]
    frame = Frame(size, batches[0])
    for batch in batches:
        assert size.holds(batch)
        frame.lay(batch)
    return batches[-1], frame.batch


def edges(graph: CSR) -> Tensor:
    return torch.stack([graph.col.long(), graph.row])


# large before small, small before large, with the directed graph and the one without an edge
CHUNKS = [[(0, 1, 2, 4, 5, 7), (6, 9)], [(6,), (8, 11, 3, 10, 2)], [(8, 9), (9, 6, 8)]]


@pytest.mark.parametrize("chunks", CHUNKS)
def test_a_frame_begins_with_the_batch_and_ends_with_nodes_that_see_themselves(
    store: GraphStore, chunks: Sequence[Sequence[int]]
) -> None:
    batch, framed = laid(store, *chunks)
    n, e, b = batch.num_nodes, batch.graph.num_entries, batch.num_graphs
    assert framed.valid is not None
    assert (framed.valid.nodes.item(), framed.valid.graphs.item()) == (n, b)
    assert (framed.num_nodes, framed.graph.num_entries, framed.num_graphs) == (80, 240, 7)
    assert torch.equal(edges(framed.graph)[:, :e], edges(batch.graph))
    sources, targets = edges(framed.graph)[:, e:]
    assert torch.equal(sources, targets)
    assert (sources >= n).all()
    assert sources.bincount().max() <= SIZE.fan
    assert torch.equal(framed.x[:n], batch.x)
    assert torch.equal(framed.y[:b], batch.y)
    assert (framed.y[b:] == -100).all()
    assert framed.batch.bincount(minlength=7).tolist() == [
        *batch.batch.bincount(minlength=b).tolist(),
        *[0] * (6 - b),
        80 - n,
    ]
    if batch.edge_code is not None and framed.edge_code is not None:
        assert torch.equal(framed.edge_code[:e], batch.edge_code)


@pytest.mark.parametrize("chunks", CHUNKS)
def test_a_frame_is_a_graph_and_its_transpose(
    store: GraphStore, chunks: Sequence[Sequence[int]]
) -> None:
    _, framed = laid(store, *chunks)
    made, order = CSR.from_edge_index(edges(framed.graph), framed.num_nodes)
    assert torch.equal(made.rowptr, framed.graph.rowptr)
    assert torch.equal(made.rowptr_t, framed.graph.rowptr_t)
    values = torch.randn(framed.graph.num_entries)  # loops may stand in any order among themselves
    weights = torch.zeros(80, 80, dtype=torch.float64)
    graph = framed.graph
    weights.index_put_((graph.row, graph.col.long()), values.double(), accumulate=True)
    column = torch.repeat_interleave(graph.out_degree, output_size=graph.num_entries)
    transposed = torch.zeros_like(weights)
    at = (graph.col_t.long(), column.long())
    transposed.index_put_(at, values.double()[graph.perm_t.long()], accumulate=True)
    assert torch.allclose(weights, transposed)
    assert order.numel() == graph.num_entries


def test_labels_that_are_numbers_are_missing_where_no_graph_is(store: GraphStore) -> None:
    batch = store.batch(torch.tensor([0, 1]))
    batch.y = torch.ones(2, 3)
    frame = Frame(SIZE, batch)
    frame.lay(batch)
    assert frame.batch.y[:2].eq(1).all()
    assert frame.batch.y[2:].isnan().all()


def test_a_frame_says_what_it_does_not_hold(store: GraphStore) -> None:
    batch = store.batch(torch.tensor([0, 1, 4]))
    n, e = batch.num_nodes, batch.graph.num_entries
    assert Size(n + 1, e + 3, 4, fan=3).holds(batch)
    assert not Size(n, e, 4, fan=3).holds(batch)  # no node is left
    assert not Size(n + 1, e - 1, 4, fan=3).holds(batch)
    assert not Size(n + 1, e + 4, 4, fan=3).holds(batch)  # its loops are too few
    assert not Size(n + 1, e + 3, 3, fan=3).holds(batch)  # no graph is left


@pytest.mark.parametrize("degree", [0, 2, 60])
def test_frames_hold_nearly_all_batches_and_the_last_of_an_epoch(degree: int) -> None:
    generator = torch.Generator().manual_seed(1)
    nodes = torch.randint(5, 60, (3000,), generator=generator)
    entries = (nodes * degree * (0.7 + 0.6 * torch.rand(3000, generator=generator))).long()
    sizes = frame_sizes(nodes.int(), entries.int(), 32, longest=4 * degree)
    assert 1 <= len(sizes) <= 4
    assert sizes == sorted(sizes)

    def frame(ids: Tensor) -> int | None:
        n, e = int(nodes[ids].sum()), int(entries[ids].sum())
        for number, size in enumerate(sizes):
            left = size.nodes - n
            if left > 0 and 0 <= size.entries - e <= left * size.fan:
                return number
        return None

    order = torch.randperm(3000, generator=generator)
    found = [frame(ids) for ids in order.split(32)]  # the last has 24
    assert None not in found
    assert len({*found}) == len(sizes)
    assert [frame(ids[:n]) for ids in order.split(32)[:5] for n in (1, 2, 9)] == [0] * 15
    assert sizes[0].nodes < 1.25 * 32 * 32  # little is left
