"""DS-GNN and DSS-GNN against a loop over the copies of each graph, in float64."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn.functional import elu

from gbench.data.bag import FAR
from gbench.data.bagging import bag_made, bag_of
from gbench.data.loaders import csl, exp, sr25
from gbench.data.source import Source
from gbench.data.spec import DataSpec
from tests.in_order import InOrder
from tests.models.conftest import ATOMS, BONDS, packaged
from tests.models.test_expressivity import batch_of

DENSE = DataSpec("graph", 3, 4)
MOLECULES = DataSpec("graph", 3, 3, ATOMS, BONDS)
SMALL = ("model.hidden_dim=8", "model.num_layers=3", "model.set_dim=6")
POLICIES = ("ego-nets-plus", "ego-nets", "node-deleted", "node-marked", "edge-deleted")


def built(spec: DataSpec, *words: str):
    model = packaged(spec, "model=dss-gnn", *SMALL, *words).double()
    for parameter in model.parameters():  # norms and ε as well
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.train()


def masked_norm(norm, x):
    """Batch norm over all rows of the copies at once, by its formula."""
    mean, var = x.mean(0), x.var(0, unbiased=False)
    return (x - mean) / (var + norm.norm.eps).sqrt() * norm.norm.weight + norm.norm.bias


def gin(layer, graphs, x, norm=masked_norm):
    """GINLayer or GraphConv on (edges, bonds) of several graphs side by side."""
    sums = []
    for (edges, codes), rows in zip(graphs, x, strict=True):
        total = torch.zeros_like(rows)
        for place, (j, i) in enumerate(edges):
            message = rows[j]
            if codes is not None and hasattr(layer, "bonds") and layer.bonds is not None:
                message = (message + layer.bonds(codes[place][None])[0]).relu()
            total[i] = total[i] + message
        sums.append(total)
    sizes = [rows.size(0) for rows in x]
    total, rows = torch.cat(sums), torch.cat(x)
    if not hasattr(layer, "mlp"):
        return list((layer.neighbours(total) + layer.root(rows)).split(sizes))
    hidden = layer.mlp[0]((1 + layer.eps) * rows + total)
    return list(layer.mlp[2](norm(layer.mlp[1], hidden).relu()).split(sizes))


def normed(norm, x):
    return list(masked_norm(norm, torch.cat(x)).split([rows.size(0) for rows in x]))


def one_by_one(model, batch, policy: str, hops: int):
    """The same answer from lists of copies, each a list of edges, built without gbench's bags."""
    features = model.encoder(batch)
    all_codes = None if batch.edge_code is None else batch.edge_combos[batch.edge_code.long()]
    edge_index = batch.edge_index.t().tolist()
    original, copies, owner, x = [], [], [], []
    for graph in range(batch.num_graphs):
        first, end = batch.node_ptr[graph : graph + 2].tolist()
        size = end - first
        places = [e for e, (_, i) in enumerate(edge_index) if first <= i < end]
        own = [(edge_index[e][0] - first, edge_index[e][1] - first) for e in places]
        codes = None if all_codes is None else all_codes[places]
        original.append((own, codes))
        reach = torch.eye(size, dtype=torch.bool)
        adjacency = torch.zeros(size, size)
        for j, i in own:
            adjacency[i, j] = 1
        for _ in range(hops):
            reach = reach | ((reach.float() @ adjacency) > 0)
        both = sorted({(min(e), max(e)) for e in own}) if policy == "edge-deleted" else range(size)
        for about in both or [None]:
            if policy == "edge-deleted":
                keep = [e for e, ends in enumerate(own) if (min(ends), max(ends)) != about]
            elif policy == "node-deleted":
                keep = [e for e, ends in enumerate(own) if about not in ends]
            elif policy.startswith("ego"):
                keep = [e for e, (j, i) in enumerate(own) if reach[about, j] and reach[about, i]]
            else:
                keep = [*range(len(own))]
            rows = features[first:end]
            if policy in ("ego-nets-plus", "node-marked"):
                marks = torch.tensor([[1.0, 0] if v == about else [0, 1.0] for v in range(size)])
                rows = torch.cat([marks.to(rows), rows], 1)
            copies.append(([own[e] for e in keep], None if codes is None else codes[keep]))
            owner.append(graph)
            x.append(rows)
    members = [[c for c, g in enumerate(owner) if g == graph] for graph in range(batch.num_graphs)]
    if model.is_dss:
        for layer in model.layers:
            own = normed(layer.own_norm, gin(layer.own, copies, x))
            means = [torch.stack([x[c] for c in cs]).mean(0) for cs in members]
            shared = normed(layer.shared_norm, gin(layer.shared, original, means))
            x = [(own[c] + shared[owner[c]]).relu() for c in range(len(x))]
        s = torch.stack([rows.mean(0) for rows in x])
    else:
        read = [torch.stack([rows.sum(0) for rows in x])]
        for layer, norm in zip(model.layers, model.norm_acts, strict=True):
            x = [rows.relu() for rows in normed(norm, gin(layer, copies, x))]
            read.append(torch.stack([rows.sum(0) for rows in x]))
        s = torch.cat(read, 1)
        for layer in model.sets:
            mean = torch.stack([s[cs].mean(0) for cs in members])
            s = elu(layer.own(s) + layer.mean(mean)[torch.tensor(owner)])
    return model.head(torch.stack([s[cs].mean(0) for cs in members]))


@pytest.mark.parametrize("form", ["dss", "ds"])
@pytest.mark.parametrize("policy", POLICIES)
def test_answers_and_gradients_are_those_of_a_loop_over_copies(
    form, policy, make_batch, random_graph, same_outputs_and_gradients
) -> None:
    batch = make_batch([random_graph(n, directed=n == 6) for n in (5, 6, 1)])
    model = built(DENSE, f"model.form={form}", f"model.policy={policy}", "model.hops=1")
    theirs = one_by_one(copy.deepcopy(model), batch, policy, 1)
    whole = replace(batch, bag=bag_of(batch, model.bagging))
    with InOrder():
        ours = model(whole)
        ours.sum().backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    model.zero_grad()
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(model(batch), one_by_one(model, batch, policy, 1), parameters)


@pytest.mark.parametrize("form", ["dss", "ds"])
@pytest.mark.parametrize("layer", ["gin", "graph-conv"])
def test_bonds_go_with_the_edges_of_the_copies(form, layer, make_batch, random_graph) -> None:
    batch = make_batch([random_graph(n, None) for n in (6, 4)])
    words = (f"model.form={form}", f"model.layer={layer}", "model.hops=1")
    model = built(MOLECULES, *words)
    torch.testing.assert_close(
        model(batch), one_by_one(model, batch, "ego-nets-plus", 1), rtol=1e-9, atol=1e-9
    )


def answers(model, batch):
    """With the statistics of the batch, and in evaluation with the same ones as running ones."""
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            norm.momentum = 1.0
    with torch.no_grad():
        yield model.train()(batch)
        yield model.eval()(batch)


@pytest.mark.parametrize(("form", "policy", "hops", "classes"), [
    ("dss", "ego-nets-plus", 4, 10), ("ds", "ego-nets-plus", 4, 10),
    ("dss", "node-deleted", 0, 10), ("ds", "node-deleted", 0, 10), ("ds", "node-marked", 0, 10),
    # two hops around a node of most of these graphs are alike
    ("dss", "ego-nets-plus", 2, 5), ("ds", "ego-nets-plus", 2, 5),
])  # fmt: skip
def test_the_ten_classes_of_csl_are_told_apart(form, policy, hops, classes) -> None:
    source = csl.load(Path())
    batch = batch_of(Source([source.graphs[15 * k] for k in range(10)], [], 10))
    words = (f"model.form={form}", f"model.policy={policy}", f"model.hops={hops}")
    model = built(DataSpec("graph", 10, 1), *words, "model.num_layers=8")
    for out in answers(model, batch):
        alike = torch.cdist(out, out) < 1e-9 * out.abs().max()
        assert alike.unique(dim=0).size(0) == classes


@pytest.mark.data
@pytest.mark.parametrize("form", ["dss", "ds"])
def test_the_graphs_of_each_pair_of_exp_are_told_apart(form, data_dir) -> None:
    batch = batch_of(exp.load(data_dir / "EXP" / "raw", split="gnn-rni-10-fold"), count=8)
    spec = DataSpec("graph", 2, 1, (2,))
    model = built(spec, f"model.form={form}", "model.num_layers=6")
    for out in answers(model, batch):
        assert (out[0::2] - out[1::2]).abs().amax(1).min() > 1e-6 * out.abs().max()


@pytest.mark.data
@pytest.mark.parametrize("form", ["dss", "ds"])
@pytest.mark.parametrize("policy", ["ego-nets-plus", "ego-nets", "node-deleted", "node-marked"])
def test_copies_about_nodes_leave_the_graphs_of_sr25_alike(form, policy, data_dir) -> None:
    """They are bounded by the 3-WL test, for which these graphs are one."""
    batch = batch_of(sr25.load(data_dir / "sr25" / "raw", file="sr251256.g6"))
    words = (f"model.form={form}", f"model.policy={policy}", "model.hops=1", "model.num_layers=2")
    for out in answers(built(DataSpec("graph", 15, 1), *words), batch):
        torch.testing.assert_close(out, out[:1].expand_as(out), rtol=1e-7, atol=1e-9)


def test_a_bag_that_came_with_the_batch_is_read(make_batch, random_graph) -> None:
    batch = make_batch([random_graph(n) for n in (5, 7)])
    model = built(DENSE, "model.share=0.5").eval()
    made = partial(bag_made, batch, model.bagging)
    few = made(torch.Generator().manual_seed(0))
    assert few.num_copies == 3 + 4
    assert not torch.allclose(model(replace(batch, bag=few)), model(batch))
    torch.testing.assert_close(model(replace(batch, bag=made())), model(batch))
    assert FAR not in few.hop.unique().tolist()[:1]


@pytest.mark.parametrize("form", ["dss", "ds"])
def test_no_gradient_is_that_of_indexing(form, make_batch, random_graph) -> None:
    """A GPU would add it in any order."""
    batch = make_batch([random_graph(n) for n in (5, 3)])
    todo, seen = [built(DENSE, f"model.form={form}", "model.hops=1")(batch).grad_fn], set()
    while todo:
        step = todo.pop()
        if step is not None and step not in seen:
            seen.add(step)
            todo += [before for before, _ in step.next_functions]
    assert len(seen) > 20
    assert not [name for name in map(type, seen) if name.__name__.startswith("Index")]
