"""GATv2 against PyG's layer with equal weights, and what it can and GAT cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATv2Conv

from gbench.data.spec import DataSpec
from gbench.models.gatv2 import GATv2, GATv2Layer

OPTIONS = {"num_heads": 4, "attention_dropout": 0.6}


def same_as_pygs(layer, edge_dim=None):
    """PyG's layer with the parameters of ours."""
    averages = layer.averages
    conv = GATv2Conv(4, 5, heads=4, concat=not averages, dropout=0.6, edge_dim=edge_dim)
    conv = conv.double().eval()
    receiver = layer.linear if layer.receiver is None else layer.receiver
    conv.lin_l.weight, conv.lin_r.weight = layer.linear.weight, receiver.weight
    for linear in (conv.lin_l, conv.lin_r):
        nn.init.zeros_(linear.bias)
    del conv.att
    conv.att, conv.bias = layer.score[None], layer.bias
    if edge_dim:
        conv.lin_edge.weight = layer.edge_linear.weight
    return conv


@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_the_layer_equals_pygs(
    averages, shared, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(20, directed=True)
    layer = GATv2Layer(4, 5, averages=averages, **OPTIONS).double().eval()
    nn.init.normal_(layer.bias)
    if shared:
        layer.receiver = None
    ours = layer(make_batch([example]), example.x)
    theirs = same_as_pygs(layer)(example.x, example.edge_index)
    same_outputs_and_gradients(ours, theirs, dict(layer.named_parameters()))


def test_numbers_of_edges_enter_the_scores_as_in_pygs(
    make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(20, directed=True)
    layer = GATv2Layer(4, 5, averages=False, edge_dim=3, **OPTIONS).double().eval()
    batch = make_batch([example])
    numbers = torch.randn(batch.graph.num_entries, 3, dtype=torch.float64)
    batch = replace(batch, edge_attr=numbers, memo={})
    ours = layer(batch, example.x)
    theirs = same_as_pygs(layer, 3)(example.x, batch.graph.edge_index, numbers)
    same_outputs_and_gradients(ours, theirs, dict(layer.named_parameters()))


def test_sharing_saves_a_matrix_of_each_layer():
    def count(share):
        model = GATv2(
            DataSpec("node", 7, 1433), hidden_dim=8, num_heads=8, num_output_heads=1,
            num_layers=2, share_weights=share, input_dropout=0.6, dropout=0.6,
            attention_dropout=0.6, readout="mean",
        )  # fmt: skip
        return sum(p.numel() for p in model.parameters())

    assert count(True) == 1433 * 64 + 64 + 64 + 64 * 7 + 7 + 7
    assert count(False) - count(True) == 1433 * 64 + 64 * 7
