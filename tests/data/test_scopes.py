"""The scopes of nodes against subgraphs that networkx cuts, and training on them."""

from __future__ import annotations

import networkx as nx
import pytest
import torch

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.big.part import Pattern
from gbench.data.big.ppr import personalised
from gbench.data.big.scopes import ALL, batch_of, by_hops, by_ppr, remembered, scopes_of
from gbench.train.scopes import Shadow
from gbench.train.sources import Share

WORDS = ["model=gcn", "data=csbm", "data.num_nodes=300", "batching=shadow"]


@pytest.fixture
def task(tmp_path):
    words = ["batching.nodes_per_batch=32", "batching.most_nodes=20", f"cache_dir={tmp_path}"]
    return build_task(compose([*WORDS, *words]))


def network(store) -> nx.DiGraph:
    made = nx.DiGraph()
    made.add_nodes_from(range(store.num_nodes))
    made.add_edges_from(store.whole().edge_index.t().tolist())
    return made


@pytest.mark.parametrize("kind", ["ppr", "hops"])
def test_scopes_are_the_subgraphs_that_their_nodes_induce(task, kind) -> None:
    store = task.dataset.store
    pattern, whole = Pattern(store), network(store)
    members = (
        by_ppr(pattern, alpha=0.15, epsilon=1e-5, most=12)
        if kind == "ppr"
        else by_hops(pattern, hops=2, budget=ALL)
    )
    roots = torch.tensor([5, 17, 5, 299])
    scopes = scopes_of(pattern, roots, members)
    assert torch.equal(scopes.node[scopes.root].long(), roots)
    edges = store.whole().edge_index
    for place, root in enumerate(roots.tolist()):
        begin, end = scopes.ptr[place : place + 2].tolist()
        nodes = scopes.node[begin:end].tolist()
        if kind == "hops":
            near = nx.single_source_shortest_path_length(whole.reverse(), root, 2)
            assert nodes == sorted(near)
        else:
            assert len(nodes) in (12, 13)
            arrays = (pattern.rowptr.numpy(), pattern.col.numpy())
            _, best, _ = personalised(*arrays, [root], 0.15, 1e-5, 12)
            assert nodes == sorted({*best.tolist(), root})
        own = (scopes.graph.col >= begin) & (scopes.graph.col < end)
        assert torch.equal(own, (scopes.graph.row >= begin) & (scopes.graph.row < end))
        found = scopes.node.long()[scopes.graph.edge_index[:, own]].t().tolist()
        assert sorted(map(tuple, found)) == sorted(whole.subgraph(nodes).edges)
    assert torch.equal(edges[:, scopes.entry.long()], scopes.node.long()[scopes.graph.edge_index])
    order = torch.argsort(scopes.graph.col.long(), stable=True)
    assert torch.equal(scopes.graph.perm_t.long(), order)


def test_a_budget_bounds_what_is_drawn_and_draws_the_same_each_time(task) -> None:
    pattern = Pattern(task.dataset.store)
    members = by_hops(pattern, hops=2, budget=3)
    one, again = (scopes_of(pattern, torch.arange(50), members) for _ in range(2))
    assert torch.equal(one.node, again.node)
    assert int(one.ptr.diff().max()) <= 1 + 3 + 9


def test_what_is_remembered_is_what_was_found(task) -> None:
    pattern = Pattern(task.dataset.store)
    members = by_ppr(pattern, alpha=0.15, epsilon=1e-4, most=10)
    kept = remembered(members)
    for roots in (torch.tensor([3, 8]), torch.tensor([8, 8, 1, 3])):
        one, other = scopes_of(pattern, roots, members), scopes_of(pattern, roots, kept)
        assert torch.equal(one.node, other.node)
        assert torch.equal(one.root, other.root)


def test_a_batch_has_labels_at_its_roots_alone(task) -> None:
    store, source = task.dataset.store, task.source
    assert isinstance(source, Shadow)
    roots = task.dataset.split.train[:9]
    batch = batch_of(store, scopes_of(source.pattern, roots, source.members))
    assert torch.equal(batch.y[batch.targets], store.y[roots])
    assert int((batch.y >= 0).sum()) == 9
    assert batch.num_graphs == 9


def test_answers_are_those_of_each_scope_alone(task) -> None:
    dataset = task.dataset
    task.model.eval()
    logits, y = task.answers("valid")
    assert torch.equal(y, dataset.store.y[dataset.split.valid])
    for place in (0, 7, 40):
        (batch,) = task.source.evaluation(dataset, dataset.split.valid[place : place + 1], 1)
        alone = task.answer(batch).detach()[batch.targets[0]]
        torch.testing.assert_close(alone, logits[place], rtol=1e-5, atol=1e-5)


def test_an_epoch_has_every_training_node_once(task) -> None:
    dataset, source = task.dataset, task.source
    number = source.num_batches(dataset.split.train.numel(), 0, 1)
    share = Share(seed=0, number=number, rank=0, world_size=1, max_epochs=1)
    seen = []
    for batch in source.training(dataset, share)(0):
        x = batch.x[batch.targets]
        seen.append(x)
    found = torch.cat(seen)
    wanted = dataset.store.x[dataset.split.train]
    assert torch.equal(found.sort(0).values, wanted.sort(0).values)


def test_a_model_learns_on_scopes(task) -> None:
    optimizer = torch.optim.Adam(task.model.parameters(), lr=0.05)
    task.train()
    share = Share(seed=0, number=4, rank=0, world_size=1, max_epochs=3)
    epochs = task.source.training(task.dataset, share)
    for epoch in range(3):
        for batch in epochs(epoch):
            optimizer.zero_grad()
            task.training_step(batch, 0).backward()
            optimizer.step()
    assert task.evaluate("valid") > 0.7
