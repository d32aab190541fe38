from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gbench.data.spec import DataSpec
from gbench.models.encoders import Embeddings, node_encoder
from gbench.models.readout import Readout


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


def test_dense_features_are_projected():
    encoder = node_encoder(DataSpec("graph", 2, 3), 8)
    x = torch.randn(5, 3)
    torch.testing.assert_close(encoder(x), x @ encoder.weight.T + encoder.bias)


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
