"""The MLP against its formula, and that edges are nothing to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gbench.data.spec import DataSpec
from gbench.models.mlp import MLP

NODES, GRAPHS = DataSpec("node", 3, 4), DataSpec("graph", 2, 4)
MOLECULES = DataSpec("graph", 2, 3, (5, 3, 4), (4, 3))


def mlp(spec=NODES, **changes):
    settings = {
        "hidden_dim": 6, "num_layers": 3, "norm": "batch", "input_dropout": 0.0, "dropout": 0.0,
        "readout": "mean",
    }  # fmt: skip
    model = MLP(spec, **{**settings, **changes}).double()
    for name, parameter in model.named_parameters():
        if "norm" in name:  # ones and zeros would hide a term that is missing
            nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("spec", [NODES, GRAPHS], ids=["nodes", "graphs"])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_it_equals_the_formula(
    spec, norm, num_layers, make_batch, random_graph, same_outputs_and_gradients
):
    examples = [random_graph(n) for n in (9, 1, 6)]
    model = mlp(spec, norm=norm, num_layers=num_layers)
    p = dict(model.named_parameters())
    x = torch.cat([example.x for example in examples])
    for layer in range(num_layers - 1):
        x = x @ p[f"layers.{layer}.weight"].T + p[f"layers.{layer}.bias"]
        if norm == "batch":
            del p[f"layers.{layer}.bias"]  # subtracted with the mean
            x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
            x = x * p[f"norm_acts.{layer}.norm.weight"] + p[f"norm_acts.{layer}.norm.bias"]
        x = x.clamp(min=0)
    if spec is GRAPHS:
        x = torch.stack([part.mean(0) for part in x.split([9, 1, 6])])
    expected = x @ p["head.weight"].T + p["head.bias"]
    same_outputs_and_gradients(model(make_batch(examples)), expected, p)


@pytest.mark.parametrize("spec", [NODES, GRAPHS, MOLECULES], ids=["nodes", "graphs", "molecules"])
def test_edges_are_nothing_to_it(spec, make_batch, random_graph):
    example = random_graph(8, None if spec is MOLECULES else 4)
    none = example._replace(edge_index=torch.empty(2, 0, dtype=torch.int64), edge_attr=None)
    model = mlp(spec).eval()
    with_edges, without = model(make_batch([example])), model(make_batch([none]))
    assert torch.equal(with_edges, without) and with_edges.any()


def test_an_encoding_stands_beside_the_features(make_batch, random_graph):
    example, pe = random_graph(10), torch.randn(10, 2, dtype=torch.float64)
    beside = example._replace(x=torch.cat([example.x, pe], 1))
    with_pe, wide = mlp(DataSpec("node", 3, 4, pe_dim=2)), mlp(DataSpec("node", 3, 6))
    wide.load_state_dict(with_pe.state_dict())
    found = with_pe(replace(make_batch([example]), pe=pe))
    torch.testing.assert_close(found, wide(make_batch([beside])))
