"""GRIT against its formulas on dense matrices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.grit import GRIT
from gbench.models.needs import check_needs
from tests.models.conftest import ATOMS, BONDS, moved, walks

STEPS = 4
SETTINGS = {
    "hidden_dim": 8, "num_layers": 2, "num_heads": 2, "readout": "sum", "head": "halves",
    "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
SPEC = DataSpec("graph", 3, len(ATOMS), ATOMS, BONDS, pair_dim=STEPS + 1)
ZINC = DataSpec("graph", 1, 1, (21,), (4,), pair_dim=21)
# with OGB's atoms of before 2022, whose chirality has a kind less
PEPTIDES = DataSpec("graph", 10, 9, (119, 4, 12, 12, 10, 6, 6, 2, 2), (5, 6, 2), pair_dim=17)
COUNTED = [
    # published 473,473 and 443,338; of these the last layer's linear and norm of pairs have no
    # effect
    (ZINC, {"hidden_dim": 64, "num_layers": 10, "num_heads": 8}, 473_473, 64 * 67),
    (
        PEPTIDES,
        {"hidden_dim": 96, "num_layers": 4, "num_heads": 4, "readout": "mean", "head": "linear"},
        443_338,
        96 * 99,
    ),
]


@pytest.mark.parametrize(("spec", "changes", "published", "idle"), COUNTED, ids=["zinc", "pep"])
def test_parameters(spec, changes, published, idle) -> None:
    model = GRIT(spec, **{**SETTINGS, **changes})
    assert sum(p.numel() for p in model.parameters()) == published - idle


def batch_norm(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    return (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias


def dense(model: GRIT, batch, example) -> Tensor:
    """The answer to one graph alone: every pair an entry of an n × n × D tensor."""
    n = example.x.size(0)
    values = batch.pairs.view(n, n, -1)
    tables = model.features.features.table.split(list(ATOMS))
    h = sum(table[example.x[:, k]] for k, table in enumerate(tables))
    h = h + torch.stack([values[i, i] for i in range(n)]) @ model.own.weight.T
    e = values @ model.pairs.weight.T
    adjacency = torch.zeros(n, n, dtype=torch.float64)
    bonds = model.edges.bonds.table.split(list(BONDS))
    for (source, target), codes in zip(
        example.edge_index.T.tolist(), example.edge_attr, strict=True
    ):
        adjacency[target, source] = 1
        e[target, source] = e[target, source] + sum(t[c] for t, c in zip(bonds, codes, strict=True))
    for layer in model.layers:
        attention = layer.attention
        gate, shift = attention.edge(e).chunk(2, -1)
        t = (attention.query(h)[:, None] + attention.key(h)[None]) * gate
        state = (t.relu().sqrt() - (-t).relu().sqrt() + shift).relu()
        mixed = []
        for head, (own, value) in enumerate(
            zip(state.split(4, -1), attention.value(h).split(4, -1), strict=True)
        ):
            score = (own @ attention.score[:, head]).clamp(-5, 5)
            weight = score.exp() / score.exp().sum(1, keepdim=True)
            enhanced = torch.einsum("ij,ijd->id", weight, own) @ attention.enhance[:, head]
            mixed.append(weight @ value + enhanced)
        mixed = torch.cat(mixed, 1)
        own, of_degree = layer.scaler.weight[0, :, 0], layer.scaler.weight[0, :, 1]
        mixed = mixed * own + (1 + adjacency.sum(1)).log()[:, None] * mixed * of_degree
        h = batch_norm(h + layer.output(mixed), layer.first_norm.norm)
        if layer.edge_output is not None:
            e = batch_norm(e + layer.edge_output(state), layer.edge_norm.norm)
        h = batch_norm(h + layer.second(layer.first(h).relu()), layer.second_norm.norm)
    return model.head(h.sum(0))


def test_is_the_formula_on_dense_matrices(make_batch, random_graph) -> None:
    examples = [random_graph(n, None, directed=n == 5) for n in (6, 5, 1, 7)]
    batch = walks(make_batch(examples), STEPS)
    model = moved(GRIT(SPEC, **SETTINGS), batch).eval()
    wanted = [dense(model, walks(make_batch([e]), STEPS), e) for e in examples]
    torch.testing.assert_close(model(batch), torch.stack(wanted), rtol=1e-9, atol=1e-9)


def test_gradients_reach_every_parameter(make_batch, random_graph) -> None:
    batch = walks(make_batch([random_graph(n, None) for n in (6, 5, 7)]), STEPS)
    model = GRIT(SPEC, **{**SETTINGS, "attention_dropout": 0.5}).double()
    assert not torch.equal(model(batch), model(batch))
    model(batch).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_what_it_cannot_do_is_told() -> None:
    with pytest.raises(UserError, match=r"model=grit cannot .* pairs .* encoding=rrwp"):
        check_needs(GRIT, "grit", "zinc", replace(SPEC, pair_dim=0))
    with pytest.raises(UserError, match="attention has 3 heads"):
        GRIT(SPEC, **{**SETTINGS, "num_heads": 3})
