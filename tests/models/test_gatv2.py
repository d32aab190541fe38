"""GATv2 against PyG's GATv2Conv with equal weights, and what GAT cannot: keys ranked by query."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATv2Conv

from gbench.data.spec import DataSpec
from gbench.kernels import CSR
from gbench.models.gat import GATLayer
from gbench.models.gatv2 import GATv2, GATv2Layer

NODES, GRAPHS = DataSpec("node", 3, 4), DataSpec("graph", 2, 4)


def layer_of(in_dim=4, out_dim=5, **changes):
    settings = {"num_heads": 3, "share_weights": False, "bias": True, "attention_dropout": 0.0}
    layer = GATv2Layer(in_dim, out_dim, **{**settings, **changes}).double()
    for name, parameter in layer.named_parameters():
        if "bias" in name:  # zeros would hide a term that is missing
            nn.init.normal_(parameter)
    return layer


def conv_of(layer):
    """PyG's layer with the same parameters."""
    (heads, width), bias = layer.shape, layer.bias is not None
    shares, edges = layer.query is None, layer.edge
    conv = GATv2Conv(
        layer.key.in_features, width, heads=heads, bias=bias, share_weights=shares,
        edge_dim=None if edges is None else edges.in_features, dropout=layer.attention_dropout,
    ).double()  # fmt: skip
    conv.lin_l = layer.key
    conv.lin_r = layer.key if shares else layer.query
    if edges is not None:
        conv.lin_edge = edges
    del conv.att
    conv.att = layer.weight[None]
    conv.bias = layer.bias
    return conv.eval()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_equals_pygs(
    directed, shared, bias, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(20, directed=directed)
    layer = layer_of(share_weights=shared, bias=bias, attention_dropout=0.6).eval()
    ours = layer(make_batch([example]), example.x)
    theirs = conv_of(layer)(example.x, example.edge_index)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    same_outputs_and_gradients(ours, theirs, dict(layer.named_parameters()))


def test_numbers_of_edges_and_weights_equal_pygs(
    make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(12)
    batch = make_batch([example])
    edges = batch.graph.num_entries
    attr, weight = torch.randn(edges, 2).double(), torch.randn(edges).double()
    layer = layer_of(edge_dim=3).eval()
    given = replace(batch, edge_attr=attr, edge_weight=weight, memo={})
    ours = layer(given, example.x)
    numbers = torch.cat([attr, weight[:, None]], 1)
    theirs = conv_of(layer)(example.x, batch.graph.edge_index, numbers)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    same_outputs_and_gradients(ours, theirs, dict(layer.named_parameters()))


def test_the_node_level_network_is_relu_residual_norm(
    make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(15)
    model = network(NODES, num_layers=3)
    first, second, last = (conv_of(layer) for layer in model.layers)
    edges = example.edge_index
    x = model.norms[0](first(example.x, edges).relu())
    x = model.norms[1](second(x, edges).relu() + x)
    p = dict(model.named_parameters())
    same_outputs_and_gradients(model(make_batch([example])), last(x, edges), p)


def test_graph_level_ends_in_readout_and_head(make_batch, random_graph, same_outputs_and_gradients):
    examples = [random_graph(n) for n in (6, 1, 4)]
    model = network(GRAPHS)
    rows = []
    for x, edges, _ in examples:
        x = model.norms[0](conv_of(model.layers[0])(x, edges).relu())
        x = model.norms[1](conv_of(model.layers[1])(x, edges).relu() + x)
        rows.append(model.head(x.sum(0)))
    p = dict(model.named_parameters())
    same_outputs_and_gradients(model(make_batch(examples)), torch.stack(rows), p)


def network(spec, **changes):
    settings = {
        "hidden_dim": 5, "num_heads": 3, "num_layers": 2, "share_weights": False, "bias": True,
        "residual": True, "layer_norm": True, "input_dropout": 0.0, "dropout": 0.0,
        "attention_dropout": 0.0, "readout": "sum",
    }  # fmt: skip
    return GATv2(spec, **{**settings, **changes}).double()


def test_in_a_part_the_first_columns_are_the_rows(make_batch, random_graph):
    """Two rows that receive from three columns: the third one gets no row and no loop."""
    graph, _ = CSR.from_edge_index(torch.tensor([[2, 1, 2], [0, 0, 1]]), 2, 3)
    x = torch.randn(3, 4, dtype=torch.float64)
    part = replace(make_batch([random_graph(3)]), graph=graph, memo={})
    layer = layer_of().eval()
    torch.testing.assert_close(layer(part, x), conv_of(layer)(x, graph.edge_index)[:2])


def test_attention_is_dropped_and_the_mean_kept(make_batch, random_graph):
    example = random_graph(12)
    batch = make_batch([example])
    layer = layer_of(num_heads=2, attention_dropout=0.6)
    whole = layer.eval()(batch, example.x)
    layer.train()
    with torch.no_grad():
        drawn = torch.stack([layer(batch, example.x) for _ in range(4000)])
    assert drawn.var(0).min() > 0
    error = (drawn.mean(0) - whole) / (drawn.std(0) / 4000**0.5)
    assert error.abs().max() < 5  # of 120 standard normals


def test_keys_are_ranked_by_query_which_those_of_gat_are_not(make_batch, random_graph):
    """DictionaryLookup of 5 keys, written down: with z = key - query, -|z| is a sum of leaky ReLUs.

    Each query points at a key of its own; any weights of GAT let all of them choose the same.
    """
    size = 5
    keys, queries = torch.arange(size), torch.arange(size, 2 * size)
    edges = torch.stack([keys.repeat(size), queries.repeat_interleave(size)])
    graph, _ = CSR.from_edge_index(edges, 2 * size)
    batch = replace(make_batch([random_graph(2 * size)]), graph=graph, memo={})
    number = torch.arange(size).double()
    # 1 and position of a key, position of a query; the last column is what a key is worth
    x = torch.zeros(2 * size, 8, dtype=torch.float64)
    x[:size, 0], x[:size, 1], x[size:, 2] = 1, number, number
    x[:size, 3:] = torch.eye(size)
    layer = layer_of(8, 2 + 1 + size, num_heads=1, bias=False).eval()
    with torch.no_grad():
        for part in (layer.key.weight, layer.query.weight, layer.weight):
            part.zero_()
        layer.key.weight[0, 1], layer.key.weight[1, 1] = 1, -1
        layer.query.weight[0, 2], layer.query.weight[1, 2] = -1, 1
        layer.key.weight[2, 0] = 1  # a key is preferred to the query itself
        layer.key.weight[3:, 3:] = torch.eye(size)
        layer.weight[0, :3] = torch.tensor([-20.0, -20.0, 200.0])
    chosen = layer(batch, x)[size:, 3:]
    torch.testing.assert_close(chosen, torch.eye(size).double(), rtol=0, atol=1e-4)
    gat = GATLayer(8, 6, num_heads=1, averages=False, attention_dropout=0.0).double()
    hidden = gat.linear(x)
    score = nn.functional.leaky_relu(
        (hidden * gat.own).sum(1)[size:, None] + (hidden * gat.other).sum(1)[:size], 0.2
    )
    assert len(score.argsort(1).unique(dim=0)) == 1
