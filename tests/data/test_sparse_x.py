"""Features by their non-zeros: the same matrix, made once, never a stale one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gbench.data.batch import Batch
from gbench.data.source import Graph
from gbench.data.sparse import SparseFeatures
from gbench.data.store import GraphStore, pack
from gbench.kernels.csr import CSR


def words(rows: int = 40, columns: int = 30, density: float = 0.05) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(rows, columns, generator=generator) < density
    return torch.randn(rows, columns, generator=generator) * kept


def one_graph(x: torch.Tensor) -> GraphStore:
    edges = torch.stack([torch.arange(x.size(0)), torch.arange(x.size(0)).flip(0)])
    return pack([Graph(x, edges, torch.zeros(x.size(0), dtype=torch.int64))], "node")


def dense(features: SparseFeatures) -> torch.Tensor:
    pattern = features.pattern
    x = torch.zeros(pattern.num_rows, pattern.num_cols, dtype=features.values.dtype)
    x[pattern.row, pattern.col.long()] = features.values
    return x


def test_the_non_zeros_and_their_transpose_are_the_matrix() -> None:
    x = words()
    x[3], x[:, 7] = 0, 0
    x[5] = torch.arange(1, 31)  # a row with all its entries
    x[39], x[:, 29] = 0, 0  # the last row and column: no entry says how large the matrix is
    features = SparseFeatures.of(x)
    assert features is not None and torch.equal(dense(features), x)
    assert features.values.numel() == x.count_nonzero()
    pattern = features.pattern
    turned = SparseFeatures(
        CSR(pattern.rowptr_t, pattern.col_t, pattern.rowptr, pattern.col, pattern.perm_t),
        features.values[pattern.perm_t.long()],
    )
    assert torch.equal(dense(turned), x.t())


def test_nothing_but_zeros() -> None:
    features = SparseFeatures.of(torch.zeros(4, 6))
    assert features is not None and torch.equal(dense(features), torch.zeros(4, 6))


def test_only_floats_of_which_at_most_a_fifth_is_not_zero() -> None:
    x = torch.zeros(10, 10)
    x.view(-1)[:20] = 1
    assert SparseFeatures.of(x) is not None
    assert SparseFeatures.of(x.long()) is None
    x[9, 9] = 1
    assert SparseFeatures.of(x) is None


def test_a_kept_batch_has_them_once_for_all_targets() -> None:
    store = one_graph(words())
    batch = store.whole()
    features = batch.sparse_x
    assert features is not None and torch.equal(dense(features), batch.x)
    for targets in (torch.arange(3), torch.arange(9)):
        assert store.whole().with_targets(targets).sparse_x is features
    assert store.batch(torch.tensor([0])).sparse_x is None  # gone after one use: not worth it
    assert one_graph(words(density=0.5)).whole().sparse_x is None


def test_they_are_never_those_of_other_features() -> None:
    batch = one_graph(words()).whole()
    assert batch.sparse_x is not None
    other = replace(batch, x=2 * batch.x)
    assert torch.equal(dense(found(other)), 2 * batch.x)
    assert torch.equal(dense(found(batch)), batch.x)
    batch.x[0] = torch.arange(30)
    assert torch.equal(dense(found(batch)), batch.x)


def found(batch: Batch) -> SparseFeatures:
    assert batch.sparse_x is not None
    return batch.sparse_x


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_what_evaluation_left_can_be_trained_on(mode: type) -> None:
    batch = one_graph(words()).whole()
    with mode():
        features = found(batch)
    weight = torch.ones(features.values.numel(), requires_grad=True)
    (features.values * weight).sum().backward()
    assert torch.equal(weight.grad, features.values)


def test_features_that_take_a_gradient_or_come_from_inference_stay_dense() -> None:
    batch = one_graph(words()).whole()
    assert replace(batch, x=batch.x.clone().requires_grad_()).sparse_x is None
    with torch.inference_mode():
        computed = replace(batch, x=batch.x * 2)
    assert computed.sparse_x is None
