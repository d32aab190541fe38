from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.models.encoders import Embeddings, NodeEncoder, RawFeatures, input_features
from gbench.models.linear import Linear
from gbench.models.readout import Readout

from .conftest import ATOMS


def test_embeddings_are_the_sum_of_one_lookup_per_column():
    sizes = (5, 3, 4)
    embeddings = Embeddings(sizes, 6).double()
    codes = torch.stack([torch.randint(size, (50,)) for size in sizes], 1)
    tables = [nn.Embedding.from_pretrained(t) for t in embeddings.table.detach().split(sizes)]
    expected = sum(table(codes[:, k]) for k, table in enumerate(tables))
    for dtype in (torch.uint8, torch.int16, torch.int64):
        torch.testing.assert_close(embeddings(codes.to(dtype)), expected)


def test_each_table_is_xavier_uniform_on_its_own():
    sizes = (2, 500)
    small, large = Embeddings(sizes, 400).table.detach().split(sizes)
    for table in (small, large):
        bound = math.sqrt(6 / (table.size(0) + 400))
        assert 0.95 * bound < table.abs().max() <= bound
        assert table.var().item() == pytest.approx(bound**2 / 3, rel=0.1)


def test_dense_features_are_projected(make_batch, random_graph):
    encoder = NodeEncoder(DataSpec("graph", 2, 4), 8).double()
    batch = make_batch([random_graph(5)])
    linear = encoder.features
    torch.testing.assert_close(encoder(batch), batch.x @ linear.weight.T + linear.bias)
    assert [*encoder.state_dict()] == ["features.weight", "features.bias"]


@pytest.mark.parametrize("categories", [None, ATOMS])
def test_a_positional_encoding_is_projected_normalised_and_added(
    make_batch, random_graph, categories
):
    spec = DataSpec("graph", 2, 4 if categories is None else 3, categories, pe_dim=3)
    encoder = NodeEncoder(spec, 8).double()
    batch = make_batch([random_graph(9, None if categories else 4)])
    batch = replace(batch, pe=torch.randn(9, 3, dtype=torch.float64))
    linear, norm = encoder.pe[0], encoder.pe[1].norm
    assert linear.bias is None
    with torch.no_grad():
        norm.weight.uniform_(1, 2), norm.bias.uniform_(-1, 1)
    projected = batch.pe @ linear.weight.T
    projected = (projected - projected.mean(0)) / (projected.var(0, correction=0) + norm.eps).sqrt()
    expected = encoder.features(batch.x) + (projected * norm.weight + norm.bias).relu()
    torch.testing.assert_close(encoder(batch), expected)


def test_raw_features_have_the_encoding_beside_them(make_batch, random_graph):
    encoder, width = input_features(DataSpec("node", 2, 4, pe_dim=3), 8)
    batch = make_batch([random_graph(9)])
    batch = replace(batch, pe=torch.randn(9, 3, dtype=torch.float64))
    assert width == 7 and not [*encoder.parameters()]
    assert torch.equal(encoder(batch), torch.cat([batch.x, batch.pe], dim=1))
    assert isinstance(input_features(DataSpec("node", 2, 3, ATOMS, pe_dim=3), 8)[0], NodeEncoder)


def test_sparse_features_with_an_encoding_are_the_dense_ones(make_batch, random_graph):
    batch = make_batch([random_graph(30, 40)])
    batch.x[torch.rand_like(batch.x) < 0.95] = 0
    batch.is_kept = True
    linear = Linear(43, 5).double()
    batch = replace(batch, pe=torch.randn(30, 3, dtype=torch.float64))
    with torch.inference_mode():  # validation comes before training may begin
        RawFeatures(allow_sparse=True)(batch)
    for signs in ([1, 1, 1], [1, -1, -1]):  # the pattern is kept, the values are not
        signed = replace(batch, pe=batch.pe * torch.tensor(signs))
        sparse = RawFeatures(allow_sparse=True)(signed)
        assert isinstance(sparse, SparseFeatures)
        dense = RawFeatures(allow_sparse=False)(signed)
        assert torch.equal(dense, torch.cat([signed.x, signed.pe], dim=1))
        got = torch.autograd.grad(linear(sparse).square().sum(), linear.weight)[0]
        expected = torch.autograd.grad(linear(dense).square().sum(), linear.weight)[0]
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_readout_reduces_each_graph(reduce, make_batch, random_graph):
    examples = [random_graph(n) for n in (5, 1, 7)]
    batch = make_batch(examples)
    got = Readout(DataSpec("graph", 2, 4), reduce)(batch, batch.x)
    expected = {
        "sum": lambda x: x.sum(0), "mean": lambda x: x.mean(0), "max": lambda x: x.max(0).values
    }[reduce]  # fmt: skip
    torch.testing.assert_close(got, torch.stack([expected(e.x) for e in examples]))
    assert Readout(DataSpec("node", 2, 4), reduce)(batch, batch.x) is batch.x
