"""GPS's parts beside torch's and PyG's with the same weights, and dense formulas."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GINEConv
from torch_geometric.utils import to_dense_batch

from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.encodings.eigenpairs import eigenpairs
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR
from gbench.models.edge_convolutions import EdgeGCN, Edges, GatedGCN
from gbench.models.encodings_beside import EigenSet
from gbench.models.gps import Attention, GPSLayer
from tests.models.conftest import packaged
from tests.models.test_parameter_counts import build

DIM, HEADS = 8, 2


@pytest.fixture
def molecules(make_batch, random_graph):
    return make_batch([random_graph(n, None, directed=n == 7) for n in (9, 7, 1, 4)])


def test_attention_is_torchs_on_a_padded_batch(molecules, same_outputs_and_gradients) -> None:
    ours = Attention(DIM, HEADS, dropout=0.5).double().eval()
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).double().eval()
    theirs.in_proj_weight, theirs.in_proj_bias = ours.inner.weight, ours.inner.bias
    theirs.out_proj.weight, theirs.out_proj.bias = ours.outer.weight, ours.outer.bias
    nn.init.normal_(ours.inner.bias)
    h = torch.randn(molecules.num_nodes, DIM).double().requires_grad_()
    dense, mask = to_dense_batch(h, molecules.batch)
    padded, _ = theirs(dense, dense, dense, key_padding_mask=~mask, need_weights=False)
    keys = ours.inner.bias  # that of the keys has no influence: it moves all scores of a row alike
    known = {name: p for name, p in ours.named_parameters() if p is not keys} | {"h": h}
    same_outputs_and_gradients(ours(molecules, h), padded[mask], known)


def test_padded_and_ragged_attention_agree_in_float32(molecules) -> None:
    ours = Attention(DIM, HEADS, dropout=0.0).eval()
    h = torch.randn(molecules.num_nodes, DIM)
    parts = [
        ours(replace(molecules, node_ptr=torch.tensor([0, e - b]).int()), h[b:e])
        for b, e in ((0, 9), (9, 16), (16, 17), (17, 21))
    ]
    torch.testing.assert_close(ours(molecules, h), torch.cat(parts), rtol=1e-5, atol=1e-5)


def test_without_attention_a_layer_is_a_gine_block(molecules) -> None:
    layer = GPSLayer("gine", DIM, HEADS, act="relu", dropout=0.0, attention_dropout=0.0).double()
    nn.init.zeros_(layer.attention.outer.weight)
    nn.init.zeros_(layer.global_norm.norm.weight)  # nor h itself
    table = torch.randn(len(molecules.edge_combos), DIM).double()
    h = torch.randn(molecules.num_nodes, DIM).double()
    assert layer.conv is not None
    conv = GINEConv(layer.conv.mlp)
    attributes = table[molecules.edge_code.long()]

    def batch_norm(x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()

    local = batch_norm(h + conv(h, molecules.edge_index, attributes))
    expected = batch_norm(local + layer.second(layer.first(local).relu()))
    ours, edges = layer(molecules, h, Edges(table, molecules.edge_code))
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
    assert edges.rows is table  # which GINE leaves as they are


@pytest.mark.parametrize("residual", [True, False])
def test_gated_gcn_is_the_formula(residual, molecules) -> None:
    layer = GatedGCN(DIM, "gelu", residual=residual, dropout=0.0).double().eval()
    for norm in (layer.node_norm, layer.edge_norm):
        nn.init.normal_(norm.norm_act.norm.running_mean)
    h = torch.randn(molecules.num_nodes, DIM).double()
    e = torch.randn(molecules.graph.num_entries, DIM).double()
    new_h, new_e = layer(molecules, h, Edges(e))
    source, target = molecules.edge_index
    state = layer.receiver(h)[target] + layer.sender(h)[source] + layer.edge(e)
    gates, total = (torch.full((len(h), DIM), 1e-6).double(), torch.zeros(len(h), DIM).double())
    for place, (j, i) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        gates[i] += state[place].sigmoid()
        total[i] += state[place].sigmoid() * layer.value(h)[j]
    y = layer.own(h) + total / gates
    y, s = (
        nn.functional.gelu(norm.norm_act.norm(value))
        for norm, value in ((layer.node_norm, y), (layer.edge_norm, state))
    )
    torch.testing.assert_close(new_h, h + y if residual else y)
    torch.testing.assert_close(new_e.rows, e + s if residual else s)


def test_gcn_with_edges_has_no_degrees_and_not_the_node_itself(molecules) -> None:
    conv = EdgeGCN(DIM).double()
    h, table = torch.randn(21, DIM).double(), torch.randn(len(molecules.edge_combos), DIM).double()
    source, target = molecules.edge_index
    e = table[molecules.edge_code.long()]
    message = ((h @ conv.linear.weight.t())[source] + e).relu()
    expected = torch.zeros_like(h).index_add(0, target, message) + conv.bias
    torch.testing.assert_close(conv(molecules, h, Edges(table, molecules.edge_code)), expected)
    torch.testing.assert_close(conv(molecules, h, Edges(e)), expected)


def test_eigenpairs_are_the_laplacians() -> None:
    """Of a triangle with a tail, one node alone and an edge: L v = λ v, and nothing beyond."""
    edges = torch.tensor([[0, 1], [1, 2], [2, 0], [2, 3], [5, 6]]).t()
    graph, _ = CSR.from_edge_index(torch.cat([edges, edges.flip(0)], 1), 7)
    found = eigenpairs(graph, torch.tensor([0, 4, 7]).int(), dim=5).double()
    adjacency = torch.zeros(7, 7).double()
    adjacency[graph.row, graph.col.long()] = 1
    laplacian = adjacency.sum(1).diag() - adjacency
    for begin, end, count in ((0, 4, 4), (4, 7, 2)):
        v, marked = found[begin:end, :5], found[begin, 5:]
        assert torch.equal(found[begin:end, 5:], marked.expand(end - begin, 5))
        assert (marked[:count] > 0).all() and not found[begin:end, :5][:, count:].any()
        assert not marked[count:].any()
        value = marked[:count] - 1
        assert (value.diff() >= 0).all()
        block = laplacian[begin:end, begin:end]
        torch.testing.assert_close(block @ v[:, :count], v[:, :count] * value, atol=1e-5, rtol=0)
        eye = torch.eye(count).double()
        torch.testing.assert_close(v[:, :count].t() @ v[:, :count], eye, atol=1e-5, rtol=0)


def test_a_set_of_eigenpairs_reads_sizes_of_values_and_leaves_out_what_is_missing() -> None:
    part = EigenSet(4).double()
    v, value = torch.randn(6, 3).double(), torch.rand(3).double()
    pe = torch.cat([v, (value + 1).expand(6, 3)], 1)
    pe[:, [2, 5]] = 0  # the third is missing
    expected = sum(
        part.second(part.first(torch.stack([v[:, k], value[k].expand(6)], 1)).relu()).relu()
        for k in range(2)
    )
    torch.testing.assert_close(part(pe), expected)
    signs = torch.tensor([1, 1, 1, -1, 1, -1]).double()
    torch.testing.assert_close(part(pe * signs), expected)


def test_what_leaves_no_columns_or_does_not_divide_is_refused() -> None:
    spec = DataSpec("graph", 2, 4, pe_dim=8, encodings=(("rwse", 4), ("lappe", 4)))
    words = ("model=gps", "data=csl", "experiment=null")
    with pytest.raises(UserError, match=r"model\.pe_dim=32 for each of 2 encodings"):
        build(compose([*words, "model.pe_dim=32"]), spec)
    with pytest.raises(UserError, match=r"hidden_dim=64: model\.num_heads=5 do not divide"):
        build(compose([*words, "model.num_heads=5"]), spec)


@pytest.mark.parametrize("conv", ["gcn", "gine", "gated-gcn"])
@pytest.mark.parametrize("name", ["gps", "gnn-plus"])
def test_every_convolution_answers_with_and_without_edge_features(
    name, conv, make_batch, random_graph
) -> None:
    if (name, conv) == ("gps", "gcn"):
        return  # which has none
    options = ["model.act=gelu", f"model.conv={conv}"]
    options += ["model.ffn=true", "model.head=mlp"] if name == "gnn-plus" else []
    for features in (None, 5):
        sizes = {"node_categories": tiny.ATOMS, "edge_categories": tiny.BONDS}
        spec = DataSpec("graph", 3, features or 3, **(sizes if features is None else {}))
        model = packaged(spec, f"model={name}", *options).double()
        out = model(make_batch([random_graph(n, features) for n in (5, 4)]))
        assert out.shape == (2, 3)
        out.sum().backward()
