"""GIN against its formulas on dense matrices and PyG's layers, and what it can tell apart."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch_geometric.nn import GINConv, GINEConv, global_add_pool, global_mean_pool

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import normed_mlp
from gbench.models import gin as gin_module
from gbench.models.gin import GIN

ATOMS, BONDS = (5, 3, 4), (4, 3)
DENSE = DataSpec("graph", 2, 4)
MOLECULES = DataSpec("graph", 2, 3, ATOMS, BONDS)


def gin(spec=DENSE, **changes):
    settings = {
        "hidden_dim": 6, "num_layers": 3, "mlp_ratio": 2, "learn_eps": True,
        "virtual_node": False, "jk": "last", "readout": "mean", "dropout": 0.0,
    }  # fmt: skip
    model = GIN(spec, **{**settings, **changes}).double()
    for name, parameter in model.named_parameters():
        if "eps" in name or "norm" in name or "virtual_start" in name:
            nn.init.normal_(parameter)
    return model


def batch_norm(x, p, prefix):
    x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    return x * p[f"{prefix}.weight"] + p[f"{prefix}.bias"]


def linear(x, p, prefix):
    return x @ p[f"{prefix}.weight"].T + p[f"{prefix}.bias"]


def lookup(table, codes, sizes):
    starts = [0, *itertools.accumulate(sizes)]
    return sum(table[starts[k] + codes[:, k].long()] for k in range(len(sizes)))


def dense_layer(p, layer, x, edges, attributes):
    """One GIN or GINE layer, node by node; `edges` are (source, target) pairs."""
    prefix, out = f"layers.{layer}", []
    for i in range(len(x)):
        total = (1 + p.get(f"{prefix}.eps", 0)) * x[i]
        for number, (j, target) in enumerate(edges):
            if target == i and attributes is None:
                total = total + x[j]
            elif target == i:
                bond = lookup(p[f"{prefix}.bonds.table"], attributes[number][None], BONDS)[0]
                total = total + (x[j] + bond).relu()
        out.append(total)
    h = batch_norm(linear(torch.stack(out), p, f"{prefix}.mlp.0"), p, f"{prefix}.mlp.1.norm")
    return batch_norm(linear(h.relu(), p, f"{prefix}.mlp.2"), p, f"norm_acts.{layer}.norm")


def side_by_side(examples):
    """Features, (source, target) pairs, bonds and node ranges of the disjoint union."""
    edges, ranges, start = [], [], 0
    for example in examples:
        edges += [(j + start, i + start) for j, i in example.edge_index.T.tolist()]
        ranges.append(slice(start, start + len(example.x)))
        start += len(example.x)
    attributes = None
    if examples[0].edge_attr is not None:
        attributes = torch.cat([e.edge_attr for e in examples])
    return torch.cat([e.x for e in examples]), edges, attributes, ranges


def felt(p):
    """Without the biases that the next batch norm takes away: their gradient is zero."""
    cancelled = re.compile(r"(layers|virtual_nodes)\.\d\.mlp\.[02]\.bias")
    return {name: value for name, value in p.items() if not cancelled.fullmatch(name)}


@pytest.mark.parametrize("virtual_node", [False, True])
@pytest.mark.parametrize("spec", [DENSE, MOLECULES], ids=["dense", "molecules"])
def test_ogbs_form_equals_the_dense_formula(
    spec, virtual_node, make_batch, random_graph, same_outputs_and_gradients
):
    width = 4 if spec is DENSE else None
    examples = [random_graph(n, width, directed=n == 7) for n in (8, 7, 1, 5)]
    model = gin(spec, virtual_node=virtual_node)
    p = dict(model.named_parameters())
    features, edges, attributes, ranges = side_by_side(examples)
    if spec is DENSE:
        x = linear(features, p, "encoder.features")
    else:
        x = lookup(p["encoder.features.table"], features, ATOMS)
    v = [p["virtual_start"]] * 4 if virtual_node else None
    for layer in range(3):
        if v is not None:
            x = torch.cat([x[r] + v[b] for b, r in enumerate(ranges)])
            if layer < 2:
                prefix = f"virtual_nodes.{layer}.mlp"
                h = torch.stack([x[r].sum(0) + v[b] for b, r in enumerate(ranges)])
                h = batch_norm(linear(h, p, f"{prefix}.0"), p, f"{prefix}.1.norm").relu()
                v = batch_norm(linear(h, p, f"{prefix}.2"), p, f"{prefix}.3.norm").relu()
        x = dense_layer(p, layer, x, edges, attributes)
        x = x.relu() if layer < 2 else x
    expected = linear(torch.stack([x[r].mean(0) for r in ranges]), p, "heads.0")
    same_outputs_and_gradients(model(make_batch(examples)), expected, felt(p))


@pytest.mark.parametrize("learn_eps", [False, True])
@pytest.mark.parametrize("readout", ["sum", "mean"])
def test_the_papers_form_equals_the_dense_formula(
    readout, learn_eps, make_batch, random_graph, same_outputs_and_gradients
):
    examples = [random_graph(n, directed=n == 7) for n in (8, 7, 1)]
    model = gin(jk="layerwise", readout=readout, learn_eps=learn_eps, mlp_ratio=1)
    p = dict(model.named_parameters())
    x, edges, _, ranges = side_by_side(examples)
    pool = torch.sum if readout == "sum" else torch.mean
    expected = linear(torch.stack([pool(x[r], 0) for r in ranges]), p, "heads.0")
    for layer in range(3):
        x = dense_layer(p, layer, x, edges, None).relu()
        pooled = torch.stack([pool(x[r], 0) for r in ranges])
        expected = expected + linear(pooled, p, f"heads.{layer + 1}")
    assert any("eps" in name for name in p) == learn_eps
    same_outputs_and_gradients(model(make_batch(examples)), expected, felt(p))


def test_node_level_classifies_the_nodes(make_batch, random_graph):
    example = random_graph(9)
    for jk in ("last", "layerwise"):
        node = gin(DataSpec("node", 2, 4), jk=jk).eval()
        graph = gin(DENSE, jk=jk, readout="mean").eval()
        graph.load_state_dict(node.state_dict())
        batch = make_batch([example])
        assert node(batch).shape == (9, 2)
        # linear heads commute with the mean
        torch.testing.assert_close(node(batch).mean(0, keepdim=True), graph(batch))


@pytest.mark.parametrize("virtual_node", [False, True])
def test_molecules_equal_ogb_in_pyg(virtual_node, make_batch, random_graph):
    batch = make_batch([random_graph(n, None) for n in (8, 7, 3)])
    model = gin(MOLECULES, virtual_node=virtual_node).eval()
    attributes = batch.edge_combos[batch.edge_code]
    x = lookup(model.encoder.features.table, batch.x, ATOMS)
    v = model.virtual_start.repeat(3, 1) if virtual_node else None
    for index, (layer, norm_act) in enumerate(zip(model.layers, model.norm_acts, strict=True)):
        conv = GINEConv(layer.mlp).double()
        conv.eps = layer.eps.detach().reshape(1)
        x = x if v is None else x + v[batch.batch]
        h = conv(x, batch.edge_index, lookup(layer.bonds.table, attributes, BONDS))
        h = norm_act.norm(h)
        h = h.relu() if index < 2 else h
        if virtual_node and index < 2:
            v = model.virtual_nodes[index].mlp(global_add_pool(x, batch.batch) + v)
        x = h
    expected = model.heads[0](global_mean_pool(x, batch.batch))
    torch.testing.assert_close(model(batch), expected, rtol=1e-9, atol=1e-9)


def test_the_papers_form_equals_pyg(make_batch, random_graph):
    batch = make_batch([random_graph(n) for n in (8, 7, 3)])
    model = gin(jk="layerwise", readout="sum", mlp_ratio=1, learn_eps=False).eval()
    x = batch.x
    expected = model.heads[0](global_add_pool(x, batch.batch))
    for layer, norm_act, head in zip(model.layers, model.norm_acts, model.heads[1:], strict=True):
        x = norm_act.norm(GINConv(layer.mlp)(x, batch.edge_index)).relu()
        expected = expected + head(global_add_pool(x, batch.batch))
    torch.testing.assert_close(model(batch), expected, rtol=1e-9, atol=1e-9)


def test_dropout_is_on_the_logits_in_the_papers_form(make_batch, random_graph):
    batch = make_batch([random_graph(3) for _ in range(100)])
    model = gin(jk="layerwise", num_layers=1, dropout=0.5)
    nn.init.zeros_(model.heads[1].weight)
    nn.init.zeros_(model.heads[1].bias)
    ratio = model(batch) / model.eval()(batch)
    assert set(ratio.flatten().round(decimals=9).tolist()) == {0.0, 2.0}


def test_dropout_is_on_the_node_vectors_in_ogbs_form(make_batch, random_graph):
    batch = make_batch([random_graph(50)])
    model = gin(DataSpec("node", 6, 4), num_layers=1, dropout=0.5)
    model.heads[0].weight.data, model.heads[0].bias.data = (
        torch.eye(6).double(),
        torch.zeros(6).double(),
    )
    dropped = model(batch)
    model.norm_acts[0].dropout = 0.0
    ratio = dropped / model(batch)
    assert set(ratio.flatten().round(decimals=9).tolist()) == {0.0, 2.0}


def cycle(*lengths):
    """Disjoint cycles, as (2, E) edges in both directions."""
    pairs, start = [], 0
    for n in lengths:
        pairs += [(start + i, start + (i + 1) % n) for i in range(n)]
        start += n
    edges = torch.tensor(pairs).T
    return torch.cat([edges, edges.flip(0)], 1)


def skip_links(num_nodes, skip):
    i = torch.arange(num_nodes)
    jumps = torch.stack([i, (i + skip) % num_nodes])
    return torch.cat([cycle(num_nodes), jumps, jumps.flip(0)], 1)


@pytest.mark.parametrize("readout", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", [{"jk": "last"}, {"jk": "layerwise"}, {"virtual_node": True}])
def test_regular_graphs_look_alike(form, readout, make_batch, random_graph):
    """C6 and two C3, and circular skip links of one degree, are equal for the 1-WL test."""
    model = gin(readout=readout, **form).eval()
    for a, b, size in [
        (cycle(6), cycle(3, 3), 6),
        (skip_links(41, 2), skip_links(41, 9), 41),
    ]:
        x = torch.ones(size, 4, dtype=torch.float64)
        example = random_graph(2)
        first, second = model(
            make_batch([example._replace(x=x, edge_index=edges) for edges in (a, b)])
        )
        torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


@pytest.mark.parametrize("jk", ["last", "layerwise"])
def test_what_the_1_wl_test_separates_is_separated(jk, make_batch, random_graph):
    star, path = torch.tensor([[[0, 0, 0], [1, 2, 3]], [[0, 1, 2], [1, 2, 3]]])
    x, example = torch.ones(4, 4, dtype=torch.float64), random_graph(2)
    examples = [
        example._replace(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1))
        for edges in (star, path)
    ]
    first, second = gin(jk=jk, readout="sum").eval()(make_batch(examples))
    assert (first - second).abs().min() > 1e-3


def test_a_virtual_node_joins_components_but_not_graphs(make_batch, random_graph):
    """Influence of node 0 on the node vectors of its component, the other one, the other graph."""
    one = random_graph(2)._replace(x=torch.randn(6, 4, dtype=torch.float64), edge_index=cycle(3, 3))
    other = one._replace(x=torch.randn(6, 4, dtype=torch.float64))
    for virtual_node in (False, True):
        model = gin(virtual_node=virtual_node).eval()
        vectors = []
        model.norm_acts[-1].register_forward_hook(lambda *args, v=vectors: v.append(args[2]))
        batch = make_batch([one, other])
        batch.x.requires_grad_()
        model(batch)
        influence = [
            torch.autograd.grad(vectors[0][rows].square().sum(), batch.x, retain_graph=True)[0][0]
            for rows in (slice(0, 3), slice(3, 6), slice(6, 12))
        ]
        assert influence[0].any()
        assert influence[1].any() == virtual_node
        assert not influence[2].any()


@pytest.mark.parametrize(
    ("spec", "wrong", "message"),
    [
        (DENSE, {"virtual_node": True, "jk": "layerwise"}, "model.jk=last"),
        (DataSpec("node", 2, 4), {"virtual_node": True}, "node-level data"),
    ],
)
def test_wrong_settings_are_the_users(spec, wrong, message):
    with pytest.raises(UserError, match=message):
        gin(spec, **wrong)


def hooked(part, ran):
    """Hooks of each kind on a module, which note their kind; their handles."""
    return [
        part.register_forward_pre_hook(lambda *_: ran.append("before")),
        part.register_forward_hook(lambda *_: ran.append("after")),
        part.register_full_backward_pre_hook(lambda *_: ran.append("gradient of the output")),
        part.register_full_backward_hook(lambda *_: ran.append("gradient of the input")),
    ]


@pytest.mark.parametrize(
    "name", ["layers.1.mlp.0", "layers.1.mlp.1", "layers.1.mlp.2", "norm_acts.1"]
)
def test_hooks_on_a_part_run_and_change_nothing(name, make_batch, random_graph, monkeypatch):
    fused = []
    once = gin_module.normed_mlp
    monkeypatch.setattr(normed_mlp, "MUCH", 0)
    monkeypatch.setattr(gin_module, "normed_mlp", lambda *args: fused.append(1) or once(*args))
    model, batch = gin().train(), make_batch([random_graph(5), random_graph(7)])

    def trained():
        fused.clear()
        out = model(batch)
        return out, *torch.autograd.grad(out.square().sum(), list(model.parameters()))

    usual, ran = trained(), []
    assert len(fused) == 3
    handles = hooked(model.get_submodule(name), ran)
    watched = trained()
    assert len(fused) == 2 and len(ran) == len({*ran}) == 4
    torch.testing.assert_close(watched, usual)
    for handle in handles:
        handle.remove()
    trained()
    assert len(fused) == 3 and len(ran) == 4
    handle = register_module_forward_hook(lambda *_: None)  # of every module
    try:
        trained()
    finally:
        handle.remove()
    assert not fused
