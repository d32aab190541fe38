"""GCNII against PyG's layers with copied weights, and its limits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN2Conv

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.data.spec import DataSpec
from gbench.models.appnp import APPNP
from gbench.models.gcnii import GCNII
from gbench.train.groups import parameter_groups

SPEC = DataSpec("node", 3, 4)


def gcnii(spec=SPEC, **changes):
    settings = {
        "hidden_dim": 6, "num_layers": 4, "alpha": 0.2, "lam": 0.7, "variant": False,
        "input_dropout": 0.0, "dropout": 0.0,
    }  # fmt: skip
    return GCNII(spec, **{**settings, **changes}).double()


@pytest.mark.parametrize("variant", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_equals_pygs_layers(
    variant, weighted, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(10, directed=True)
    model, batch = gcnii(variant=variant), make_batch([example])
    if weighted:
        batch.edge_weight = torch.rand(batch.graph.num_entries, dtype=torch.float64)
    x = home = (example.x @ model.first.weight.T + model.first.bias).relu()
    for layer, weight in enumerate(model.weights, start=1):
        conv = GCN2Conv(6, 0.2, 0.7, layer, shared_weights=not variant).double()
        parts = {"weight1": weight}
        if variant:  # PyG's weights read (1 - α) S x and α h, the authors' S x and h
            above, below = weight.chunk(2)
            parts = {"weight1": above / 0.8, "weight2": below / 0.2}
        for name, part in parts.items():
            delattr(conv, name)
            setattr(conv, name, part)
        x = conv(x, home, batch.edge_index, batch.edge_weight).relu()
    expected = x @ model.last.weight.T + model.last.bias
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(model(batch), expected, parameters)


def test_without_identity_mapping_it_is_the_formula_of_one_layer(make_batch, random_graph):
    """λ = e - 1 gives θ_1 = 1: nothing but the weights; λ = 0 gives 0: nothing but identity."""
    example = random_graph(9)
    batch = make_batch([example])
    model = gcnii(num_layers=1, lam=math.e - 1)
    home = (example.x @ model.first.weight.T + model.first.bias).relu()
    s = APPNP(
        SPEC, hidden_dim=6, hops=1, alpha=0.2, bias=True, input_dropout=0.0, dropout=0.0,
        propagation_dropout=0.0,
    )._hop(batch, home, 0.2 * home)  # fmt: skip
    hidden = (s @ model.weights[0]).relu()
    torch.testing.assert_close(model(batch), model.last(hidden))
    plain = gcnii(num_layers=3, lam=0.0)
    out = plain(batch)
    nn.init.normal_(plain.weights)
    assert torch.equal(plain(batch), out)


def test_the_first_output_is_not_dropped_where_it_returns(make_batch, random_graph):
    """With α = 1 each layer sees H_0 alone, so that dropout between layers changes nothing."""
    batch = make_batch([random_graph(9)])
    model = gcnii(alpha=1.0, num_layers=1, lam=0.0, dropout=0.5).train()
    seen = []
    model.last.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    model(batch)
    home = model._start(batch)[1]
    is_kept = seen[0] != 0
    torch.testing.assert_close(seen[0][is_kept], 2 * home[is_kept])


@pytest.mark.parametrize(
    ("data", "features", "classes", "count"),
    [("cora", 1433, 7, 354_375), ("citeseer", 3703, 6, 3_046_918)],
)
def test_parameters_and_their_two_decays(data, features, classes, count):
    config = compose([f"experiment=gcnii-{data}"])
    model = build_model(config["model"], replace(SPEC, num_outputs=classes, num_features=features))
    assert sum(p.numel() for p in model.parameters()) == count
    groups = parameter_groups(model, config["optim"])
    decays = {g["weight_decay"]: sum(p.numel() for p in g["params"]) for g in groups}
    width, depth = config["model"]["hidden_dim"], config["model"]["num_layers"]
    assert decays[0.01] == depth * width**2 and set(decays) == {0.01, 0.0005}
    assert config["trainer"]["monitor"] == "loss" and config["trainer"]["select"] == "best"


def test_weights_start_uniform_by_their_width():
    weights = gcnii(hidden_dim=64, num_layers=8).weights
    assert (
        weights.abs().max() <= 1 / 8 and abs(float(weights.detach().std()) * 8 * 3**0.5 - 1) < 0.02
    )
