"""GNN-AK+ against a loop over the surroundings of each node, in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gbench.data.loaders import csl, exp, sr25
from gbench.data.source import Source
from gbench.data.spec import DataSpec
from tests.models.conftest import ATOMS, BONDS, packaged
from tests.models.test_dss_gnn import answers, masked_norm
from tests.models.test_expressivity import batch_of

DENSE = DataSpec("graph", 3, 4)
MOLECULES = DataSpec("graph", 3, 3, ATOMS, BONDS)


def built(spec: DataSpec, *words: str):
    small = ("model.hidden_dim=8", "model.hop_dim=4")
    model = packaged(spec, "model=gnn-ak-plus", *small, *words).double()
    for parameter in model.parameters():  # norms and ε as well
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.train()


def over_all(function, parts):
    """A function of all rows at once, given and returned part by part."""
    return list(function(torch.cat(parts)).split([len(part) for part in parts]))


def norm_relu(norm_act, parts):
    return over_all(lambda x: masked_norm(norm_act, x).relu(), parts)


def one_by_one(model, batch, hops: int):
    """Each node's net as a list of nodes with their hops and a list of edges with their bonds."""
    codes = [0] * batch.graph.num_entries
    if batch.edge_code is not None:
        codes = batch.edge_code.tolist()
    kinds = torch.zeros(1, 1, dtype=torch.uint8) if batch.edge_combos is None else batch.edge_combos
    edges = batch.edge_index.t().tolist()
    nets = []
    for root in range(batch.num_nodes):
        hop = {root: 0}
        for number in range(1, hops + 1):
            reached = {j for j, i in edges if hop.get(i) == number - 1} - hop.keys()
            hop |= dict.fromkeys(reached, number)
        nodes = sorted(hop)
        place = {v: k for k, v in enumerate(nodes)}
        inside = [(place[j], place[i], code) for (j, i), code in zip(edges, codes, strict=True)
                  if j in place and i in place]  # fmt: skip
        nets.append((nodes, torch.tensor([hop[v] for v in nodes]), inside, place[root]))
    x = model.encoder(batch)
    if model.enter is not None:
        (x,) = norm_relu(model.enter, [x])
    for embed, layer, norm_act in zip(model.edges, model.layers, model.norm_acts, strict=True):
        table = embed(kinds)
        copies = [x[nodes] for nodes, *_ in nets]
        h = None if layer.hops is None else layer.hops.weight
        if h is not None:
            copies = [torch.cat([c, h[n[1] + 1]], 1) for c, n in zip(copies, nets, strict=True)]
        for inner in layer.inner:
            summed = []
            for rows, (_, _, inside, _) in zip(copies, nets, strict=True):
                total = [(1 + inner.eps) * row for row in rows]
                for j, i, code in inside:
                    total[i] = total[i] + (rows[j] + table[code]).relu()
                summed.append(torch.stack(total))
            hidden = norm_relu(inner.mlp[1], over_all(inner.mlp[0], summed))
            out = norm_relu(inner.norm_act, over_all(inner.mlp[2], hidden))
            copies = [a + b for a, b in zip(copies, out, strict=True)]
        copies = [layer.output(c) for c in copies]

        def gated(name, rows, hop, layer=layer, h=h):
            return rows if h is None else rows * layer.gates[name].linear(h[hop + 1]).sigmoid()

        told = [torch.stack([gated("centroid", c[n[3]], torch.tensor(0))
                             for c, n in zip(copies, nets, strict=True)])]  # fmt: skip
        for name, (linear, norm) in layer.transforms.items():
            values = norm_relu(norm, over_all(linear, copies))
            values = [gated(name, v, n[1]) for v, n in zip(values, nets, strict=True)]
            if name == "subgraph":
                told.append(torch.stack([v.sum(0) for v in values]))
            else:
                total = [torch.zeros_like(values[0][0])] * batch.num_nodes
                for v, (nodes, *_) in zip(values, nets, strict=True):
                    for row, node in zip(v, nodes, strict=True):
                        total[node] = total[node] + row
                told.append(torch.stack(total))
        both = sum(told) if layer.is_added else torch.cat(told, 1)
        x = x + norm_relu(norm_act, [layer.combine(both)])[0]
    sizes = batch.node_ptr.diff().tolist()
    read = torch.stack([part.sum(0) for part in x.split(sizes)])
    first, norm_act, last = model.head
    return last(norm_relu(norm_act, [first(read)])[0])


@pytest.mark.parametrize("words", [
    ("model.hops=1",), ("model.hops=2", "model.num_inner_layers=2", "model.combine=add"),
    ("model.hop_dim=0", "model.context=false"),
])  # fmt: skip
def test_answers_and_gradients_are_those_of_a_loop_over_nets(
    words, make_batch, random_graph, same_outputs_and_gradients
) -> None:
    batch = make_batch([random_graph(n, directed=n == 6) for n in (5, 6, 1)])
    model = built(DENSE, *words)
    theirs = one_by_one(model, batch, model.bagging.hops)
    same_outputs_and_gradients(model(batch), theirs, dict(model.named_parameters()))


def test_bonds_go_with_the_edges_of_the_nets(make_batch, random_graph) -> None:
    batch = make_batch([random_graph(n, None) for n in (6, 4)])
    model = built(MOLECULES, "model.hops=1")
    torch.testing.assert_close(model(batch), one_by_one(model, batch, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("hops", "classes"), [(4, 10), (1, 2)])
def test_classes_of_csl_that_are_told_apart(hops, classes) -> None:
    source = csl.load(Path())  # nodes one hop away are joined in the first class alone
    batch = batch_of(Source([source.graphs[15 * k] for k in range(10)], [], 10))
    words = (f"model.hops={hops}", "model.num_inner_layers=2")
    for out in answers(built(DataSpec("graph", 10, 1), *words), batch):
        alike = torch.cdist(out, out) < 1e-7 * out.abs().max()
        assert alike.unique(dim=0).size(0) == classes


@pytest.mark.data
def test_the_graphs_of_each_pair_of_exp_are_told_apart(data_dir) -> None:
    batch = batch_of(exp.load(data_dir / "EXP" / "raw", split="gnn-rni-10-fold"), count=8)
    words = ("model.num_layers=4", "model.num_inner_layers=2")
    for out in answers(built(DataSpec("graph", 2, 1, (2,)), *words), batch):
        assert (out[0::2] - out[1::2]).abs().amax(1).min() > 1e-6 * out.abs().max()


@pytest.mark.data
def test_one_hop_leaves_the_graphs_of_sr25_alike(data_dir) -> None:
    batch = batch_of(sr25.load(data_dir / "sr25" / "raw", file="sr251256.g6"))
    for out in answers(
        built(DataSpec("graph", 15, 1), "model.hops=1", "model.num_layers=1"), batch
    ):
        torch.testing.assert_close(out, out[:1].expand_as(out), rtol=1e-6, atol=1e-7)
