"""DAGNN against powers of the dense matrix, its gates one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.models.dagnn import DAGNN

SPEC = DataSpec("node", 3, 4)


def dagnn(spec=SPEC, **changes):
    settings = {
        "hidden_dim": 6, "hops": 4, "norm": "none", "input_dropout": 0.0, "dropout": 0.0,
    }  # fmt: skip
    model = DAGNN(spec, **{**settings, **changes}).double()
    for name, parameter in model.named_parameters():
        if "norm" in name:  # ones and zeros would hide a term that is missing
            nn.init.normal_(parameter)
    return model


def dense_s(example):
    edge_index, weight = gcn_norm(example.edge_index, None, len(example.x), dtype=torch.float64)
    s = torch.zeros(len(example.x), len(example.x), dtype=torch.float64)
    return s.index_put((edge_index[1], edge_index[0]), weight, accumulate=True)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("hops", [0, 1, 7])
@pytest.mark.parametrize("directed", [False, True])
def test_it_equals_the_dense_formula(
    norm, hops, directed, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(10, directed=directed)
    model = dagnn(norm=norm, hops=hops)
    p = dict(model.named_parameters())
    h = example.x @ p["first.weight"].T + p["first.bias"]
    if norm == "batch":
        h = (h - h.mean(0)) / (h.var(0, unbiased=False) + 1e-5).sqrt()
        h = h * p["norm_act.norm.weight"] + p["norm_act.norm.bias"]
    z = h.clamp(min=0) @ p["second.weight"].T + p["second.bias"]
    s, expected = dense_s(example), 0
    for hop in range(hops + 1):
        h = torch.linalg.matrix_power(s, hop) @ z
        score = (p["gate.weight"] * h).sum(1, keepdim=True) + p["gate.bias"]
        expected = expected + h / (1 + torch.exp(-score))
    if norm == "batch":
        del p["first.bias"]  # subtracted with the mean
    same_outputs_and_gradients(model(make_batch([example])), expected, p)


def test_open_gates_give_the_sum_of_all_hops_and_closed_ones_nothing(make_batch, random_graph):
    example = random_graph(10)
    batch, s = make_batch([example]), dense_s(example)
    model = dagnn()
    z = model.second(model.first(example.x).relu())
    nn.init.zeros_(model.gate.weight)
    nn.init.constant_(model.gate.bias, 1000)
    hops = [torch.linalg.matrix_power(s, k) @ z for k in range(5)]
    torch.testing.assert_close(model(batch), sum(hops))
    nn.init.zeros_(model.gate.bias)
    torch.testing.assert_close(model(batch), sum(hops) / 2)
    nn.init.constant_(model.gate.bias, -1000)
    assert not model(batch).any()


def test_an_encoding_stands_beside_the_features(make_batch, random_graph):
    example, pe = random_graph(10), torch.randn(10, 2, dtype=torch.float64)
    beside = example._replace(x=torch.cat([example.x, pe], 1))
    batch = replace(make_batch([example]), pe=pe)
    with_pe, wide = dagnn(DataSpec("node", 3, 4, pe_dim=2)), dagnn(DataSpec("node", 3, 6))
    wide.load_state_dict(with_pe.state_dict())
    torch.testing.assert_close(with_pe(batch), wide(make_batch([beside])))


def test_one_node_and_one_class_are_enough(make_batch, random_graph):
    model = dagnn(DataSpec("node", 1, 4))
    example = random_graph(5)._replace(edge_index=torch.empty(2, 0, dtype=torch.int64))
    together = model(make_batch([example]))
    assert together.shape == (5, 1)
    alone = model(make_batch([example._replace(x=example.x[:1])]))
    torch.testing.assert_close(alone, together[:1])  # S = I, so that Σ σ Z has 5 equal terms
    z = model.second(model.first(example.x).relu())
    torch.testing.assert_close(together, 5 * model.gate(z).sigmoid() * z)


def test_graph_level_data_are_refused():
    with pytest.raises(UserError, match="dagnn works on node-level datasets, and csl is graph-lev"):
        compose(["model=dagnn", "data=csl"])


@pytest.mark.data
def test_it_learns_cora(data_dir: Path, shared_cache: Path):
    """Accuracy on the test nodes after 100 epochs: above what GCN reaches (81.5), in 1 s."""
    words = ["model=dagnn", "data=cora", "seed=1", f"data_dir={data_dir}"]
    task = build_task(compose(words))
    task.train()
    batch = task.dataset.store.whole().with_targets(task.dataset.split.train)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=0.01, weight_decay=0.005)
    for _ in range(100):
        optimizer.zero_grad()
        task.training_step(batch, 0).backward()
        optimizer.step()
    assert task.evaluate("test") > 0.82
