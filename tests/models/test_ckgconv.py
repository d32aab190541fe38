"""CKGConv against its formulas on dense matrices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.ckgconv import CKGConv
from gbench.models.needs import check_needs
from tests.models.conftest import ATOMS, BONDS, moved, walks

STEPS = 4
SETTINGS = {
    "hidden_dim": 8, "num_layers": 2, "num_blocks": 2, "affine": True, "readout": "sum",
    "head": "halves", "dropout": 0.0, "kernel_dropout": 0.0, "mlp_dropout": 0.0,
}  # fmt: skip
SPEC = DataSpec("graph", 3, len(ATOMS), ATOMS, BONDS, pair_dim=STEPS + 1)
ZINC = DataSpec("graph", 1, 1, (21,), (4,), pair_dim=22)
PEPTIDES = DataSpec("graph", 10, 9, (119, 5, 12, 12, 10, 6, 6, 2, 2), (5, 6, 2), pair_dim=25)
COUNTED = [
    # published 433,663 with 744 that are frozen: in each of 10 layers a bias of 64 and 4 constants,
    # and a bias of 64 in the stem, all without effect
    (ZINC, {"hidden_dim": 64, "num_layers": 10}, 433_663 - (10 * (64 + 4) + 64)),
    (
        PEPTIDES,
        {"hidden_dim": 96, "num_layers": 4, "affine": False, "readout": "mean", "head": "mlp"},
        421_468 - (4 * (96 + 4) + 96),
    ),
]


@pytest.mark.parametrize(("spec", "changes", "expected"), COUNTED, ids=["zinc", "peptides"])
def test_parameters(spec, changes, expected) -> None:
    model = CKGConv(spec, **{**SETTINGS, **changes})
    assert sum(p.numel() for p in model.parameters()) == expected


def batch_norm(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    out = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    return out if norm.weight is None else out * norm.weight + norm.bias


def dense(model: CKGConv, batch, example) -> Tensor:
    """The answer to one graph alone: every pair an entry of an n × n × D tensor."""
    n = example.x.size(0)
    values = batch.pairs.view(n, n, -1)
    nodes, stem = model.nodes, model.pairs
    own = torch.stack([values[i, i, 1:] for i in range(n)])
    tables = nodes.features.features.table.split(list(ATOMS))
    x = sum(table[example.x[:, k]] for k, table in enumerate(tables))
    x = x + batch_norm(own, nodes.raw_norm.norm) @ nodes.linear.weight.T
    h = batch_norm(x, nodes.norm.norm)
    v = batch_norm(values * n, stem.raw_norm)
    if stem.scale is not None:
        v = stem.scale * v + stem.shift
    p = v @ stem.linear.weight.T
    adjacency = torch.zeros(n, n, dtype=torch.float64)
    bond = stem.edges.bonds.table.split(list(BONDS))
    for (source, target), codes in zip(
        example.edge_index.T.tolist(), example.edge_attr, strict=True
    ):
        adjacency[target, source] = 1
        p[target, source] = p[target, source] + sum(t[c] for t, c in zip(bond, codes, strict=True))
    p = batch_norm(p, stem.norm.norm)
    for layer in model.layers:
        psi = p
        for first_norm, first, second_norm, second in layer.kernel.blocks:
            inner = first(F.gelu(batch_norm(psi, first_norm.norm)))
            psi = psi + second(F.gelu(batch_norm(inner, second_norm.norm)))
        psi = layer.kernel.linear(batch_norm(psi, layer.kernel.norm.norm))
        mixed = torch.einsum("ijd,jd->id", psi, h) / n
        own, of_degree = layer.scaler.weight[0, :, 0], layer.scaler.weight[0, :, 1]
        mixed = mixed * own + adjacency.sum(1).sqrt()[:, None] * mixed * of_degree
        h = batch_norm(h + layer.output(mixed), layer.first_norm.norm)
        h = batch_norm(h + layer.second(F.gelu(layer.first(h))), layer.second_norm.norm)
    pooled = h.sum(0) if model.readout.reduce == "sum" else h.mean(0)
    return model.head(pooled)


@pytest.mark.parametrize("changes", [{}, {"affine": False, "head": "mlp", "readout": "mean"}])
def test_is_the_formula_on_dense_matrices(changes, make_batch, random_graph) -> None:
    examples = [random_graph(n, None, directed=n == 5) for n in (6, 5, 1, 7)]
    batch = walks(make_batch(examples), STEPS)
    model = moved(CKGConv(SPEC, **{**SETTINGS, **changes}), batch).eval()
    wanted = [dense(model, walks(make_batch([e]), STEPS), e) for e in examples]
    torch.testing.assert_close(model(batch), torch.stack(wanted), rtol=1e-9, atol=1e-9)


def test_training_drops_kernels_and_gradients_reach_every_parameter(
    make_batch, random_graph
) -> None:
    batch = walks(make_batch([random_graph(n, None) for n in (6, 5, 7)]), STEPS)
    model = CKGConv(SPEC, **{**SETTINGS, "kernel_dropout": 0.5, "mlp_dropout": 0.1}).double()
    torch.manual_seed(1)
    one, other = model(batch), model(batch)
    assert not torch.equal(one, other)
    one.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_numbers_of_edges_and_an_encoding_of_nodes_are_read(make_batch, random_graph) -> None:
    batch = walks(make_batch([random_graph(n) for n in (6, 5)]), STEPS)
    edges = batch.graph.num_entries
    batch = replace(
        batch,
        pe=torch.randn(11, 2, dtype=torch.float64),
        edge_attr=torch.randn(edges, 3, dtype=torch.float64),
    )
    spec = DataSpec("graph", 3, 4, pe_dim=2, edge_dim=3, pair_dim=STEPS + 1)
    model = moved(CKGConv(spec, **SETTINGS), batch).eval()
    answer = model(batch)
    for other in (replace(batch, pe=2 * batch.pe), replace(batch, edge_attr=-batch.edge_attr)):
        assert not torch.allclose(model(other), answer)


def test_needs_an_encoding_of_pairs() -> None:
    with pytest.raises(UserError, match=r"model=ckgconv cannot .* pairs .* encoding=rrwp"):
        check_needs(CKGConv, "ckgconv", "zinc", replace(SPEC, pair_dim=0))
