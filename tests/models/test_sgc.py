"""SGC against powers of the dense matrix and PyG's layer; S^K X is kept, and never a stale one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.nn import SGConv

from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import spmm
from gbench.models import sgc as module
from gbench.models.sgc import SGC

SPEC = DataSpec("node", 3, 4)


def test_rows_in_their_places_are_rows_of_a_matrix_of_zeros():
    """What a GPU multiplies by: no row is copied to its place afterwards."""
    dense = (torch.rand(3, 40) + 1) * (torch.rand(3, 40) < 0.1)
    nodes = torch.tensor([1, 4, 5])
    placed = module._placed(SparseFeatures.of(dense), nodes, 7)
    expected = torch.zeros(7, 40)
    expected[nodes] = dense
    assert torch.equal(spmm(placed.pattern, torch.eye(40), placed.values), expected)


def s_power_x(example, hops):
    a = torch.eye(len(example.x), dtype=torch.float64)
    for j, i in example.edge_index.T.tolist():
        a[i, j] += 1
    s = torch.diag(a.sum(1) ** -0.5) @ a @ torch.diag(a.sum(1) ** -0.5)
    return torch.linalg.matrix_power(s, hops) @ example.x


@pytest.mark.parametrize("hops", [0, 1, 2, 7])
def test_equals_powers_of_the_dense_matrix(
    hops, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(10, directed=hops == 1)
    model = SGC(SPEC, hops=hops).double()
    expected = s_power_x(example, hops) @ model.linear.weight.T + model.linear.bias
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(model(make_batch([example])), expected, parameters)


def test_equals_pyg(make_batch, random_graph):
    example = random_graph(10)
    model = SGC(SPEC, hops=2).double()
    conv = SGConv(4, 3, K=2).double()
    conv.lin = model.linear
    torch.testing.assert_close(model(make_batch([example])), conv(example.x, example.edge_index))


def test_propagates_once_per_graph_features_and_hops(make_batch, random_graph, monkeypatch):
    calls = []
    propagate = module.gcn_propagate
    monkeypatch.setattr(
        module, "gcn_propagate", lambda *a, **k: calls.append(k["hops"]) or propagate(*a, **k)
    )
    example = random_graph(10)
    batch = make_batch([example])
    two, three = SGC(SPEC, hops=2).double(), SGC(SPEC, hops=3).double()
    first = two(batch)
    for targets in (torch.arange(3), torch.arange(3, 9)):
        out = two(batch.with_targets(targets))
        torch.testing.assert_close(out[targets], first[targets])
        assert out.isnan().any(dim=1).sum() == 10 - targets.numel()  # no one may read the others
    assert calls == [2]
    assert not torch.equal(two.linear(s_power_x(example, 3)), first)
    torch.testing.assert_close(three(batch), three.linear(s_power_x(example, 3)))
    assert calls == [2, 3]

    other_x = random_graph(10)._replace(edge_index=example.edge_index)
    torch.testing.assert_close(two(replace(batch, x=other_x.x)), two.linear(s_power_x(other_x, 2)))
    two(batch)  # the memo now holds what belongs to the first graph
    other_graph = random_graph(10)._replace(x=example.x)
    changed = replace(batch, graph=make_batch([other_graph]).graph)
    torch.testing.assert_close(two(changed), two.linear(s_power_x(other_graph, 2)))


@pytest.mark.parametrize("density", [0.03, 1.0], ids=["sparse", "dense"])
def test_targets_alone_have_logits_and_the_gradient_is_theirs(
    density, make_batch, random_graph, same_outputs_and_gradients
):
    x = torch.randn(40, 4, dtype=torch.float64) * (torch.rand(40, 4) < density)
    example = random_graph(40)._replace(x=x)
    few = torch.randint(40, (2, 12))  # so sparse a graph that S^K X has zeros
    example = example._replace(edge_index=torch.cat([few, few.flip(0)], 1))
    model = SGC(SPEC, hops=1).double()
    batch = make_batch([example])
    targets = torch.tensor([31, 2, 2, 17, 0])  # in any order, one of them twice
    some = model(batch.with_targets(targets))
    _, rows, _ = model._rows(batch.with_targets(targets))
    assert isinstance(rows, SparseFeatures) == (density < 1)
    named = torch.zeros(40, dtype=torch.bool)
    named[targets] = True
    assert torch.equal(some.isnan().all(1), ~named) and not some[named].isnan().any()
    expected = s_power_x(example, 1) @ model.linear.weight.T + model.linear.bias
    parameters = dict(model.named_parameters())
    same_outputs_and_gradients(some[targets], expected[targets], parameters)


def test_rows_of_targets_are_made_once_and_go_with_them(make_batch, random_graph, monkeypatch):
    made = []
    monkeypatch.setattr(module.SparseFeatures, "of", lambda x: made.append(len(x)))
    batch = make_batch([random_graph(10)])
    model = SGC(SPEC, hops=2).double()
    train, valid = torch.arange(3), torch.arange(3, 9)
    for _ in range(3):
        for targets in (train, valid):
            model(batch.with_targets(targets))
    assert made == [3, 6]
    kept = batch.memo["sgc/2"][-1]
    assert len(kept) == 2
    del train, targets
    assert len(kept) == 1
    # the rows of other features are not these rows
    other = replace(batch, x=-batch.x)
    twice = model(other.with_targets(valid)) + model(batch.with_targets(valid))
    torch.testing.assert_close(twice[valid], 2 * model.linear.bias.expand(6, 3))


def test_what_inference_left_can_be_trained_on(make_batch, random_graph):
    batch = make_batch([random_graph(10)])
    model = SGC(SPEC, hops=2).double()
    targets = torch.arange(10)
    with torch.inference_mode():
        model(batch)
        model(batch.with_targets(targets))
    (model(batch) + model(batch.with_targets(targets))).sum().backward()
    assert model.linear.weight.grad.any()


@pytest.mark.parametrize(
    "spec", [DataSpec("graph", 3, 4), DataSpec("node", 3, 2, (5, 3))], ids=["graph", "categories"]
)
def test_other_data_is_refused_with_a_way_out(spec):
    with pytest.raises(UserError, match="model=gcn"):
        SGC(spec, hops=2)
