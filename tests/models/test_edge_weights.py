"""Models on edges with weights and numbers, against PyG's layers with the same parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv, GINEConv, SGConv

from gbench.build import build_model
from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.batch import Batch
from gbench.data.spec import DataCard, DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR
from gbench.models.edge_weights import check_weights, with_weights_as_numbers
from gbench.models.gat import GATLayer
from gbench.models.gin import GINLayer
from tests.models.conftest import BONDS, packaged

WEIGHTS = DataSpec("node", 3, 4, has_edge_weight=True)
BOTH = DataSpec("node", 3, 4, has_edge_weight=True, edge_dim=2)
NUMBERS = DataSpec("node", 3, 4, edge_dim=2)
N = 15


def batch_of(spec: DataSpec) -> Batch:
    """A directed graph without loops, the last node alone, in float64."""
    edges = (torch.rand(N - 1, N - 1) < 0.3).fill_diagonal_(False).nonzero().t()
    graph, _ = CSR.from_edge_index(edges, N)
    x = torch.randn(N, 4, dtype=torch.float64)
    y, ptr = torch.zeros(N, dtype=torch.int64), torch.tensor([0, N], dtype=torch.int32)
    batch = Batch(graph, x, y, ptr, is_kept=True)
    if spec.has_edge_weight:
        batch.edge_weight = torch.rand(graph.num_entries, dtype=torch.float64)
    if spec.edge_dim:
        batch.edge_attr = torch.randn(graph.num_entries, spec.edge_dim, dtype=torch.float64)
    return batch


def test_gcn_is_pygs_with_weights() -> None:
    batch = batch_of(WEIGHTS)
    model = packaged(WEIGHTS, "model=gcn").double().eval()
    x = batch.x
    for layer in model.layers:
        conv = GCNConv(*reversed(layer.linear.weight.shape), bias=False).double()
        conv.lin.weight = nn.Parameter(layer.linear.weight)
        x = conv(x, batch.edge_index, batch.edge_weight)
        x = x.relu() if layer is model.layers[0] else x
    torch.testing.assert_close(model(batch), x)
    torch.testing.assert_close(model(batch), x)  # from what the batch keeps


def test_sgc_is_pygs_with_weights_and_what_it_keeps_is_of_these() -> None:
    batch = batch_of(WEIGHTS)
    model = packaged(WEIGHTS, "model=sgc").double().eval()
    conv = SGConv(4, 3, K=2).double()
    conv.lin.load_state_dict(model.linear.state_dict())
    torch.testing.assert_close(model(batch), conv(batch.x, batch.edge_index, batch.edge_weight))
    batch.edge_weight = torch.rand_like(batch.edge_weight)  # the memo is the same
    torch.testing.assert_close(model(batch), conv(batch.x, batch.edge_index, batch.edge_weight))
    learned = batch.edge_weight.clone().requires_grad_()
    (grad,) = torch.autograd.grad(model(replace(batch, edge_weight=learned)).sum(), learned)
    assert bool((grad != 0).any())


def test_dagnn_gates_the_hops_of_the_weighted_adjacency() -> None:
    batch = batch_of(WEIGHTS)
    model = packaged(WEIGHTS, "model=dagnn", "model.hops=3").double().eval()
    A = torch.eye(N, dtype=torch.float64)
    A[batch.graph.row, batch.graph.col.long()] += batch.edge_weight
    root = A.sum(1).rsqrt().diag()
    hidden = model.second(model.first(batch.x).relu())
    total = torch.zeros_like(hidden)
    for _ in range(4):
        total = total + model.gate(hidden).sigmoid() * hidden
        hidden = root @ A @ root @ hidden
    torch.testing.assert_close(model(batch), total)


@pytest.mark.parametrize("spec", [WEIGHTS, NUMBERS, BOTH], ids=["weights", "numbers", "both"])
@pytest.mark.parametrize("averages", [True, False])
def test_gat_is_pygs_with_edge_dim(spec: DataSpec, averages: bool) -> None:
    batch, width = batch_of(spec), spec.edge_dim + spec.has_edge_weight
    ours = GATLayer(
        4, 5, num_heads=3, averages=averages, attention_dropout=0.0, edge_dim=width
    ).double()
    theirs = GATConv(4, 5, 3, concat=not averages, edge_dim=width).double()
    theirs.lin.weight = ours.linear.weight
    theirs.lin_edge.weight = ours.edge_linear.weight
    for name, parameter in (
        ("att_dst", ours.own),
        ("att_src", ours.other),
        ("att_edge", ours.edge),
    ):
        setattr(theirs, name, nn.Parameter(parameter[None]))
    numbers = with_weights_as_numbers(batch).edge_attr
    torch.testing.assert_close(ours(batch, batch.x), theirs(batch.x, batch.edge_index, numbers))


def test_gat_leaves_out_loops_with_their_numbers() -> None:
    batch = batch_of(NUMBERS)
    loops = torch.tensor([[2, 5], [2, 5]])
    graph, order = CSR.from_edge_index(torch.cat([batch.edge_index, loops], 1), N)
    numbers = torch.cat([batch.edge_attr, torch.randn(2, 2).double()])[order]
    looped = replace(batch, graph=graph, edge_attr=numbers, memo={})
    model = packaged(NUMBERS, "model=gat").double().eval()
    torch.testing.assert_close(model(looped), model(batch))


@pytest.mark.parametrize("spec", [NUMBERS, BOTH], ids=["numbers", "both"])
def test_gine_is_pygs_with_its_linear_encoder(spec: DataSpec) -> None:
    batch = with_weights_as_numbers(batch_of(spec))
    width = batch.edge_attr.size(1)
    layer = GINLayer(4, 6, mlp_ratio=2, learn_eps=True, spec=replace(spec, edge_dim=width)).double()
    nn.init.constant_(layer.eps, 0.3)
    conv = GINEConv(nn.Linear(4, 6), eps=0.3, edge_dim=width).double()
    conv.nn = layer.mlp
    conv.lin.load_state_dict(layer.edges.linear.state_dict())
    found, expected = layer(batch, batch.x), conv(batch.x, batch.edge_index, batch.edge_attr)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("jk", ["last", "layerwise"])
def test_gin_reads_weights_beside_numbers_as_one_more(jk: str) -> None:
    batch = batch_of(BOTH)
    torch.manual_seed(3)
    model = packaged(BOTH, "model=gin", f"model.jk={jk}").double().eval()
    torch.manual_seed(3)
    three = replace(NUMBERS, edge_dim=3)
    other = packaged(three, "model=gin", f"model.jk={jk}").double().eval()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(batch), other(with_weights_as_numbers(batch)))


def test_gin_sums_neighbours_by_their_weights() -> None:
    batch = batch_of(WEIGHTS)
    layer = GINLayer(4, 6, mlp_ratio=1, learn_eps=True, spec=WEIGHTS).double()
    A = torch.zeros(N, N, dtype=torch.float64)
    A[batch.graph.row, batch.graph.col.long()] = batch.edge_weight
    torch.testing.assert_close(layer(batch, batch.x), layer.mlp(batch.x + A @ batch.x))


@pytest.mark.parametrize("model", ["gcn", "sgc", "dagnn"])
def test_weights_of_one_change_nothing(model: str) -> None:
    batch = batch_of(WEIGHTS)
    one = replace(batch, edge_weight=torch.ones_like(batch.edge_weight), memo={})
    built = packaged(WEIGHTS, f"model={model}").double().eval()
    torch.testing.assert_close(built(one), built(replace(batch, edge_weight=None, memo={})))


def test_a_negative_weight_is_refused_where_a_root_is_taken() -> None:
    card = DataCard.from_config(compose(["data=csl", "experiment=null"])["data"])
    dataset = tiny.graphs(card)
    weight = torch.ones(dataset.store.num_edges)
    edge = int(dataset.store.ranges[1, 3]) + 2  # of graph 3
    weight[edge] = -0.5
    dataset = replace(dataset, store=replace(dataset.store, edge_weight=weight))
    spec = replace(dataset.spec, has_edge_weight=True)
    target = int(dataset.store.batch(torch.tensor([3])).graph.row[2])
    source = int(dataset.store.col[edge])
    said = rf"the weight of edge {source} -> {target} of graph 3 is -0\.5, and model gcn takes sq"
    with pytest.raises(UserError, match=said):
        check_weights(packaged(spec, "model=gcn"), "gcn", dataset)
    check_weights(packaged(spec, "model=gin"), "gin", dataset)


def test_weights_beside_bonds_are_refused_by_ogbs_layer() -> None:
    spec = DataSpec("graph", 3, 4, edge_categories=BONDS, has_edge_weight=True)
    with pytest.raises(UserError, match="take model=gin, which reads both"):
        build_model(compose(["model=gcn", "data=csl", "experiment=null"])["model"], spec)
