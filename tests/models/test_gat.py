"""GAT against its formula written node by node, and against PyG's layer with equal weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv

from gbench.data.spec import DataSpec
from gbench.kernels import CSR
from gbench.kernels.act_dropout import act_dropout
from gbench.kernels.gat_attention import gat_attention
from gbench.models.gat import GAT, GATLayer, with_loops

NODES, GRAPHS = DataSpec("node", 3, 4), DataSpec("graph", 2, 4)


def gat(spec=NODES, **changes):
    settings = {
        "hidden_dim": 5, "num_heads": 3, "num_output_heads": 2, "num_layers": 2,
        "input_dropout": 0.0, "dropout": 0.0, "attention_dropout": 0.0, "readout": "sum",
    }  # fmt: skip
    model = GAT(spec, **{**settings, **changes}).double()
    for name, parameter in model.named_parameters():
        if "bias" in name:  # zeros would hide a term that is missing
            nn.init.normal_(parameter)
    return model


def dense_layer(p, x, edge_index, num_heads, *, averages):
    """The paper's equations 3 to 6, each node and head by itself."""
    heads = []
    blocks = p["linear.weight"].chunk(num_heads)
    for w, own, other in zip(blocks, p["own"], p["other"], strict=True):
        h, rows = x @ w.T, []
        for i in range(len(x)):
            sources = [j for j, target in edge_index.T.tolist() if target == i and j != i] + [i]
            score = torch.stack([own @ h[i] + other @ h[j] for j in sources])
            score = torch.where(score > 0, score, 0.2 * score)
            alpha = score.exp() / score.exp().sum()
            rows.append(alpha @ h[sources])
        heads.append(torch.stack(rows))
    return (sum(heads) / num_heads if averages else torch.cat(heads, 1)) + p["bias"]


def elu(x):
    return torch.where(x > 0, x, x.clamp(max=0).expm1())


def of_layer(p, index):
    prefix = f"layers.{index}."
    return {n.removeprefix(prefix): v for n, v in p.items() if n.startswith(prefix)}


@pytest.mark.parametrize("directed", [False, True])
def test_node_level_equals_the_dense_formula(
    directed, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(9, directed=directed)
    loops = torch.tensor([[0, 0, 3], [0, 0, 3]])  # a node receives from itself once, as it is
    example = example._replace(edge_index=torch.cat([example.edge_index, loops], 1))
    model = gat()
    p = dict(model.named_parameters())
    x = elu(dense_layer(of_layer(p, 0), example.x, example.edge_index, 3, averages=False))
    x = dense_layer(of_layer(p, 1), x, example.edge_index, 2, averages=True)
    same_outputs_and_gradients(model(make_batch([example])), x, p)


def test_graph_level_ends_in_readout_and_head(make_batch, random_graph, same_outputs_and_gradients):
    examples = [random_graph(n) for n in (6, 1, 4)]
    model = gat(GRAPHS)
    p = dict(model.named_parameters())
    rows = []
    for x, edge_index, _ in examples:
        for layer in range(2):
            x = elu(dense_layer(of_layer(p, layer), x, edge_index, 3, averages=False))
        rows.append(x.sum(0) @ p["head.weight"].T + p["head.bias"])
    same_outputs_and_gradients(model(make_batch(examples)), torch.stack(rows), p)


@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_the_layer_equals_pygs(
    averages, directed, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(20, directed=directed)
    options = {"num_heads": 4, "averages": averages, "attention_dropout": 0.6}
    layer = GATLayer(4, 5, **options).double().eval()
    conv = GATConv(4, 5, heads=4, concat=not averages, dropout=0.6).double().eval()
    nn.init.normal_(layer.bias)
    conv.lin.weight, conv.bias = layer.linear.weight, layer.bias
    del conv.att_dst, conv.att_src
    conv.att_dst, conv.att_src = layer.own[None], layer.other[None]
    ours, theirs = layer(make_batch([example]), example.x), conv(example.x, example.edge_index)
    same_outputs_and_gradients(ours, theirs, dict(layer.named_parameters()))


def test_attention_is_dropped_and_the_mean_kept(make_batch, random_graph):
    example = random_graph(12)
    batch = make_batch([example])
    layer = GATLayer(4, 5, num_heads=2, averages=False, attention_dropout=0.6).double()
    whole = layer.eval()(batch, example.x)
    layer.train()
    with torch.no_grad():
        drawn = torch.stack([layer(batch, example.x) for _ in range(4000)])
    assert drawn.var(0).min() > 0
    error = (drawn.mean(0) - whole) / (drawn.std(0) / 4000**0.5)
    assert error.abs().max() < 5  # of 120 standard normals


def test_weights_start_glorot_uniform_head_by_head():
    """The authors make one layer for each head, so that its own width counts and not all heads'."""
    torch.manual_seed(0)
    layer = GATLayer(50, 8, num_heads=40, averages=False, attention_dropout=0.0)
    for weight, bound in ((layer.linear.weight, 6 / 58), (layer.own, 6 / 9), (layer.other, 6 / 9)):
        bound = bound**0.5
        assert 0.97 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_each_node_receives_from_itself_once(make_batch, random_graph):
    loops = torch.tensor([[0, 0, 3], [0, 0, 3]])
    batch = make_batch([random_graph(5)._replace(edge_index=loops)])
    with torch.inference_mode():
        graph = with_loops(batch)
    assert graph.edge_index.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert with_loops(batch) is graph and not graph.col.is_inference()


def test_in_a_part_the_first_columns_are_the_rows(make_batch, random_graph):
    """Two rows that receive from three columns: the third one gets no row and no loop."""
    graph, _ = CSR.from_edge_index(torch.tensor([[2, 1, 2], [0, 0, 1]]), 2, 3)
    x = torch.randn(3, 4, dtype=torch.float64)
    part = replace(make_batch([random_graph(3)]), graph=graph, memo={})
    layer = GATLayer(4, 5, num_heads=2, averages=False, attention_dropout=0.0).double()
    p, edges = dict(layer.named_parameters()), graph.edge_index
    expected = dense_layer(p, x, edges, 2, averages=False)[:2]
    torch.testing.assert_close(layer(part, x), expected)


def test_features_of_edges_are_not_looked_at(make_batch, random_graph):
    example = random_graph(8, None)
    model = gat(DataSpec("graph", 2, 3, (5, 3, 4), (4, 3)))
    other = example._replace(edge_attr=torch.zeros_like(example.edge_attr))
    torch.testing.assert_close(model(make_batch([example])), model(make_batch([other])))


def test_dropout_of_features_stands_before_each_layer(make_batch, random_graph, monkeypatch):
    rates = []
    monkeypatch.setattr(
        "gbench.models.gat.dropout", lambda x, rate, training: rates.append((rate, training)) or x
    )

    def between(x, bias, *, act, rate=0.0):
        rates.append((act, rate))
        return act_dropout(x, bias, act=act)

    def attention(graph, x, own, other, rate):
        rates.append(rate)
        return gat_attention(graph, x, own, other)

    monkeypatch.setattr("gbench.models.gat.act_dropout", between)
    monkeypatch.setattr("gbench.models.gat.gat_attention", attention)
    model = gat(input_dropout=0.1, dropout=0.2, attention_dropout=0.3)
    batch = make_batch([random_graph(5)])
    model(batch)
    assert rates == [(0.1, True), 0.3, ("elu", 0.2), 0.3, ("none", 0.0)]
    rates.clear()
    expected = model.eval()(batch)
    assert rates == [(0.1, False), 0.0, ("elu", 0.0), 0.0, ("none", 0.0)]
    assert F.mse_loss(model.train()(batch), expected) == 0
