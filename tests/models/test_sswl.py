"""SSWL and its kin against their formulas on dense tensors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.pair_patterns import patterns_of
from gbench.models.sswl import SCHEMES, SSWL
from tests.models.conftest import ATOMS, BONDS, moved, walks

SPEC = DataSpec("graph", 3, len(ATOMS), ATOMS, BONDS, pair_dim=1)
# Thirty kinds of atoms and five of bonds, as the authors' script counts; one of theirs is an ε of
# the pooling that has no effect.
ZINC = DataSpec("graph", 1, 1, (30,), (5,), pair_dim=1)
COUNTED = [("sswl", 273_998 - 1), ("sswl-plus", 386_900 - 1)]


@pytest.mark.parametrize(("scheme", "expected"), COUNTED)
def test_parameters(scheme, expected) -> None:
    model = SSWL(ZINC, scheme=scheme, hidden_dim=96, num_layers=6, pooling="vs")
    assert sum(p.numel() for p in model.parameters()) == expected


def with_distances(batch):
    """The batch with the steps of a shortest walk between each two nodes; 9 where there is none."""
    powers = walks(batch, 9).pairs > 0
    found = torch.where(powers.any(1), powers.double().argmax(1), 9)
    return replace(walks(batch, 0), pairs=found[:, None].double())


def norm_of(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    return (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias


def mlp_of(mlp, x: Tensor) -> Tensor:
    return mlp.second(norm_of(mlp.first(x), mlp.norm_act.norm).relu())


def dense(model: SSWL, batch, example) -> Tensor:
    """The answer to one graph alone, whose states are an n × n × D tensor."""
    n = example.x.size(0)
    tables = model.nodes.features.table.split(list(ATOMS))
    x = sum(table[example.x[:, k]] for k, table in enumerate(tables))
    h = x[None] + model.distances[batch.pairs.view(n, n).clamp(max=5).long()]
    edges = list(zip(example.edge_index.T.tolist(), example.edge_attr, strict=True))
    for layer in model.layers:
        total = 0
        for aggregation in layer.aggregations:
            told = torch.zeros_like(h)
            if aggregation.kind == "vv":
                told = h[range(n), range(n)][None].expand(n, n, -1)
            else:
                bonds = aggregation.bonds.table.split(list(BONDS))
                for (w, target), codes in edges:
                    bond = sum(t[c] for t, c in zip(bonds, codes, strict=True))
                    if aggregation.kind == "uL":
                        told[:, target] = told[:, target] + (h[:, w] + bond).relu()
                    else:
                        told[target] = told[target] + (h[w] + bond).relu()
            total = total + mlp_of(aggregation.mlp, (1 + aggregation.eps) * h + told)
        h = norm_of(total, layer.norm_act.norm).relu()
    s = h.sum(0 if model.pools_subgraphs else 1)
    told = norm_of(mlp_of(model.pool, s), model.pool_norm.norm).relu()
    return model.head(told.mean(0))


@pytest.mark.parametrize("pooling", ["vs", "sv"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_is_the_formula_on_dense_tensors(scheme, pooling, make_batch, random_graph) -> None:
    examples = [random_graph(n, None, directed=n == 5) for n in (6, 5, 1, 4)]
    batch = with_distances(make_batch(examples))
    model = SSWL(SPEC, scheme=scheme, hidden_dim=8, num_layers=2, pooling=pooling)
    moved(model, batch).eval()
    wanted = [dense(model, with_distances(make_batch([e])), e) for e in examples]
    torch.testing.assert_close(model(batch), torch.stack(wanted), rtol=1e-9, atol=1e-9)


def test_norms_of_the_pooling_count_pairs(make_batch, random_graph) -> None:
    """In training a graph weighs as much in the last norm as it has pairs."""
    batch = with_distances(make_batch([random_graph(n, None) for n in (6, 2)]))
    model = SSWL(SPEC, scheme="sswl", hidden_dim=8, num_layers=1, pooling="vs").double()
    seen = []
    model.pool_norm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model(batch)
    assert seen[0].shape == (40, 8)
    torch.testing.assert_close(model.pool_norm.norm.running_mean, 0.1 * seen[0].mean(0))


def test_patterns_have_their_transposes(make_batch, random_graph) -> None:
    batch = with_distances(make_batch([random_graph(n, None, directed=True) for n in (6, 1, 4)]))
    patterns = patterns_of(batch)
    graphs = [patterns.of_sender, patterns.to_sender, patterns.own]
    for graph in [*graphs, patterns.along_sender.graph, patterns.along_receiver.graph]:
        wanted, order = type(graph).from_edge_index(
            graph.edge_index, graph.num_rows, graph.num_cols
        )
        assert torch.equal(order, torch.arange(graph.num_entries))
        for name in ("rowptr", "col", "rowptr_t", "col_t", "perm_t"):
            assert torch.equal(getattr(graph, name), getattr(wanted, name)), name


def test_needs_distances() -> None:
    settings = {"scheme": "sswl", "hidden_dim": 8, "num_layers": 1, "pooling": "vs"}
    with pytest.raises(UserError, match="there are 0: type encoding=spd"):
        SSWL(replace(SPEC, pair_dim=0), **settings)
    with pytest.raises(UserError, match="there are 21: type encoding=spd"):
        SSWL(replace(SPEC, pair_dim=21), **settings)
