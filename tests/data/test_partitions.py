"""Parts of a graph: how METIS cuts it, what a batch of parts holds, and who gets which."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch_geometric.utils import subgraph

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.big.kway import metis
from gbench.data.big.part import batch_of
from gbench.data.big.partitions import Partitions
from gbench.data.dataset import Dataset
from gbench.data.source import Split
from gbench.errors import UserError
from gbench.kernels.csr import CSR
from gbench.train.layerwise import through_layers

CSBM = ["data=csbm", "data.num_nodes=300", "data.avg_degree=6"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return build_task(compose([*CSBM, "model=gcn"])).dataset


@pytest.fixture
def partitions(dataset: Dataset, shared_cache: Path) -> Partitions:
    return Partitions(dataset, 2, shared_cache, num_parts=12, parts_per_batch=4)


def two_cliques() -> torch.Tensor:
    clique = (1 - torch.eye(20)).nonzero().T
    bridge = torch.tensor([[0, 20], [20, 0]])
    return torch.cat([clique, clique + 20, bridge], 1)


@pytest.mark.parametrize("change", ["none", "directed", "loops"])
def test_metis_cuts_where_few_edges_are(change):
    edges = two_cliques()
    if change == "directed":
        edges = edges[:, edges[0] < edges[1]]
    if change == "loops":
        edges = torch.cat([edges, torch.arange(40).expand(2, -1)], 1)
    part_of = metis(CSR.from_edge_index(edges, 40)[0], num_parts=2)
    first, second = part_of[:20].unique(), part_of[20:].unique()
    assert first.numel() == second.numel() == 1 and first != second


def test_one_part_is_everything():
    assert (metis(CSR.from_edge_index(two_cliques(), 40)[0], num_parts=1) == 0).all()


def test_parts_are_of_nearly_equal_size_and_hold_every_node_once(partitions):
    sizes = [part.numel() for part in partitions.parts]
    assert torch.cat(partitions.parts).sort().values.tolist() == list(range(300))
    assert len(sizes) == 12 and max(sizes) <= 1.2 * 300 / 12


def test_a_batch_is_the_subgraph_of_its_parts(partitions, dataset):
    chunk = torch.tensor([3, 0, 7])
    part = partitions.cut(chunk, draw=0)
    nodes = torch.cat([partitions.parts[p] for p in chunk.tolist()]).sort().values
    assert torch.equal(part.nodes, nodes)
    whole = dataset.store.whole()
    edges, _ = subgraph(nodes.long(), whole.edge_index, relabel_nodes=True, num_nodes=300)
    expected, _ = CSR.from_edge_index(edges, nodes.numel())
    for name in ("rowptr", "col", "rowptr_t", "col_t", "perm_t"):
        assert torch.equal(getattr(part.graphs[0], name), getattr(expected, name)), name
    assert expected.longest <= part.graphs[0].longest == whole.graph.longest

    batch = batch_of(dataset.store, part)
    assert torch.equal(batch.x, whole.x[nodes])
    is_train = torch.isin(nodes, dataset.split.train)
    assert batch.targets.tolist() == is_train.nonzero().view(-1).tolist()
    assert torch.equal(batch.y[is_train], whole.y[nodes[is_train]])
    assert (batch.y[~is_train] == -1).all() and (~is_train).any()
    assert torch.equal(batch.degree, whole.graph.in_degree[nodes])


def test_all_parts_at_once_are_the_whole_graph(partitions, dataset):
    part = partitions.cut(torch.arange(12).flip(0), draw=0)
    whole = dataset.store.whole().graph
    for graph in part.graphs:
        assert torch.equal(graph.rowptr, whole.rowptr) and torch.equal(graph.col, whole.col)
    model = build_task(compose([*CSBM, "model=gcn"])).model.eval().double()
    store = replace(dataset.store, x=dataset.store.x.double(), memo={})
    torch.testing.assert_close(through_layers(model, batch_of(store, part)), model(store.whole()))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_an_epoch_deals_every_part_once(partitions, world_size):
    generators = [torch.Generator().manual_seed(5) for _ in range(world_size)]
    shares = [partitions.epoch(g, rank, world_size) for rank, g in enumerate(generators)]
    assert [len(share) for share in shares] == [3] * world_size
    dealt = torch.cat([torch.cat(share) for share in shares])
    assert sorted(dealt.tolist()) == list(range(12))
    other = partitions.epoch(torch.Generator().manual_seed(6), 0, world_size)
    assert [c.tolist() for c in other] != [c.tolist() for c in shares[0]]


def test_every_batch_has_training_nodes_however_few_there_are(dataset, shared_cache):
    few = replace(dataset, split=Split(torch.tensor([0, 299]), *dataset.split[1:]))
    partitions = Partitions(few, 2, shared_cache, num_parts=12, parts_per_batch=4)
    assert int(partitions.has_train.sum()) == 2
    for seed in range(5):
        chunks = partitions.epoch(torch.Generator().manual_seed(seed), 0, 1)
        assert [chunk.numel() for chunk in chunks] == [4, 4]
        assert all(partitions.cut(chunk, 0).targets.numel() for chunk in chunks)
    with pytest.raises(UserError, match="each of 3 devices needs a part with training nodes"):
        partitions.epoch(torch.Generator(), 0, 3)


def test_metis_runs_once_for_a_graph(dataset, tmp_path, monkeypatch):
    first = Partitions(dataset, 2, tmp_path, num_parts=12, parts_per_batch=4)
    monkeypatch.setitem(sys.modules, "pymetis", None)  # importing it fails
    again = Partitions(dataset, 2, tmp_path, num_parts=12, parts_per_batch=6)
    assert all(torch.equal(a, b) for a, b in zip(first.parts, again.parts, strict=True))
    with pytest.raises(UserError, match="pip install pymetis"):
        Partitions(dataset, 2, tmp_path, num_parts=11, parts_per_batch=4)


@pytest.mark.parametrize("numbers", [(301, 20), (3, 4)])
def test_impossible_numbers_of_parts_are_named(dataset, shared_cache, numbers):
    with pytest.raises(UserError, match=f"batching.num_parts={numbers[0]}: at least"):
        Partitions(dataset, 2, shared_cache, num_parts=numbers[0], parts_per_batch=numbers[1])
