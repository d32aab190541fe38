"""The product with sparse features is the dense one, forward and backward, alone and in models."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.models.dropout import dropout
from gbench.models.linear import Linear

from .conftest import packaged


def words(rows=30, columns=20):
    """Mostly zeros; an all-zero row and column, and a row with all its entries."""
    x = torch.randn(rows, columns, dtype=torch.float64) * (torch.rand(rows, columns) < 0.08)
    x[3], x[:, 5] = 0, 0
    x[7] = torch.arange(1, columns + 1)
    return x


def test_values_that_are_yet_to_be_dropped_are_dropped_by_the_layer_that_reads_them():
    x, seed, layer = SparseFeatures.of(words()), torch.tensor(5), Linear(20, 4).double()
    values = torch.ops.gbench.dropout(x.values, seed, 0.5)
    assert (values == 0).any() and x.longest_row == 20
    expected = layer(replace(x, values=values))
    assert torch.equal(layer(replace(x, seed=seed, rate=0.5)), expected)


@pytest.mark.parametrize("bias", [False, True])
def test_equals_the_dense_product(bias, same_outputs_and_gradients):
    x = words()
    ours = Linear(20, 6, bias=bias).double()
    theirs = nn.Linear(20, 6, bias=bias).double()
    theirs.load_state_dict(ours.state_dict())
    theirs.weight, theirs.bias = ours.weight, ours.bias
    parameters = dict(ours.named_parameters())
    same_outputs_and_gradients(ours(SparseFeatures.of(x)), theirs(x), parameters)
    same_outputs_and_gradients(ours(x), theirs(x), parameters)


def test_the_gradient_under_a_dropout_mask_is_the_dense_one(same_outputs_and_gradients):
    x = SparseFeatures.of(words())
    dropped = dropout(x, 0.5, training=True)
    dense = torch.zeros(30, 20, dtype=torch.float64)
    dense[x.pattern.row, x.pattern.col.long()] = dropped.values
    assert 0 < dense.count_nonzero() < x.values.numel()
    layer = Linear(20, 6).double()
    parameters = dict(layer.named_parameters())
    same_outputs_and_gradients(layer(dropped), dense @ layer.weight.T + layer.bias, parameters)


WORDS = DataSpec("node", 3, 20)


def test_features_can_still_take_a_gradient(make_batch, random_graph):
    kept = replace(make_batch([random_graph(30)._replace(x=words())]), is_kept=True)
    model = packaged(WORDS, "model=gcn").double().eval()
    model(kept)
    kept.x.requires_grad_()
    model(kept).sum().backward()
    assert kept.x.grad.any()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_fused_adam_trains_the_transposed_weights_as_it_trains_others(is_sparse):
    dense = torch.rand(30, 50) * (torch.rand(30, 50) < 0.1)
    ours, plain = Linear(50, 7), torch.nn.Linear(50, 7)
    plain.load_state_dict(ours.state_dict())
    assert ours.weight.t().is_contiguous()
    fused = torch.optim.Adam(ours.parameters(), lr=0.1, weight_decay=0.01, fused=True)
    loops = torch.optim.Adam(plain.parameters(), lr=0.1, weight_decay=0.01, foreach=False)
    given = SparseFeatures.of(dense) if is_sparse else dense
    for _ in range(5):
        for layer, x, optimizer in ((ours, given, fused), (plain, dense, loops)):
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, plain.weight, rtol=1e-4, atol=1e-5)
    again = Linear(50, 7)
    again.load_state_dict(ours.state_dict())
    assert again.weight.t().is_contiguous() and torch.equal(again.weight, ours.weight)
