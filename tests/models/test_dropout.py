"""Dropout keeps its share, rescales what it keeps, and leaves zeros and evaluation alone."""

from __future__ import annotations

import pytest
import torch

from gbench.data.sparse import SparseFeatures
from gbench.models.dropout import dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_element_is_dropped_with_the_rate_on_its_own(rate):
    n = 200
    x = torch.rand(n, n, dtype=torch.float64) + 1
    ratio = dropout(x, rate, training=True) / x
    kept = ratio != 0
    torch.testing.assert_close(ratio[kept], torch.full_like(ratio[kept], 1 / (1 - rate)))
    # five standard deviations of a binomial share, in all elements, rows and columns
    for share, count in ((kept.double().mean(), n * n), (kept.double().mean(0), n),
                         (kept.double().mean(1), n)):  # fmt: skip
        assert ((share - (1 - rate)).abs() < 5 * (rate * (1 - rate) / count) ** 0.5).all()
    neighbours = torch.corrcoef(torch.stack([kept[:, 1:].flatten(), kept[:, :-1].flatten()]) * 1.0)
    assert neighbours[0, 1].abs() < 5 / n
    assert not torch.equal(dropout(x, rate, training=True), dropout(x, rate, training=True))


def test_the_gradient_passes_where_the_value_did():
    x = (torch.rand(50, 50, dtype=torch.float64) + 1).requires_grad_()
    y = dropout(x, 0.3, training=True)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach() / x.detach())


def test_sparse_features_lose_stored_values_and_no_zero_moves():
    dense = (torch.rand(400, 100) + 1) * (torch.rand(400, 100) < 0.1)
    x = SparseFeatures.of(dense)
    y = dropout(x, 0.6, training=True)
    assert y.pattern is x.pattern and torch.equal(x.values, SparseFeatures.of(dense).values)
    kept = y.values != 0
    torch.testing.assert_close(y.values[kept], x.values[kept] * 2.5)
    assert abs(kept.double().mean() - 0.4) < 5 * (0.24 / kept.numel()) ** 0.5


@pytest.mark.parametrize("make", [lambda x: x, SparseFeatures.of], ids=["dense", "sparse"])
def test_nothing_happens_in_evaluation_or_at_rate_0(make):
    x = make(torch.eye(10))
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x


def test_a_seed_repeats_the_draw_and_types_stay():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        torch.manual_seed(3)
        first = dropout(torch.ones(100, dtype=dtype), 0.5, training=True)
        torch.manual_seed(3)
        assert first.dtype == dtype
        assert torch.equal(first, dropout(torch.ones(100, dtype=dtype), 0.5, training=True))


def test_the_draw_is_finer_than_the_features():
    """In bfloat16 numbers below 1 are multiples of 2⁻⁸ or coarser: 0.998 would be 1."""
    ones = torch.ones(200_000, dtype=torch.bfloat16)
    share = (dropout(ones, 0.998, training=True) != 0).double().mean()
    assert abs(share - 0.002) < 5 * (0.002 * 0.998 / 200_000) ** 0.5
