"""Neighbour sampling: what is drawn, how evenly, and what a model makes of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch_geometric.utils import k_hop_subgraph

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.data.big.neighbours import ALL, Neighbours
from gbench.data.big.part import Part, batch_of
from gbench.data.dataset import Dataset
from gbench.data.source import Graph, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.data.store import pack
from gbench.errors import UserError
from gbench.kernels.csr import CSR
from gbench.models.convolve import gcn_average, neighbour_sum
from gbench.train.layerwise import through_layers
from gbench.train.parts import training_parts

NODES = 60


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def edge_index() -> torch.Tensor:
    """Directed, with a hub and a node that nothing reaches."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(NODES - 1, (2, 500), generator=generator)
    hub = torch.stack([torch.arange(1, NODES - 1), torch.zeros(NODES - 2, dtype=torch.int64)])
    return torch.cat([edges, hub], 1).unique(dim=1)


@pytest.fixture(scope="module")
def dataset(edge_index: torch.Tensor) -> Dataset:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(NODES, 4, generator=generator), torch.arange(NODES) % 3
    store = pack([Graph(x, edge_index, y)], "node")
    facts = {
        "name": "toy", "_target_": "", "level": "node", "loss": "cross-entropy",
        "metric": "accuracy", "direction": "max", "split": "fixed", "num_folds": 1, "fold": 0,
        "source": "", "licence": "", "citation": "",
    }  # fmt: skip
    split = Split(torch.arange(0, NODES, 2), torch.tensor([1, 3]), torch.tensor([5, 7]))
    return Dataset(DataCard.from_config(facts), DataSpec("node", 3, 4), store, split, "toy", {})


def cutter(dataset: Dataset, *fan_outs: int, nodes_per_batch: int = 8) -> Neighbours:
    return Neighbours(
        dataset, len(fan_outs), Path(), fan_outs=fan_outs, nodes_per_batch=nodes_per_batch
    )


def edges_of(part: Part) -> set[tuple[int, int]]:
    """Of the first layer, in the numbers of the whole graph; fails if an edge is there twice."""
    source, target = part.nodes[part.graphs[0].edge_index].tolist()
    pairs = list(zip(source, target, strict=True))
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


@pytest.mark.parametrize("fan_outs", [(3,), (2, 3), (5, 1, 2), (1000,), (3, ALL)])
def test_each_node_is_expanded_once_by_as_many_edges_as_asked(dataset, edge_index, fan_outs):
    targets = torch.tensor([0, 10, 59, 4])
    part = cutter(dataset, *fan_outs).cut(targets, draw=7)
    assert part.nodes[:4].tolist() == targets.tolist()
    assert part.nodes.unique().numel() == part.nodes.numel()
    edges = edges_of(part)
    assert edges <= set(zip(*edge_index.tolist(), strict=True))

    degree = torch.bincount(edge_index[1], minlength=NODES)
    hop, reached = set(targets.tolist()), set(targets.tolist())
    for fan_out in fan_outs:
        for node in hop:
            wanted = int(degree[node]) if fan_out == ALL else min(int(degree[node]), fan_out)
            assert sum(target == node for _, target in edges) == wanted
        hop = {source for source, target in edges if target in hop} - reached
        reached |= hop
    assert reached == set(part.nodes.tolist())
    assert not any(target in hop for _, target in edges)


def test_all_neighbours_are_the_k_hop_subgraph_of_pyg(dataset, edge_index):
    targets = torch.tensor([3, 20])
    part = cutter(dataset, ALL, ALL).cut(targets, draw=0)
    nodes, _, _, _ = k_hop_subgraph(targets, 2, edge_index, num_nodes=NODES)
    assert sorted(part.nodes.tolist()) == nodes.tolist()


def test_every_layer_sees_what_the_next_one_needs(dataset):
    targets = torch.tensor([1, 0, 30])
    part = cutter(dataset, 4, 3, 2).cut(targets, draw=1)
    one_hop, two_hops = cutter(dataset, 4).cut(targets, 1), cutter(dataset, 4, 3).cut(targets, 1)
    assert [graph.num_rows for graph in part.graphs] == [
        two_hops.nodes.numel(), one_hop.nodes.numel(), 3
    ]  # fmt: skip
    for graph, smaller in zip(part.graphs[1:], two_hops.graphs, strict=True):
        assert torch.equal(graph.edge_index, smaller.edge_index)
    for graph in part.graphs:  # sorted, with the transpose beside it
        expected, order = CSR.from_edge_index(graph.edge_index, graph.num_rows, graph.num_cols)
        assert torch.equal(order, torch.arange(order.numel()))
        for name in ("rowptr", "col", "rowptr_t", "col_t", "perm_t"):
            assert torch.equal(getattr(graph, name), getattr(expected, name)), name
        assert expected.longest <= graph.longest == dataset.store.longest


def test_every_subset_of_neighbours_is_as_likely(dataset, edge_index):
    degree = torch.bincount(edge_index[1], minlength=NODES)
    node = int((degree == 6).nonzero()[0])
    sources = edge_index[0, edge_index[1] == node].tolist()
    neighbours, rounds = cutter(dataset, 3), 6000
    seen = dict.fromkeys(map(frozenset, combinations(sources, 3)), 0)
    for draw in range(rounds):
        part = neighbours.cut(torch.tensor([node]), draw)
        seen[frozenset(part.nodes[1:].tolist())] += 1
    expected = rounds / 20
    chi_squared = sum((count - expected) ** 2 / expected for count in seen.values())
    assert chi_squared < 43.8  # 19 degrees of freedom: exceeded once in 1,000 times


def test_what_is_drawn_around_a_node_does_not_depend_on_the_rest_of_the_batch(dataset):
    neighbours = cutter(dataset, 3)
    alone = edges_of(neighbours.cut(torch.tensor([0]), draw=5))
    among = edges_of(neighbours.cut(torch.tensor([9, 8, 0, 2]), draw=5))
    assert alone == {edge for edge in among if edge[1] == 0}
    assert alone != edges_of(neighbours.cut(torch.tensor([0]), draw=6))


def test_sums_over_a_sample_are_those_of_the_whole_graph_in_expectation(dataset):
    store, neighbours = dataset.store, cutter(dataset, 3)
    whole = store.whole()
    x = torch.randn(NODES, 2, dtype=torch.float64)
    targets = torch.arange(NODES)
    for function in (neighbour_sum, gcn_average):
        exact = function(whole, x)
        draws = []
        for draw in range(1500):
            part = neighbours.cut(targets, draw)
            draws.append(function(batch_of(store, part).layer(0), x[part.nodes]))
        drawn = torch.stack(draws)
        error = (drawn.mean(0) - exact).abs()
        assert (error <= 5 * drawn.std(0) / 1500**0.5 + 1e-12).all(), function.__name__
        assert drawn.std(0).max() > 0.05  # of the hub: there was something to average


def test_nothing_left_out_is_the_whole_graph_exactly():
    """Each model's outputs for the targets, and the gradients of its parameters."""
    data = ["data=csbm", "data.num_nodes=300", "batching=neighbours"]
    for words in (
        ["model=gcn", "batching.fan_outs=[-1,-1]", "model.input_dropout=0", "model.dropout=0"],
        ["model=sgc", "batching.fan_outs=[-1,-1]"],
        ["model=gin", "batching.fan_outs=[-1,-1]", "model.num_layers=2", "model.dropout=0"],
        ["model=gin", "batching.fan_outs=[-1]", "model.num_layers=1", "model.jk=layerwise"],
    ):
        task = build_task(compose([*data, *words]))
        model = task.model.eval().double()
        store = replace(task.dataset.store, x=task.dataset.store.x.double(), memo={})
        targets = torch.tensor([5, 17, 200, 3])
        batch = batch_of(store, task.source.cutter.cut(targets, draw=3))
        weight = torch.randn(4, 2, dtype=torch.float64)
        results = []
        for out in (through_layers(model, batch), model(store.whole())[targets]):
            grads = torch.autograd.grad((out * weight).sum(), list(model.parameters()))
            results.append([out, *grads])
        for ours, theirs in zip(*results, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_only_targets_have_a_label(dataset):
    part = cutter(dataset, 4).cut(torch.tensor([8, 2]), draw=0)
    batch = batch_of(dataset.store, part)
    assert batch.y.tolist() == [8 % 3, 2] and batch.targets.tolist() == [0, 1]
    assert torch.equal(batch.x, dataset.store.x[part.nodes])
    assert torch.equal(batch.degree, dataset.store.in_degree[part.nodes])


def test_an_epoch_has_every_training_node_once_and_no_other(dataset):
    neighbours = cutter(dataset, 2)
    first, second = (
        torch.cat(neighbours.epoch(torch.Generator().manual_seed(seed), 0, 1)).tolist()
        for seed in (0, 1)
    )
    assert sorted(first) == sorted(second) == dataset.split.train.tolist()
    assert first != second


def test_devices_share_each_batch_without_overlap(dataset):
    neighbours = cutter(dataset, 2, nodes_per_batch=7)
    whole, even, odd = (
        neighbours.epoch(torch.Generator().manual_seed(3), rank, size)
        for rank, size in ((0, 1), (0, 2), (1, 2))
    )
    # 30 nodes are four batches of 7 and one of 2, which two devices leave out: one node each
    assert [len(chunk) for chunk in whole] == [7, 7, 7, 7, 2]
    for batch, a, b in zip(whole[:4], even, odd, strict=True):
        assert sorted([*a.tolist(), *b.tolist()]) == sorted(batch.tolist())


def test_a_last_batch_of_one_node_is_left_out(dataset):
    chunks = cutter(dataset, 2, nodes_per_batch=29).epoch(torch.Generator(), 0, 1)
    assert [len(chunk) for chunk in chunks] == [29]


def test_batches_are_the_same_whatever_the_number_of_threads(dataset):
    def batches(workers: int) -> list[list[torch.Tensor]]:
        made = training_parts(
            cutter(dataset, 3, 2), workers, dataset.store,
            torch.Generator().manual_seed(4), rank=0, world_size=1, count=4,
        )  # fmt: skip
        return [[batch.x, batch.y, batch.graph.rowptr, batch.graph.col] for batch in made]

    one, many = batches(1), batches(5)
    assert len(one) == 4
    for ours, theirs in zip(one, many, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_an_error_in_a_thread_reaches_the_training(dataset, monkeypatch):
    neighbours = cutter(dataset, 2)
    monkeypatch.setattr(neighbours, "cut", lambda chunk, draw: 1 / 0)
    made = training_parts(
        neighbours, 2, dataset.store, torch.Generator(), rank=0, world_size=1, count=4
    )
    with pytest.raises(ZeroDivisionError):
        next(made)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model=gcn", "batching.fan_outs=[10]"], r"looks 2 hops away.*fan_outs=\[10,10\]"),
        (["model=gcn", "batching.fan_outs=[10,0]"], "each is 1 or more, or -1 for all"),
        (["model=gcn", "batching.fan_outs=[10,2.5]"], "each is 1 or more, or -1 for all"),
        (["model=gcn", "batching.nodes_per_batch=0"], "allowed is a number at least 1"),
        (["model=gcn", "batching.num_parts=5"], "unknown setting 'batching.num_parts'"),
        (["model=gin", "data=digits"], "batching=neighbours cuts one graph of labelled nodes"),
    ],
)
def test_settings_that_do_not_fit_are_named(words, says):
    with pytest.raises(UserError, match=says):
        build_task(compose(["data=csbm", "batching=neighbours", *words]))


def test_each_way_to_batch_is_a_setting_of_its_own():
    def name_of(*words: str) -> str:
        return identity(compose(["model=gcn", "data=csbm", *words]))

    names = {
        name_of(),
        name_of("batching=neighbours"),
        name_of("batching=neighbours", "batching.fan_outs=[5,5]"),
        name_of("batching=partitions"),
        name_of("batching=partitions", "batching.num_parts=50"),
    }
    assert len(names) == 5
    assert name_of("batching=full") in names
    assert name_of("batching=neighbours", "batching.workers=4") in names
