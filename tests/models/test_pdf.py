"""PDF and its bases against their formulas on dense matrices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gbench.data.encodings.degree_powers import bases
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.needs import check_needs
from gbench.models.pdf import PDF
from tests.models.conftest import ATOMS, BONDS, moved

EPSILONS, POWERS = [-0.2, -0.35], [[1, 3], [4, 4]]
SETTINGS = {
    "hidden_dim": 8, "num_layers": 2, "norm": "batch", "filter_norm": "batch", "softmax": True,
    "act": "gelu", "readout": "mean", "head": "hidden", "dropout": 0.0,
}  # fmt: skip
MOLECULES = DataSpec("graph", 3, len(ATOMS), ATOMS, BONDS, pair_dim=5)
FEATURES = DataSpec("graph", 3, 4, pair_dim=5)
ZINC = DataSpec("graph", 1, 1, (28,), (4,), pair_dim=6)


def test_parameters() -> None:
    changes = {"filter_norm": "none", "softmax": False, "head": "linear"}
    model = PDF(ZINC, **{**SETTINGS, **changes, "hidden_dim": 160, "num_layers": 6})
    assert sum(p.numel() for p in model.parameters()) == 499_681


def dense_bases(n: int, edge_index: Tensor) -> Tensor:
    """I, then the powers of each matrix, by an eigendecomposition. Shapes: → (n, n, 5) float64."""
    adjacency = torch.zeros(n, n, dtype=torch.float64)
    adjacency[edge_index[1], edge_index[0]] = 1
    adjacency.fill_diagonal_(1)
    found = [torch.eye(n, dtype=torch.float64)]
    for epsilon, (first, last) in zip(EPSILONS, POWERS, strict=True):
        degree = torch.diag(adjacency.sum(1) ** epsilon)
        values, vectors = torch.linalg.eigh(degree @ adjacency @ degree)
        powers = (values**power for power in range(first, last + 1))
        found += [vectors @ torch.diag(power) @ vectors.T for power in powers]
    return torch.stack(found, 2)


def with_bases(batch, **changes):
    options = {"epsilons": EPSILONS, "powers": POWERS, "basis_norm": False, **changes}
    found = bases(batch.graph, batch.node_ptr, **options)
    return replace(batch, pairs=found.double(), memo={})


def test_bases_are_powers_by_eigenvalues(make_batch, random_graph) -> None:
    examples = [random_graph(n) for n in (6, 1, 5)]
    found = with_bases(make_batch(examples)).pairs
    wanted = [dense_bases(len(e.x), e.edge_index).flatten(0, 1) for e in examples]
    torch.testing.assert_close(found, torch.cat(wanted), rtol=1e-6, atol=1e-6)
    again = with_bases(make_batch(examples), basis_norm=True).pairs
    for own, normal in zip(wanted, again.split([36, 1, 25]), strict=True):
        apart = (own - own.mean(0)) / (own.std(0, unbiased=False) + 1e-5)
        torch.testing.assert_close(normal, apart, rtol=1e-4, atol=1e-4)


def test_loops_and_edges_that_are_there_twice_count_once(make_batch, random_graph) -> None:
    example = random_graph(6)
    loops = torch.arange(6).expand(2, 6)
    twice = torch.cat([example.edge_index, example.edge_index, loops], 1)
    more = with_bases(make_batch([example._replace(edge_index=twice)]))
    assert torch.equal(more.pairs, with_bases(make_batch([example])).pairs)


@pytest.mark.parametrize("powers", [[], [1], [2, 1], [0, 3], [[1, 2]], [[1, 2], [1, 2.5]], ["a"]])
def test_powers_that_fit_no_epsilons_are_refused(powers, make_batch, random_graph) -> None:
    with pytest.raises(UserError, match=r"encoding\.powers=.* first and the last power"):
        with_bases(make_batch([random_graph(3)]), powers=powers)


def batch_norm(x: Tensor, norm: nn.BatchNorm1d | None) -> Tensor:
    if norm is None:
        return x
    return (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias


def dense(model: PDF, values: Tensor, example, act) -> Tensor:
    """The answer to one graph alone: a message for each pair."""
    n = len(example.x)
    f = values
    for step in model.filter:
        f = act(batch_norm(step.linear(f), step.norm_act.norm))
    f = f.softmax(1) if model.softmax else f
    bond = torch.zeros(n, n, 1, dtype=torch.float64)
    if example.edge_attr is None:
        h = model.features.features(example.x)
    else:
        tables = model.features.features.table.split(list(ATOMS))
        h = sum(table[example.x[:, k]] for k, table in enumerate(tables))
        kinds = model.bonds.table.split(list(BONDS))
        bond = sum(table[0] for table in kinds).expand(n, n, -1).clone()
        for (source, target), codes in zip(
            example.edge_index.T.tolist(), example.edge_attr, strict=True
        ):
            bond[target, source] = sum(t[c] for t, c in zip(kinds, codes, strict=True))
    for layer in model.layers:
        h = h + (f * act(layer.linear(h[None] + bond))).sum(1)
        told = h
        for step in (layer.first, layer.second):
            told = act(batch_norm(step.linear(told), step.norm_act.norm))
        h = h + told
    first, last = model.head.layers
    return last(act(first(h.mean(0))))


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        (MOLECULES, {}),
        (FEATURES, {}),
        (MOLECULES, {"filter_norm": "none", "softmax": False}),
        (FEATURES, {"norm": "none", "act": "relu"}),
    ],
    ids=["bonds", "features", "zinc", "enzymes"],
)
def test_is_the_formula_on_dense_matrices(spec, changes, make_batch, random_graph) -> None:
    width = None if spec is MOLECULES else 4
    examples = [random_graph(n, width) for n in (6, 5, 1, 7)]
    batch = with_bases(make_batch(examples))
    model = moved(PDF(spec, **{**SETTINGS, **changes}), batch).eval()
    act = F.relu if changes.get("act") == "relu" else F.gelu
    sizes = [len(e.x) for e in examples]
    values = batch.pairs.split([n * n for n in sizes])
    wanted = [
        dense(model, own.view(n, n, -1), e, act)
        for n, own, e in zip(sizes, values, examples, strict=True)
    ]
    torch.testing.assert_close(model(batch), torch.stack(wanted), rtol=1e-9, atol=1e-9)


def test_needs_an_encoding_of_pairs() -> None:
    with pytest.raises(UserError, match=r"model=pdf cannot .* pairs .* encoding=rrwp"):
        check_needs(PDF, "pdf", "zinc", replace(FEATURES, pair_dim=0))
