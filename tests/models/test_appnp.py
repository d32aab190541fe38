"""APPNP against PyG's layer, the dense formula and its two limits: PPNP and the MLP."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.nn import APPNP as PyG
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gbench.data.spec import DataSpec
from gbench.models.appnp import APPNP, dropped_average
from gbench.models.convolve import gcn_average

SPEC = DataSpec("node", 3, 4)


def appnp(spec=SPEC, **changes):
    settings = {
        "hidden_dim": 6, "hops": 4, "alpha": 0.2, "bias": True, "input_dropout": 0.0,
        "dropout": 0.0, "propagation_dropout": 0.0,
    }  # fmt: skip
    return APPNP(spec, **{**settings, **changes}).double()


def mlp(model, x):
    p = dict(model.named_parameters())
    h = (x @ p["first.weight"].T + p.get("first.bias", 0)).clamp(min=0)
    return h @ p["second.weight"].T + p.get("second.bias", 0)


def dense_s(example):
    edge_index, weight = gcn_norm(example.edge_index, None, len(example.x), dtype=torch.float64)
    s = torch.zeros(len(example.x), len(example.x), dtype=torch.float64)
    return s.index_put((edge_index[1], edge_index[0]), weight, accumulate=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hops", [0, 1, 7])
@pytest.mark.parametrize("directed", [False, True])
def test_it_equals_the_dense_formula(
    bias, hops, directed, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(10, directed=directed)
    model, s = appnp(hops=hops, bias=bias), dense_s(example)
    z = home = mlp(model, example.x)
    for _ in range(hops):
        z = 0.8 * s @ z + 0.2 * home
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(model(make_batch([example])), z, parameters)


def test_it_is_pygs_layer_behind_an_mlp(make_batch, random_graph, same_outputs_and_gradients):
    example = random_graph(12)
    model = appnp(hops=10, alpha=0.1)
    expected = PyG(10, 0.1)(mlp(model, example.x), example.edge_index)
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(model(make_batch([example])), expected, parameters)


def test_many_hops_are_ppnp(make_batch, random_graph):
    """α (I - (1 - α) S)^-1 of the MLP's answer: personalised PageRank without a number of steps."""
    example = random_graph(12)
    model, s = appnp(hops=300), dense_s(example)
    pagerank = 0.2 * torch.linalg.inv(torch.eye(12, dtype=torch.float64) - 0.8 * s)
    expected = pagerank @ mlp(model, example.x)
    torch.testing.assert_close(model(make_batch([example])), expected, rtol=1e-10, atol=1e-10)
    few = appnp(hops=3)
    few.load_state_dict(model.state_dict())
    assert not torch.allclose(few(make_batch([example])), expected, atol=1e-3)


def test_with_alpha_1_it_is_the_mlp(make_batch, random_graph):
    example = random_graph(10)
    model = appnp(alpha=1.0)
    torch.testing.assert_close(model(make_batch([example])), mlp(model, example.x))


def test_values_of_the_matrix_are_dropped_anew_in_each_hop(make_batch, random_graph):
    """The mean over many draws is the answer without; one draw has zeros where S has none."""
    example = random_graph(12)
    batch, model = make_batch([example]), appnp(hops=3, propagation_dropout=0.5)
    expected = model.eval()(batch)
    model.train()
    drawn = torch.stack([model(batch) for _ in range(3000)]).detach()
    error = (drawn.mean(0) - expected).abs()
    assert (error < 5 * drawn.std(0) / 3000**0.5 + 1e-12).all()
    eye = torch.eye(12, dtype=torch.float64)
    found, s = dropped_average(batch, eye, 0.5), dense_s(example)
    is_kept = found != 0
    torch.testing.assert_close(found[is_kept], 2 * s[is_kept])
    share = is_kept.sum() / (s != 0).sum()
    assert 0.3 < share < 0.7 and not torch.equal(is_kept, dropped_average(batch, eye, 0.5) != 0)


def test_neighbours_in_a_part_stand_for_all(make_batch, random_graph):
    """Of a part that is the whole graph with half of the neighbours: their sum counts twice."""
    example = random_graph(12)
    batch = make_batch([example])
    part = replace(batch, degree=2 * batch.graph.in_degree)
    x, root = example.x, (2 * batch.graph.in_degree + 1).double().rsqrt()[:, None]
    torch.manual_seed(0)
    found = dropped_average(part, x, 1e-9)  # nothing is dropped
    a = torch.zeros(12, 12, dtype=torch.float64)
    a[example.edge_index[1], example.edge_index[0]] = 1
    torch.testing.assert_close(found, root * (2 * a @ (root * x) + root * x))


def test_edge_weights_are_those_of_pygs_layer(make_batch, random_graph, same_outputs_and_gradients):
    example = random_graph(12, directed=True)
    model, batch = appnp(hops=5), make_batch([example])
    weight = torch.rand(batch.graph.num_entries, dtype=torch.float64)
    batch.edge_weight = weight
    expected = PyG(5, 0.2)(mlp(model, example.x), batch.edge_index, weight)
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(model(batch), expected, parameters)
    eye = torch.eye(12, dtype=torch.float64)
    whole, dropped = gcn_average(batch, eye), dropped_average(batch, eye, 0.5)
    torch.testing.assert_close(dropped[dropped != 0], 2 * whole[dropped != 0])
