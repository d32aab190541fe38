"""Batches of the packed store against PyG's collation and against sorting the batch anew."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch as PyGBatch
from torch_geometric.data import Data

from gbench.data.source import Graph
from gbench.data.store import GraphStore, narrowed, pack
from gbench.kernels.csr import CSR

CSR_FIELDS = ("rowptr", "col", "rowptr_t", "col_t", "perm_t")


def draw(count: int, *, undirected: bool, level: str = "graph", seed: int = 0) -> list[Data]:
    """Graphs of 1 to 9 nodes with loops, isolated nodes and, some of them, no edge at all."""
    generator = torch.Generator().manual_seed(seed)
    graphs = []
    for i in range(count):
        nodes = int(torch.randint(1, 10, (), generator=generator))
        adjacency = torch.rand(nodes, nodes, generator=generator) < (0.3 if i % 5 else 0.0)
        if undirected:
            adjacency = adjacency | adjacency.t()
        edge_index = adjacency.nonzero().t()
        edge_index = edge_index[:, torch.randperm(edge_index.size(1), generator=generator)]
        kinds = torch.randint(0, 3, (edge_index.size(1), 2), generator=generator)
        labels = nodes if level == "node" else 1
        graphs.append(
            Data(
                x=torch.randint(0, 119, (nodes, 4), generator=generator),
                edge_index=edge_index,
                edge_attr=kinds,
                y=torch.randint(0, 5, (labels,), generator=generator),
            )
        )
    return graphs


def edges_of(edge_index: torch.Tensor, values: torch.Tensor) -> list[list[int]]:
    return sorted(torch.cat([edge_index.t(), values], dim=1).tolist())


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("level", ["graph", "node"])
def test_a_batch_is_what_pyg_collates(undirected: bool, level: str) -> None:
    graphs = draw(40, undirected=undirected, level=level)
    store = pack(graphs, level)  # type: ignore[arg-type]
    assert (store.col_t is None) == undirected
    generator = torch.Generator().manual_seed(1)
    picks = [torch.randint(0, 40, (size,), generator=generator) for size in (1, 2, 7, 40, 64)]
    for ids in [*picks, torch.tensor([0]), torch.tensor([3, 3, 3]), torch.arange(40)]:
        ours = store.batch(ids)
        theirs = PyGBatch.from_data_list([graphs[i] for i in ids.tolist()])
        assert torch.equal(ours.x, theirs.x)
        assert torch.equal(ours.y, theirs.y)
        assert torch.equal(ours.node_ptr.long(), theirs.ptr)
        assert torch.equal(ours.batch, theirs.batch)
        attributes = ours.edge_combos[ours.edge_code.long()]
        assert edges_of(ours.edge_index, attributes) == edges_of(
            theirs.edge_index, theirs.edge_attr
        )
        sorted_anew, _ = CSR.from_edge_index(theirs.edge_index, theirs.num_nodes)
        for name in CSR_FIELDS:
            part, expected = getattr(ours.graph, name), getattr(sorted_anew, name)
            assert part.dtype == torch.int32 and torch.equal(part, expected), name


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("level", ["graph", "node"])
@pytest.mark.parametrize("at_once", [1, 20, 10_000])
def test_batches_cut_from_common_tensors_are_the_same(
    undirected: bool, level: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gbench.data.store.GRAPHS_AT_ONCE", at_once)
    store = pack(draw(30, undirected=undirected, level=level), level)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(2)
    chunks = [torch.randint(0, 30, (n,), generator=generator) for n in (7, 7, 1, 0, 12, 30, 5)]
    batches = list(store.batches(iter(chunks)))
    assert len(batches) == len(chunks)
    for batch, ids in zip(batches, chunks, strict=True):
        alone = store.batch(ids)
        assert batch.num_graphs == ids.numel()
        for name in CSR_FIELDS:
            part = getattr(batch.graph, name)
            assert torch.equal(part, getattr(alone.graph, name)) and part.is_contiguous(), name
        for name in ("x", "y", "node_ptr", "edge_code", "batch"):
            assert torch.equal(getattr(batch, name), getattr(alone, name)), name


@pytest.mark.parametrize("undirected", [True, False])
def test_the_whole_of_one_graph(undirected: bool) -> None:
    graph = draw(2, undirected=undirected, level="node", seed=3)[1]
    store = pack([graph], "node")
    whole = store.whole()
    expected, order = CSR.from_edge_index(graph.edge_index, graph.num_nodes)
    for name in CSR_FIELDS:
        assert torch.equal(getattr(whole.graph, name), getattr(expected, name)), name
    assert torch.equal(whole.edge_combos[whole.edge_code.long()], graph.edge_attr[order])
    assert whole.node_ptr.tolist() == [0, graph.num_nodes]
    assert store.whole() is whole  # what models derive from it is kept
    same = store.batch(torch.tensor([0]))
    assert torch.equal(same.x, whole.x) and torch.equal(same.y, whole.y)


@pytest.mark.parametrize("undirected", [True, False])
def test_the_longest_row_is_counted_once_and_bounds_every_batch(undirected: bool) -> None:
    store = pack(draw(30, undirected=undirected))
    graph, _ = store.union()
    longest = int(torch.cat([graph.in_degree, graph.out_degree]).max())
    batch = store.batch(torch.tensor([0]))
    assert store.longest == graph.longest == batch.graph.longest == longest
    assert "longest" not in store.tensors()  # files of packed stores are as they were
    again = GraphStore(store.level, **store.tensors())
    assert again.longest == store.to("cpu").longest == longest


@pytest.mark.parametrize("more", ["nothing", "loop", "again", "one-way"])
def test_whether_all_edges_run_both_ways_once_is_looked_at_once(more: str) -> None:
    def graph(edges: list[tuple[int, int]]) -> Graph:
        return Graph(torch.ones(4, 1), torch.tensor(edges).t().reshape(2, -1), torch.zeros(1))

    both = [(0, 1), (1, 0), (1, 3), (3, 1)]
    added = {"nothing": [], "loop": [(2, 2)], "again": [(0, 1), (1, 0)], "one-way": [(2, 3)]}[more]
    # graphs that begin where another ends: no entry repeats the one before it
    store = pack([graph(both), graph(both + added), graph([(0, 3), (3, 0)]), graph(both)])
    assert store.undirected is (more == "nothing")
    assert store.union()[0].undirected is store.undirected
    assert store.batch(torch.tensor([0, 0])).graph.undirected is store.undirected
    assert "undirected" not in store.tensors()
    assert pack([graph(both)]).undirected is None  # its only batch is kept, and asked once


def test_whole_of_several_graphs_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 graphs"):
        pack(draw(3, undirected=True)).whole()


def test_edges_without_attributes_and_labels_of_several_tasks() -> None:
    y = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
    graphs = [
        Graph(torch.ones(2, 3, dtype=torch.float64), torch.tensor([[0], [1]]), row[None])
        for row in y
    ]
    batch = pack(graphs).batch(torch.tensor([1, 0]))
    assert batch.edge_code is None and batch.edge_combos is None
    assert batch.x.dtype == torch.float32
    assert torch.equal(batch.y[0], y[1]) and batch.y[1, 0] == 1 and batch.y[1, 1].isnan()


def test_the_packed_tensors_make_the_store_again() -> None:
    store = pack(draw(9, undirected=False))
    again = GraphStore(store.level, **store.tensors())
    ids = torch.tensor([4, 0, 8])
    assert torch.equal(again.batch(ids).graph.perm_t, store.batch(ids).graph.perm_t)
    assert (again.num_graphs, again.num_nodes, again.num_edges) == (
        9,
        store.x.size(0),
        store.col.numel(),
    )


def test_graphs_without_any_edge() -> None:
    graph = Graph(
        torch.ones(2, 3), torch.empty(2, 0, dtype=torch.long), torch.tensor([1]),
        torch.empty(0, 2, dtype=torch.long),
    )  # fmt: skip
    batch = pack([graph, graph]).batch(torch.tensor([1, 0]))
    assert batch.graph.rowptr.tolist() == [0] * 5 and batch.graph.col.numel() == 0
    assert batch.edge_combos.shape == (0, 2)


def test_combinations_are_the_distinct_rows_in_order() -> None:
    kinds = torch.randint(0, 7, (500, 3), generator=torch.Generator().manual_seed(0))
    kinds[:, 1] *= 40
    edge_index = torch.stack([torch.arange(500), torch.arange(500)])
    store = pack([Graph(torch.ones(500, 1), edge_index, torch.tensor([0]), kinds)])
    combos, code = torch.unique(kinds, dim=0, return_inverse=True)
    assert torch.equal(store.edge_combos, combos) and torch.equal(store.edge_code.long(), code)


def test_categories_take_the_smallest_type() -> None:
    for largest, dtype in ((255, torch.uint8), (256, torch.int16), (32768, torch.int32)):
        codes = narrowed(torch.tensor([[0, largest]]))
        assert codes.dtype == dtype and codes.tolist() == [[0, largest]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_batch_is_the_same_on_a_gpu() -> None:
    store = pack(draw(40, undirected=False))
    ids = torch.tensor([5, 5, 39, 0, 17])
    here, there = store.batch(ids), store.to("cuda").batch(ids)
    for name in CSR_FIELDS:
        assert torch.equal(getattr(here.graph, name), getattr(there.graph, name).cpu())
    for name in ("x", "y", "node_ptr", "edge_code"):
        assert torch.equal(getattr(here, name), getattr(there, name).cpu())
