"""The convolutions against their formulas, entry by entry, and against PyG's layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.convolutions import CONVOLUTIONS, InputEncoder, ResidualLayer, Transformer
from gbench.models.entries import of_columns, of_rows

DIM = 16


def batch_norm(x, p, prefix):
    x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    return x * p[f"{prefix}.weight"] + p[f"{prefix}.bias"]


def gine(p, x, pairs, edges):
    rows = []
    for i in range(len(x)):
        total = (1 + p["eps"]) * x[i]
        for (j, target), e in zip(pairs, edges, strict=True):
            if target == i:
                total = total + (x[j] + e).relu()
        rows.append(total)
    h = batch_norm(torch.stack(rows) @ p["mlp.0.weight"].T, p, "mlp.1.norm").relu()
    return h @ p["mlp.2.weight"].T


def gcn(p, x, pairs, edges):
    adjacency = torch.eye(len(x), dtype=x.dtype)
    for j, i in pairs:
        adjacency[i, j] += 1
    root = adjacency.sum(1).rsqrt()
    return root[:, None] * adjacency * root @ x @ p["linear.weight"].T


def gated_gcn(p, x, pairs, edges):
    rows = []
    for i in range(len(x)):
        total = p["skip.weight"] @ x[i]
        for j, target in pairs:
            if target == i:
                key = p["key.weight"] @ x[i] + p["key.bias"]
                query = p["query.weight"] @ x[j] + p["query.bias"]
                gate = 1 / (1 + (-key - query).exp())
                total = total + gate * (p["value.weight"] @ x[j] + p["value.bias"])
        rows.append(total)
    return torch.stack(rows)


def transformer(p, x, pairs, edges):
    width, rows = DIM // 8, []
    for i in range(len(x)):
        received = [(j, e) for (j, target), e in zip(pairs, edges, strict=True) if target == i]
        heads = [torch.zeros(width, dtype=x.dtype)] * 8
        for h in range(8 if received else 0):
            own = slice(h * width, (h + 1) * width)
            query = (p["query.weight"] @ x[i])[own]
            told = [(p["edge.weight"] @ e)[own] for _, e in received]
            keys = [(p["key.weight"] @ x[j])[own] for j, _ in received]
            values = [(p["value.weight"] @ x[j])[own] for j, _ in received]
            keys, values = torch.stack(keys) + torch.stack(told), torch.stack(values)
            shares = (keys @ query / math.sqrt(width)).exp()
            heads[h] = shares / shares.sum() @ (values + torch.stack(told))
        rows.append(p["skip.weight"] @ x[i] + torch.cat(heads))
    return torch.stack(rows)


DENSE = {"gine": gine, "gcn": gcn, "gated-gcn": gated_gcn, "transformer": transformer}


@pytest.fixture
def case(make_batch, random_graph):
    """A batch with a directed graph and one without edges, node vectors and edge features."""
    batch = make_batch([random_graph(n, DIM, directed=n == 7) for n in (8, 7, 1)])
    x = batch.x.requires_grad_()
    table = torch.randn(3, DIM, dtype=torch.float64, requires_grad=True)
    code = torch.randint(3, (batch.graph.num_entries,), dtype=torch.uint8)
    return batch, x, table, code


def convolution(name):
    conv = CONVOLUTIONS[name](DIM).double()
    for parameter in conv.parameters():
        nn.init.normal_(parameter, std=0.5)
    return conv


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_equals_its_formula(name, case, same_outputs_and_gradients):
    batch, x, table, code = case
    conv = convolution(name)
    edges = (table, code) if conv.reads_edges else ()
    p = dict(conv.named_parameters())
    told = table[code.long()]
    pairs = [(j, i) for j, i in batch.edge_index.T.tolist()]
    leaves = {**p, "x": x, **({"table": table} if edges else {})}
    ours = conv(batch.graph, x, *edges)
    same_outputs_and_gradients(ours, DENSE[name](p, x, pairs, told), leaves)


def of_pyg(name, conv):
    """PyG's layer with the same weights, a function of (x, edge_index, edge_attr)."""
    if name == "gine":
        layer = pyg.GINEConv(conv.mlp, train_eps=True).double()
        layer.eps.data.fill_(conv.eps.item())
        return layer
    if name == "gcn":
        layer = pyg.GCNConv(DIM, DIM, bias=False).double()
        layer.lin.weight = conv.linear.weight
        return lambda x, edge_index, _: layer(x, edge_index)
    if name == "gated-gcn":
        layer = pyg.ResGatedGraphConv(DIM, DIM, bias=False).double()
    else:
        layer = pyg.TransformerConv(DIM, DIM // 8, heads=8, edge_dim=DIM, bias=False).double()
        layer.lin_edge = conv.edge
    layer.lin_key, layer.lin_query, layer.lin_value = conv.key, conv.query, conv.value
    layer.lin_skip = conv.skip
    if name == "gated-gcn":
        return lambda x, edge_index, _: layer(x, edge_index)
    return layer


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_equals_pygs(name, case):
    batch, x, table, code = case
    conv = convolution(name)
    edges = (table, code) if conv.reads_edges else ()
    theirs = of_pyg(name, conv)(x, batch.edge_index, table[code.long()])
    torch.testing.assert_close(conv(batch.graph, x, *edges), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_it_has_as_many_parameters_as_pygs_without_bias(name):
    mlp = nn.Sequential(nn.Linear(DIM, DIM, bias=False), nn.BatchNorm1d(DIM),
                        nn.ReLU(), nn.Linear(DIM, DIM, bias=False))  # fmt: skip
    theirs = {
        "gine": lambda: pyg.GINEConv(mlp, train_eps=True),
        "gcn": lambda: pyg.GCNConv(DIM, DIM, bias=False),
        "gated-gcn": lambda: pyg.ResGatedGraphConv(DIM, DIM, bias=False),
        "transformer": lambda: pyg.TransformerConv(DIM, 2, heads=8, edge_dim=DIM, bias=False),
    }[name]()
    ours = CONVOLUTIONS[name](DIM)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_a_layer_adds_its_input_and_drops_after_the_relu(case):
    batch, x, *_ = case
    layer = ResidualLayer("gcn", DIM, dropout=0.0).double()
    h = layer.conv(batch.graph, x)
    expected = x + batch_norm(h, dict(layer.named_parameters()), "norm").relu()
    torch.testing.assert_close(layer(batch.graph, x, ()), expected)
    layer.dropout = 0.5
    ratio = (layer(batch.graph, x, ()) - x) / (expected - x)
    assert set(ratio[expected - x > 1e-3].round(decimals=6).tolist()) == {0.0, 2.0}


def test_ends_of_entries_and_their_gradients(case):
    batch, x, *_ = case
    graph = batch.graph
    for ours, index in ((of_rows, graph.row), (of_columns, graph.col.long())):
        out = ours(graph, x)
        weight = torch.randn_like(out)
        torch.testing.assert_close(out, x[index])
        (got,) = torch.autograd.grad((out * weight).sum(), x)
        (want,) = torch.autograd.grad((x[index] * weight).sum(), x)
        torch.testing.assert_close(got, want)


def test_edges_without_categories_share_one_vector(case):
    batch, *_ = case
    encoder = InputEncoder(DataSpec("graph", 2, DIM), "gine", 8).double()
    _, (table, code) = encoder(batch)
    assert torch.equal(table, encoder.edges.table) and table.shape == (1, 8)
    assert code.shape == (batch.graph.num_entries,) and not code.any()
    for name in ("gcn", "gated-gcn"):  # they read none, and none are made
        without = InputEncoder(DataSpec("graph", 2, 3, (5, 3, 4), (4, 3)), name, 8)
        assert without.edges is None


def test_embeddings_start_as_the_authors():
    """OGB's, of nine and three columns, Xavier-uniform; others as nn.Embedding, N(0, 1)."""
    molecules = InputEncoder(DataSpec("graph", 1, 3, (500, 3, 4), (500, 3, 2)), "gine", 64)
    zinc = InputEncoder(DataSpec("graph", 1, 1, (500,), (500,)), "gine", 64)
    for module in ("nodes.features", "edges"):
        assert molecules.get_submodule(module).table[:500].std() < 0.1
        assert zinc.get_submodule(module).table.std().item() == pytest.approx(1, rel=0.05)


def test_heads_have_to_divide_the_width():
    with pytest.raises(UserError, match=r"model\.hidden_dim=12: attention has 8 heads"):
        Transformer(12)
