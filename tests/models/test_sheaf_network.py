"""Hansen & Gebhart's network against its formula on dense matrices, and what signs are good for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.sheaf_network import SheafNetwork

PLAIN = DataSpec("node", 3, 4)
SIGNED = DataSpec("node", 3, 4, edge_categories=(2,))


def network(spec=PLAIN, **changes):
    settings = {
        "signed": False, "stalk_dim": 2, "hidden_dim": 3, "num_layers": 2, "input_dropout": 0.0,
        "dropout": 0.0, "readout": "mean",
    }  # fmt: skip
    return SheafNetwork(spec, **{**settings, **changes}).double()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("stalk_dim", [1, 2])
def test_it_equals_the_dense_formula(
    signed, stalk_dim, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(8)
    last = torch.eye(9, 8, dtype=torch.float64)  # a ninth node without edges
    example = example._replace(x=torch.cat([example.x, torch.randn(1, 4).double()]))
    low, high = example.edge_index.min(0).values, example.edge_index.max(0).values
    attribute = ((low + high) % 2)[:, None]
    if signed:
        example = example._replace(edge_attr=attribute)
    model = network(SIGNED if signed else PLAIN, signed=signed, stalk_dim=stalk_dim)
    p = dict(model.named_parameters())
    a = torch.zeros(8, 8, dtype=torch.float64)
    signs = 2.0 * attribute[:, 0] - 1 if signed else torch.ones(attribute.size(0))
    a[example.edge_index[1], example.edge_index[0]] = signs.double()
    degree = a.abs().sum(1)
    diffuse = last @ (a / (degree[:, None] * degree).sqrt()) @ last.T
    diffuse[8, 8] = 1  # I - Δ, where an isolated node's Δ is 0
    x = (example.x @ p["first.weight"].T + p["first.bias"]).view(9, stalk_dim, 3)
    for layer in range(2):
        x = p[f"left.{layer}.weight"] @ x @ p[f"right.{layer}.weight"].T
        x = torch.einsum("vu,ucf->vcf", diffuse, x).clamp(min=0)
    expected = x.reshape(9, -1) @ p["head.weight"].T + p["head.bias"]
    same_outputs_and_gradients(model(make_batch([example])), expected, p)


def test_a_batch_is_its_graphs_one_by_one(make_batch, random_graph):
    examples = [random_graph(n) for n in (6, 1, 4)]
    model = network(DataSpec("graph", 2, 4), readout="sum")
    together = model(make_batch(examples))
    alone = torch.cat([model(make_batch([example])) for example in examples])
    torch.testing.assert_close(together, alone)
    assert together.unique(dim=0).size(0) == 3


def test_signs_tell_nodes_apart_that_a_convolution_without_them_cannot(make_batch, random_graph):
    """Two camps, friends within and foes between, one node's camp shown: who else is in it?"""
    num_nodes = 24
    example = random_graph(num_nodes, 2)
    camp = torch.arange(num_nodes) % 2
    agree = (camp[example.edge_index[0]] == camp[example.edge_index[1]]).long()
    x = torch.zeros(num_nodes, 2, dtype=torch.float64)
    x[:2] = torch.eye(2)
    example = example._replace(x=x, edge_attr=agree[:, None])
    accuracy = {}
    for signed in (False, True):
        torch.manual_seed(0)
        spec = DataSpec("node", 2, 2, edge_categories=(2,))
        model = network(spec, signed=signed, stalk_dim=1, hidden_dim=8, num_layers=3)
        batch = make_batch([example])
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            F.cross_entropy(model(batch)[:8], camp[:8]).backward()
            optimizer.step()
        accuracy[signed] = (model(batch).argmax(1) == camp)[8:].double().mean()
    assert accuracy[True] == 1
    assert accuracy[False] < 0.9


def test_signs_that_are_not_there_are_refused(make_batch, random_graph):
    for spec in (PLAIN, DataSpec("node", 3, 4, edge_categories=(3, 2))):
        with pytest.raises(UserError, match=r"model\.signed=true.*signed=false"):
            network(spec, signed=True)
    directed = random_graph(6, directed=True)
    attribute = torch.arange(directed.edge_index.size(1))[:, None] % 2
    model = network(SIGNED, signed=True)
    with pytest.raises(UserError, match="in both directions"):
        model(make_batch([directed._replace(edge_attr=attribute)]))
