"""GCN against its formulas on dense matrices, and against PyG's layer and OGB's in PyG's terms."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_geometric.nn import GCNConv, MessagePassing, global_add_pool, global_mean_pool
from torch_geometric.utils import degree

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.gcn import GCN

ATOMS, BONDS = (5, 3, 4), (4, 3)
NODES = DataSpec("node", 3, 4)
MOLECULES = DataSpec("graph", 2, 3, ATOMS, BONDS)


def gcn(spec=NODES, **changes):
    settings = {
        "hidden_dim": 6, "num_layers": 3, "bias": True, "norm": "batch", "input_dropout": 0.0,
        "dropout": 0.0, "readout": "mean",
    }  # fmt: skip
    model = GCN(spec, **{**settings, **changes}).double()
    for name, parameter in model.named_parameters():
        if "bias" in name or "norm" in name:  # zeros and ones would hide a term that is missing
            nn.init.normal_(parameter)
    return model


def batch_norm(x, weight, bias):
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() * weight + bias


def lookup(table, codes, sizes):
    starts = [0, *itertools.accumulate(sizes)]
    return sum(table[starts[k] + codes[:, k].long()] for k in range(len(sizes)))


def dense_s(edge_index, num_nodes):
    """D^-1/2 (A + I) D^-1/2, entry by entry; row i receives from column j."""
    a = torch.eye(num_nodes, dtype=torch.float64)
    for j, i in edge_index.T.tolist():
        a[i, j] += 1
    d = a.sum(1)
    return a / (d[:, None] * d[None, :]).sqrt()


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("bias", [False, True])
def test_node_level_equals_the_dense_formula(
    norm, bias, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(9)
    loops = torch.tensor([[0, 0, 3], [0, 0, 3]])  # loops, one of them twice: I is added to them
    example = example._replace(edge_index=torch.cat([example.edge_index, loops], 1))
    batch = make_batch([example])
    model = gcn(norm=norm, bias=bias)
    p = dict(model.named_parameters())
    s, x = dense_s(example.edge_index, 9), example.x
    for layer in range(3):
        x = s @ (x @ p[f"layers.{layer}.linear.weight"].T)
        if bias:
            x = x + p[f"layers.{layer}.bias"]
        if layer < 2:
            if norm == "batch":
                prefix = f"norm_acts.{layer}.norm"
                x = batch_norm(x, p[f"{prefix}.weight"], p[f"{prefix}.bias"])
            x = x.clamp(min=0)
    if norm == "batch" and bias:
        p = {n: v for n, v in p.items() if n not in ("layers.0.bias", "layers.1.bias")}
    same_outputs_and_gradients(model(batch), x, p)


@pytest.mark.parametrize("directed", [False, True])
def test_node_level_equals_pyg(directed, make_batch, random_graph):
    example = random_graph(12, directed=directed)
    batch = make_batch([example])
    model = gcn().eval()
    x = example.x
    for index, (layer, norm_act) in enumerate(zip(model.layers, model.norm_acts, strict=True)):
        conv = GCNConv(layer.linear.in_features, layer.linear.out_features).double()
        conv.lin.weight, conv.bias = layer.linear.weight, layer.bias
        x = conv(x, example.edge_index)
        if index < 2:
            x = norm_act.norm(x).relu()
    torch.testing.assert_close(model(batch), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_graph_level_without_bonds_ends_in_readout_and_head(norm, make_batch, random_graph):
    examples = [random_graph(n) for n in (6, 4)]
    model = gcn(DataSpec("graph", 2, 4), norm=norm).eval()
    p = dict(model.named_parameters())
    rows = []
    for x, edge_index, _ in examples:
        for layer in range(3):
            x = dense_s(edge_index, len(x)) @ x @ p[f"layers.{layer}.linear.weight"].T
            x = x + p[f"layers.{layer}.bias"]
            if norm == "batch":
                x = model.norm_acts[layer].norm(x)
            x = x.relu() if layer < 2 else x
        rows.append(x.mean(0) @ p["head.weight"].T + p["head.bias"])
    torch.testing.assert_close(model(make_batch(examples)), torch.stack(rows))


def test_molecules_equal_the_dense_formula(make_batch, random_graph, same_outputs_and_gradients):
    examples = [random_graph(n, None, directed=n == 7) for n in (8, 7, 1)]
    model = gcn(MOLECULES)
    p = dict(model.named_parameters())
    starts = [0, 8, 15, 16]
    x = torch.cat([lookup(p["encoder.features.table"], e.x, ATOMS) for e in examples])
    for layer in range(3):
        h = x @ p[f"layers.{layer}.linear.weight"].T + p[f"layers.{layer}.linear.bias"]
        out = []
        for example, start in zip(examples, starts, strict=False):
            edges, size = example.edge_index.T.tolist(), len(example.x)
            deg = [1 + sum(j == v for j, _ in edges) for v in range(size)]
            bonds = p[f"layers.{layer}.bonds.table"]
            for i in range(size):
                total = (h[start + i] + p[f"layers.{layer}.root"]).relu() / deg[i]
                for (j, target), code in zip(edges, example.edge_attr, strict=True):
                    if target == i:
                        e = lookup(bonds, code[None], BONDS)[0]
                        total = total + (h[start + j] + e).relu() / (deg[i] * deg[j]) ** 0.5
                out.append(total)
        prefix = f"norm_acts.{layer}.norm"
        x = batch_norm(torch.stack(out), p[f"{prefix}.weight"], p[f"{prefix}.bias"])
        x = x.relu() if layer < 2 else x
    means = torch.stack([x[a:b].mean(0) for a, b in itertools.pairwise(starts)])
    expected = means @ p["head.weight"].T + p["head.bias"]
    same_outputs_and_gradients(model(make_batch(examples)), expected, p)


class OGBConv(MessagePassing):
    """The molecule layer in PyG's gather-and-scatter form."""

    def __init__(self, layer):
        super().__init__(aggr="add")
        self.layer = layer

    def forward(self, x, edge_index, edge_embedding):
        x = self.layer.linear(x)
        deg = degree(edge_index[0], x.size(0), dtype=x.dtype) + 1
        norm = deg[edge_index[0]] ** -0.5 * deg[edge_index[1]] ** -0.5
        received = self.propagate(edge_index, x=x, e=edge_embedding, norm=norm)
        return received + F.relu(x + self.layer.root) / deg[:, None]

    def message(self, x_j, e, norm):
        return norm[:, None] * F.relu(x_j + e)


@pytest.mark.parametrize("spec", [MOLECULES, DataSpec("graph", 2, 4)], ids=["atoms", "dense"])
@pytest.mark.parametrize("virtual_node", [False, True])
def test_graphs_equal_ogb_in_pyg(virtual_node, spec, make_batch, random_graph):
    if spec.node_categories is None and not virtual_node:
        return  # dense features enter the first layer as they are: tested above
    width = 4 if spec.node_categories is None else None
    examples = [random_graph(n, width) for n in (8, 7, 3)]
    batch = make_batch(examples)
    model = gcn(spec, virtual_node=virtual_node).eval()
    if virtual_node:
        nn.init.normal_(model.virtual_start)
        v = model.virtual_start.expand(3, -1)
    if width:
        x = F.linear(batch.x, model.encoder.features.weight, model.encoder.features.bias)
    else:
        x = lookup(model.encoder.features.table, batch.x, ATOMS)
        attributes = batch.edge_combos[batch.edge_code]
    for index, (layer, norm_act) in enumerate(zip(model.layers, model.norm_acts, strict=True)):
        if virtual_node:
            x = x + v[batch.batch]
            if index < 2:
                first, act, second, last = model.virtual_nodes[index].mlp
                hidden = act.norm(first(global_add_pool(x, batch.batch) + v)).relu()
                v = last.norm(second(hidden)).relu()
        if width:
            conv = GCNConv(6, 6).double()
            conv.lin.weight, conv.bias = layer.linear.weight, layer.bias
            x = norm_act.norm(conv(x, batch.edge_index))
            x = x.relu() if index < 2 else x
            continue
        x = OGBConv(layer)(x, batch.edge_index, lookup(layer.bonds.table, attributes, BONDS))
        x = norm_act.norm(x)
        x = x.relu() if index < 2 else x
    expected = model.head(global_mean_pool(x, batch.batch))
    torch.testing.assert_close(model(batch), expected, rtol=1e-9, atol=1e-9)


def test_kipfs_dropout_is_on_the_features_and_on_the_hidden_layer(make_batch, random_graph):
    example = random_graph(200, 1)._replace(edge_index=torch.empty(2, 0, dtype=torch.int64))
    batch = make_batch([example])  # isolated nodes: S = I
    spec = DataSpec("node", 3, 1)
    one = gcn(spec, num_layers=1, bias=False, norm="none", input_dropout=0.5, dropout=0.5)
    ratio = one(batch) / one.eval()(batch)
    assert set(ratio[:, 0].round(decimals=9).tolist()) == {0.0, 2.0}
    assert (ratio == ratio[:, :1]).all()  # the feature is dropped, not the outputs
    two = gcn(spec, num_layers=2, hidden_dim=1, bias=False, norm="none", dropout=0.5)
    alive = two.eval()(batch)[:, 0] != 0
    ratio = (two.train()(batch) / two.eval()(batch))[alive, 0]
    assert set(ratio.round(decimals=9).tolist()) == {0.0, 2.0}


def test_weights_start_glorot_uniform_and_bias_zero():
    model = GCN(
        DataSpec("node", 50, 300), hidden_dim=200, num_layers=2, bias=True, norm="none",
        input_dropout=0.0, dropout=0.0, readout="mean",
    )  # fmt: skip
    for layer, fans in zip(model.layers, (500, 250), strict=True):
        bound = (6 / fans) ** 0.5
        assert 0.99 * bound < layer.linear.weight.abs().max() <= bound
        assert not layer.bias.any()


def test_a_virtual_node_of_one_graph_is_refused():
    with pytest.raises(UserError, match="virtual_node=true needs graph-level data"):
        gcn(virtual_node=True)
