"""Bags against copies made one by one in Python."""

from __future__ import annotations

import networkx as nx
import pytest
import torch

from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.bag import FAR, POLICIES, Bagging
from gbench.data.bag_memory import bagged, rows_of
from gbench.data.bagging import bag_made, most
from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError
from gbench.train import sources
from gbench.train.sources import Graphs, Share

CASES = [*((policy, 2, False) for policy in POLICIES), ("ego-nets", 2, True)]


def store() -> GraphStore:
    """Random graphs, one directed, one without edges and one of a single node."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for size, share in ((7, 0.3), (1, 0.0), (5, 0.0), (9, 0.25), (8, 0.2)):
        pairs = (torch.rand(size, size, generator=generator) < share).triu(1).nonzero().t()
        edges = pairs if size == 8 else torch.cat([pairs, pairs.flip(0)], 1)
        graphs.append(Graph(torch.randn(size, 2, generator=generator), edges, torch.zeros(1)))
    return pack(graphs)


@pytest.fixture
def batch() -> Batch:
    return store().batch(torch.tensor([3, 1, 0, 4, 2, 3]))


def copies_one_by_one(batch: Batch, bagging: Bagging):
    """(graph, root, nodes, edges) of each copy, in the order of nodes or of undirected edges."""
    made = []
    edge_index = batch.edge_index.t().tolist()
    for number in range(batch.num_graphs):
        nodes = range(int(batch.node_ptr[number]), int(batch.node_ptr[number + 1]))
        edges = [(j, i) for j, i in edge_index if i in nodes]
        if bagging.policy == "edge-deleted":
            both = sorted({(min(e), max(e)) for e in edges})
            for gone in both:
                left = [e for e in edges if (min(e), max(e)) != gone]
                made.append((number, None, [*nodes], left, {}))
            if not both:
                made.append((number, None, [*nodes], edges, {}))
            continue
        for root in nodes:
            towards = nx.DiGraph()
            towards.add_nodes_from(nodes)
            towards.add_edges_from((i, j) for j, i in edges)
            hops = nx.single_source_shortest_path_length(towards, root, bagging.hops)
            left, stay = edges, [*nodes]
            if bagging.policy == "node-deleted":
                left = [e for e in edges if root not in e]
            elif bagging.policy == "ego-nets":
                left = [e for e in edges if e[0] in hops and e[1] in hops]
                stay = [v for v in nodes if v in hops] if bagging.cut else stay
            made.append((number, root, stay, left, hops))
    return made


@pytest.mark.parametrize(("policy", "hops", "cut"), CASES)
def test_copies_are_those_made_one_by_one(batch, policy, hops, cut) -> None:
    bagging = Bagging(policy, hops=hops, cut=cut)
    bag, wanted = bag_made(batch, bagging), copies_one_by_one(batch, bagging)
    assert bag.num_copies == len(wanted)
    owner = torch.repeat_interleave(bag.ptr.diff()).tolist()
    where = torch.repeat_interleave(bag.members.rowptr.diff()).tolist()
    node = bag.node.tolist()
    sender, receiver = bag.graph.edge_index.tolist()
    assert [where[i] for i in sender] == [where[i] for i in receiver]
    entries = [(node[j], node[i]) for j, i in zip(sender, receiver, strict=True)]
    original = [tuple(e) for e in batch.edge_index.t().tolist()]
    assert [original[e] for e in bag.edge.tolist()] == entries
    for copy, (graph, root, nodes, edges, distances) in enumerate(wanted):
        begin, end = bag.members.rowptr[copy : copy + 2].tolist()
        assert owner[copy] == graph
        assert node[begin:end] == nodes
        own = [e for e, j in zip(entries, sender, strict=True) if begin <= j < end]
        assert sorted(own) == sorted(edges)
        if root is not None:
            assert node[int(bag.root[copy])] == root
            assert bag.hop[begin:end].tolist() == [distances.get(v, FAR) for v in nodes]


@pytest.mark.parametrize(("policy", "hops", "cut"), CASES)
def test_transposes_and_the_copies_of_each_node_are_sorted_ones(batch, policy, hops, cut) -> None:
    bag = bag_made(batch, Bagging(policy, hops=hops, cut=cut))
    for graph in (bag.graph, bag.members):
        back = graph.t.t
        for name in ("rowptr", "col", "rowptr_t", "col_t", "perm_t"):
            assert torch.equal(getattr(back, name), getattr(graph, name))
        order = torch.argsort(graph.col.long(), stable=True)
        assert torch.equal(graph.perm_t.long(), order)
        assert torch.equal(graph.col_t.long(), graph.row[order])
        counts = torch.bincount(graph.col, minlength=graph.num_cols)
        assert torch.equal(graph.out_degree.long(), counts)
    x = torch.randn(batch.num_nodes, 3)
    copies = bag.copies
    assert torch.equal(x[copies.row], x[bag.node.long()][copies.col.long()])


def test_a_share_is_drawn_from_each_graph_and_by_the_generator_alone(batch) -> None:
    bagging = Bagging("ego-nets", hops=1, share=0.3)
    draws = [bag_made(batch, bagging, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    sizes = batch.node_ptr.diff()
    for bag in draws:
        assert torch.equal(bag.ptr.diff(), (sizes * 0.3).ceil().int())
        assert torch.equal(bag.node[bag.root.long()].sort().values, bag.node[bag.root.long()])
    assert torch.equal(draws[0].root, draws[1].root)
    assert torch.equal(draws[0].graph.col, draws[1].graph.col)
    assert not torch.equal(draws[0].node[draws[0].root.long()], draws[2].node[draws[2].root.long()])
    assert bag_made(batch, bagging).num_copies == batch.num_nodes  # all, where nothing is drawn


@pytest.mark.parametrize("policy", POLICIES)
def test_no_bag_is_larger_than_told(policy) -> None:
    data = store()
    told = most(data.ranges, policy)
    for number in range(data.num_graphs):
        bag = bag_made(data.batch(torch.tensor([number])), Bagging(policy))
        assert bag.num_copies <= told[0, number]
        assert bag.graph.num_rows <= told[1, number]
        assert bag.graph.num_entries <= told[2, number]


def dataset() -> Dataset:
    config = compose(["model=dss-gnn", "data=csl", "experiment=null"])
    return tiny.graphs(DataCard.from_config(config["data"]))


def test_what_bags_cost_is_told_before_training() -> None:
    told = bagged(dataset(), Bagging("node-marked", floats=100), 4).notes[-1]
    sizes = torch.tensor(tiny.SIZES)
    assert f"{int(sizes.sum())} copies of 12 graphs" in told
    assert f"{int((sizes * sizes).sum())} nodes" in told


def test_bags_beyond_memory_are_refused_with_the_numbers() -> None:
    with pytest.raises(UserError, match=r"76 copies of 12 graphs.* are free\. Take a smaller"):
        bagged(dataset(), Bagging("node-marked", floats=1 << 40), 4)


def test_bags_of_one_graph_are_refused() -> None:
    config = compose(["model=gcn", "data=csbm", "experiment=null"])
    one = tiny.nodes(DataCard.from_config(config["data"]))
    with pytest.raises(UserError, match="csbm is one graph"):
        bagged(one, Bagging(), 4)


def test_evaluation_takes_as_many_graphs_at_once_as_the_budget_holds(monkeypatch) -> None:
    data = bagged(dataset(), Bagging("node-marked"), 4)
    rows = rows_of(data.store.ranges, Bagging("node-marked"))
    monkeypatch.setattr(sources, "ROWS_AT_ONCE", int(rows[0] + rows[1]))
    batches = [*Graphs(4).evaluation(data, torch.arange(12), 8)]
    assert batches[0].num_graphs == 2
    assert sum(batch.num_graphs for batch in batches) == 12
    used = [batch.bag.graph.num_rows + batch.bag.graph.num_entries for batch in batches]
    assert all(
        n <= rows[0] + rows[1] or b.num_graphs == 1 for n, b in zip(used, batches, strict=True)
    )


def test_training_draws_anew_in_each_epoch_and_evaluation_takes_all() -> None:
    data = bagged(dataset(), Bagging("node-marked", share=0.5), 4)
    source = Graphs(4)
    share = Share(seed=0, number=1, rank=0, world_size=1, max_epochs=2)
    epochs = source.training(data, share)
    roots = []
    for epoch in (0, 0, 1):
        (batch,) = epochs(epoch)
        assert batch.bag.num_copies < batch.num_nodes
        roots.append(batch.bag.node[batch.bag.root.long()].tolist())
    assert roots[0] == roots[1] != roots[2]
    for batch in source.evaluation(data, torch.arange(12), 512):
        assert batch.bag.num_copies == batch.num_nodes
