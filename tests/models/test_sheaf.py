"""NSD against its formulas on dense matrices, block by block, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR
from gbench.kernels.pair_tanh import pair_tanh
from gbench.models import sheaf as module
from gbench.models.sheaf import NSD
from gbench.models.sheaf_learner import Sheaf, SheafLearner, of_ends, undirected

NODES = DataSpec("node", 3, 4)
SETTINGS = {
    "maps": "diagonal", "orthogonal": "householder", "stalk_dim": 3, "add_lp": False,
    "add_hp": False, "hidden_dim": 2, "num_layers": 2, "linear": False, "sparse_learner": False,
    "edge_weights": True, "deg_normalised": False, "left_weights": True, "right_weights": True,
    "use_act": True, "second_linear": False, "input_dropout": 0.0, "dropout": 0.0,
    "readout": "mean",
}  # fmt: skip
ORTHOGONAL = {"maps": "orthogonal"}
GENERAL = {"maps": "general"}
BOTH = {"add_lp": True, "add_hp": True}


def nsd(spec=NODES, **changes):
    model = NSD(spec, **{**SETTINGS, **changes}).double()
    for name, parameter in model.named_parameters():
        if "epsilons" in name or "left" in name:  # zeros and I would hide a term that is missing
            nn.init.normal_(parameter)
    return model


def dense_map(values, s):
    """One restriction map, from the numbers that a learner gives it."""
    d, kind = s["stalk_dim"], s["orthogonal"]
    if s["maps"] == "diagonal":
        return torch.diag(values)
    if s["maps"] == "general":
        return values.view(d, d)
    if kind == "euler":
        angles = 2 * torch.pi * values
        if d == 2:
            return plane(angles[0], 0, 1, 2)
        return plane(angles[0], 0, 1, 3) @ plane(angles[1], 2, 0, 3) @ plane(angles[2], 1, 2, 3)
    lower, place = torch.zeros(d, d, dtype=values.dtype), 0
    for row in range(d):
        for col in range(row + (kind != "householder")):
            unit = torch.zeros(d, d, dtype=values.dtype)
            unit[row, col] = 1
            lower, place = lower + values[place] * unit, place + 1
    if kind == "householder":
        q = torch.eye(d, dtype=values.dtype)
        for v in (lower + q).T:
            q = q - 2 * q @ torch.outer(v, v) / v.dot(v)
        return q
    a, eye = lower - lower.T, torch.eye(d, dtype=values.dtype)
    if kind == "cayley":
        return torch.linalg.inv(eye - a / 2) @ (eye + a / 2)
    q, term = eye, eye
    for power in range(1, 40):
        term = term @ a / power
        q = q + term
    return q


def plane(angle, first, second, size):
    """The rotation by an angle from axis `first` to axis `second`."""
    out = torch.eye(size, dtype=angle.dtype)
    units = torch.zeros(2, size, size, dtype=angle.dtype)
    units[0, first, first] = units[0, second, second] = 1
    units[1, second, first], units[1, first, second] = 1, -1
    return out - units[0] + angle.cos() * units[0] + angle.sin() * units[1]


def inverse_root(matrix):
    """M^-1/2 by the product form of Denman and Beavers: no eigenvectors, all gradients finite."""
    y, z = matrix, torch.eye(len(matrix), dtype=matrix.dtype)
    for _ in range(25):
        y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
    return z


def dense_delta(pairs, x, p, layer, s):
    """D^-1/2 L D^-1/2, (N C) × (N C), for directed pairs (v, u) that come in both directions."""
    n, channels, _ = x.shape
    d = s["stalk_dim"]
    ends = x.sum(1) if s["sparse_learner"] else x.reshape(n, -1)
    weigh = s["maps"] == "orthogonal" and s["edge_weights"]
    maps = {}
    for v, u in pairs:
        both = torch.cat([ends[v], ends[u]])
        maps[v, u] = dense_map((p[f"sheaf_learners.{layer}.linear.weight"] @ both).tanh(), s)
        if weigh:
            a, flat = p[f"weight_learners.{layer}.linear.weight"][0], x.reshape(n, -1)
            here, there = torch.cat([flat[v], flat[u]]), torch.cat([flat[u], flat[v]])
            maps[v, u] = maps[v, u] * (a @ here).sigmoid() * (a @ there).sigmoid()
    rows = [[torch.zeros(channels, channels, dtype=x.dtype) for _ in range(n)] for _ in range(n)]
    scale = [torch.eye(channels, dtype=x.dtype) for _ in range(n)]
    for v, u in pairs:
        own = torch.zeros(channels, channels, dtype=x.dtype)
        other = own.clone()
        own[:d, :d] = maps[v, u].T @ maps[v, u]
        other[:d, :d] = -maps[v, u].T @ maps[u, v]
        fixed = [1.0] * s["add_lp"] + [-1.0] * s["add_hp"]
        for channel, sign in enumerate(fixed, start=d):
            own[channel, channel], other[channel, channel] = 1, sign
        rows[v][v] = rows[v][v] + own
        rows[v][u] = rows[v][u] + other
        if s["deg_normalised"]:
            times_d = d if s["maps"] == "general" else 1
            own = torch.diag(torch.tensor([times_d] * d + [1] * len(fixed), dtype=x.dtype))
        scale[v] = scale[v] + own
    laplacian = torch.cat([torch.cat(row, 1) for row in rows])
    root = torch.block_diag(*[inverse_root(block) for block in scale])
    return root @ laplacian @ root


def dense_nsd(x, pairs, p, s, drop=lambda x: x):
    """The logits before any readout; `drop` is called where the paper's code drops."""
    n = len(x)
    x = drop(x) @ p["stalks.first.weight"].T + p["stalks.first.bias"]
    x = drop(elu(x) if s["use_act"] else x)
    if s["second_linear"]:
        x = x @ p["stalks.second.weight"].T + p["stalks.second.bias"]
    x = x.reshape(n, -1, s["hidden_dim"])
    delta = None
    for layer in range(s["num_layers"]):
        if layer == 0 or not s["linear"]:
            delta = dense_delta(pairs, drop(x) if layer else x, p, layer, s)
        step = drop(x)
        if s["left_weights"]:
            step = torch.stack([p[f"left.{layer}.weight"] @ stalk for stalk in step])
        if s["right_weights"]:
            step = step @ p[f"right.{layer}.weight"].T
        step = (delta @ step.reshape(-1, s["hidden_dim"])).reshape(x.shape)
        step = elu(step) if s["use_act"] else step
        x = (1 + p[f"epsilons.{layer}"].tanh()) * x - step
    return x.reshape(n, -1)


def elu(x):
    return torch.where(x > 0, x, x.clamp(max=0).exp() - 1)


def both_ways(edge_index):
    """Every edge in both directions, once, without loops."""
    pairs = {(v, u) for u, v in edge_index.T.tolist() if u != v}
    return sorted(pairs | {(u, v) for v, u in pairs})


CASES = {
    "diagonal": {},
    "diagonal-1": {"stalk_dim": 1},
    "diagonal-fixed": BOTH,
    "diagonal-sparse-linear": {"sparse_learner": True, "linear": True, "add_lp": True},
    "diagonal-degree": {"deg_normalised": True, **BOTH},
    "diagonal-plain": {"left_weights": False, "right_weights": False, "use_act": False},
    "householder": ORTHOGONAL,
    "householder-5": {**ORTHOGONAL, "stalk_dim": 5, "edge_weights": False, "add_hp": True},
    "householder-fixed": {**ORTHOGONAL, **BOTH, "second_linear": True, "linear": True},
    "cayley": {**ORTHOGONAL, "orthogonal": "cayley"},
    "matrix-exp": {**ORTHOGONAL, "orthogonal": "matrix_exp", "sparse_learner": True},
    "euler-2": {**ORTHOGONAL, "orthogonal": "euler", "stalk_dim": 2, "edge_weights": False},
    "euler-3": {**ORTHOGONAL, "orthogonal": "euler"},
    "general": GENERAL,
    "general-fixed": {**GENERAL, **BOTH, "stalk_dim": 2, "sparse_learner": True},
    "general-degree": {**GENERAL, "deg_normalised": True, "add_lp": True},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_node_level_equals_the_dense_formula(
    changes, make_batch, random_graph, same_outputs_and_gradients
):
    example = random_graph(6)
    model = nsd(**changes)
    p = dict(model.named_parameters())
    x = dense_nsd(example.x, both_ways(example.edge_index), p, {**SETTINGS, **changes})
    expected = x @ p["head.weight"].T + p["head.bias"]
    same_outputs_and_gradients(model(make_batch([example])), expected, p)


@pytest.mark.parametrize("changes", [{}, ORTHOGONAL, GENERAL], ids=lambda c: c.get("maps", "diag"))
@pytest.mark.parametrize("readout", ["sum", "mean", "max"])
def test_graph_level_reads_out_what_is_left_of_the_stalks(
    changes, readout, make_batch, random_graph
):
    examples = [random_graph(n) for n in (5, 1, 4)]
    model = nsd(DataSpec("graph", 2, 4), readout=readout, **changes)
    p = dict(model.named_parameters())
    rows = []
    for x, edge_index, _ in examples:
        x = dense_nsd(x, both_ways(edge_index), p, {**SETTINGS, **changes})
        rows.append({"sum": x.sum(0), "mean": x.mean(0), "max": x.amax(0)}[readout])
    expected = torch.stack(rows) @ p["head.weight"].T + p["head.bias"]
    torch.testing.assert_close(model(make_batch(examples)), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("linear", [False, True])
def test_dropout_is_where_the_authors_drop(linear, make_batch, random_graph, monkeypatch):
    example = random_graph(6)
    changes = {"linear": linear, "input_dropout": 0.4, "dropout": 0.6, "num_layers": 3}
    model = nsd(**changes)
    rates, seed = [], 0

    def masked(x):
        nonlocal seed
        seed += 1
        generator = torch.Generator().manual_seed(seed)
        flat = torch.rand(x.numel(), generator=generator, dtype=x.dtype)
        return x * flat.view(x.shape)

    def ours(x, rate, training):
        assert training
        rates.append(rate)
        return masked(x)

    def after_elu(x, *, act, rate):
        return ours(elu(x) if act == "elu" else x, rate, True)

    monkeypatch.setattr(module, "fits", lambda *_: False)
    monkeypatch.setattr(module, "dropout", ours)
    monkeypatch.setattr(module, "act_dropout", after_elu)
    step = "gbench.kernels.sheaf_step.dropout"
    monkeypatch.setattr(step, lambda x, rate: ours(x, rate, True))
    out = model(make_batch([example]))
    seed, p = 0, dict(model.named_parameters())
    x = dense_nsd(example.x, both_ways(example.edge_index), p, {**SETTINGS, **changes}, drop=masked)
    torch.testing.assert_close(out, x @ p["head.weight"].T + p["head.bias"])
    # features, stalks, the first step; then what each learner sees and each step
    assert rates == [0.4, 0.6, 0.6] + ([0.6] * 2 if linear else [0.6] * 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"maps": "diagonal"},
        {"maps": "diagonal", "deg_normalised": True, "sparse_learner": True},
        {"maps": "orthogonal", "sparse_learner": True},
        {"maps": "orthogonal", "edge_weights": False},
    ],
    ids=str,
)
def test_layers_in_one_operation_are_those_of_their_parts(
    changes, make_batch, random_graph, monkeypatch
):
    model = nsd(**changes, dropout=0.5, num_layers=3, stalk_dim=3)
    calls, layers = [], module.sheaf_layers
    monkeypatch.setattr(
        module, "sheaf_layers", lambda *given, **how: calls.append(1) or layers(*given, **how)
    )
    results = []
    for fused in (True, False):
        monkeypatch.setattr(module, "fits", lambda *_, fused=fused: fused)
        torch.manual_seed(5)
        out = model(make_batch([random_graph(7)]))
        grads = torch.autograd.grad(out.square().sum(), list(model.parameters()))
        results.append((out, *grads))
    assert calls == [1]
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["sheaf_learners.1", "weight_learners.0", "left.2", "right.0"])
def test_hooks_on_a_part_run_and_change_nothing(name, make_batch, random_graph, monkeypatch):
    fused, layers = [], module.sheaf_layers
    monkeypatch.setattr(
        module, "sheaf_layers", lambda *given, **how: fused.append(1) or layers(*given, **how)
    )
    model, batch = nsd(maps="orthogonal", num_layers=3, stalk_dim=3), make_batch([random_graph(7)])
    usual = model(batch)
    assert fused.pop()
    seen = []
    handle = model.get_submodule(name).register_forward_hook(lambda *_: seen.append(1))
    watched = model(batch)
    assert seen == [1] and not fused
    torch.testing.assert_close(watched, usual, rtol=1e-8, atol=1e-10)
    handle.remove()
    assert torch.equal(model(batch), usual) and fused == [1] and seen == [1]


def test_directed_data_with_loops_and_repetitions_are_made_undirected(make_batch, random_graph):
    example = random_graph(6, directed=True)
    loops = torch.tensor([[0, 3, 3], [0, 3, 3]])
    directed = torch.cat([example.edge_index, loops, example.edge_index[:, :4]], 1)
    clean = torch.tensor(both_ways(directed)).T
    model = nsd(**ORTHOGONAL)
    expected = model(make_batch([example._replace(edge_index=clean)]))
    batch = make_batch([example._replace(edge_index=directed)])
    torch.testing.assert_close(model(batch), expected)
    assert undirected(batch) is undirected(batch)  # made once
    simple = make_batch([example._replace(edge_index=clean)])
    assert undirected(simple) is simple.graph


def test_what_a_store_knows_to_be_undirected_is_not_looked_at_again(
    make_batch, random_graph, monkeypatch
):
    example = random_graph(6)
    clean = torch.tensor(both_ways(example.edge_index)).T
    batch = make_batch([example._replace(edge_index=clean)] * 2)
    known = replace(batch, graph=replace(batch.graph, undirected=True), memo={})

    def look(*_):
        raise AssertionError("on a GPU the host would wait")

    monkeypatch.setattr(torch, "equal", look)
    assert undirected(known) is known.graph
    nsd(**ORTHOGONAL)(known)


def learner(**changes):
    settings = {**SETTINGS, **changes}
    names = ("maps", "orthogonal", "stalk_dim", "hidden_dim", "sparse_learner", "deg_normalised")
    return SheafLearner(**{k: settings[k] for k in (*names, "add_lp", "add_hp")}).double()


def matrix(sheaf, channels):
    """Δ as a dense matrix, (N C) × (N C)."""
    size = sheaf.graph.num_rows * channels
    eye = torch.eye(size, dtype=torch.float64).view(-1, channels, size)
    return sheaf.laplacian(eye).reshape(size, size)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "changes",
    [{}, ORTHOGONAL, {**ORTHOGONAL, "orthogonal": "euler"}, GENERAL],
    ids=["diagonal", "householder", "euler", "general"],
)
def test_the_laplacian_is_symmetric_with_eigenvalues_in_zero_to_two(
    changes, weighted, make_batch, random_graph
):
    if weighted and changes.get("maps") != "orthogonal":
        return
    graph = make_batch([random_graph(9)]).graph
    x = 3 * torch.randn(9, 5, 2, dtype=torch.float64)
    weight = None
    if weighted:
        weight = torch.rand(graph.num_entries, dtype=torch.float64)
        weight = weight * weight[graph.perm_t.long()]
    delta = matrix(learner(**changes, **BOTH)(graph, x, weight), 5)
    torch.testing.assert_close(delta, delta.T)
    values = torch.linalg.eigvalsh(delta)
    assert values.min() > -1e-12
    assert 1 < values.max() < 2


def test_maps_of_one_and_the_fixed_channels_are_the_graphs_own_operators(make_batch, random_graph):
    batch = make_batch([random_graph(9)])
    a = torch.zeros(9, 9, dtype=torch.float64)
    a[batch.graph.row, batch.graph.col.long()] = 1
    root = (a.sum(1) + 1).rsqrt()
    low = root[:, None] * (a.sum(1).diag() + a) * root
    high = root[:, None] * (a.sum(1).diag() - a) * root
    ones = Sheaf(batch.graph, torch.ones(len(batch.graph.col), 1).double(), None, None)
    torch.testing.assert_close(matrix(ones, 1), high)
    x = torch.randn(9, 4, 2, dtype=torch.float64)
    for changes in ({"stalk_dim": 2}, {"stalk_dim": 2, **ORTHOGONAL}, {"stalk_dim": 2, **GENERAL}):
        delta = matrix(learner(**changes, **BOTH)(batch.graph, x, None), 4).view(9, 4, 9, 4)
        torch.testing.assert_close(delta[:, 2, :, 2], low)
        torch.testing.assert_close(delta[:, 3, :, 3], high)
        assert not delta[:, :2, :, 2:].any()
        assert not delta[:, 2, :, 3].any()
    line = learner(maps="orthogonal", stalk_dim=1)  # the authors' weighted graph Laplacian
    torch.testing.assert_close(matrix(line(batch.graph, x[:, :1], None), 1), high)


@pytest.mark.parametrize("kind", ["householder", "cayley", "matrix_exp", "euler"])
def test_an_untrained_bundle_without_parameters_is_trivial(kind, make_batch, random_graph):
    graph = make_batch([random_graph(9)]).graph
    zero = learner(maps="orthogonal", orthogonal=kind)
    nn.init.zeros_(zero.linear.weight)
    x = torch.randn(9, 3, 2, dtype=torch.float64)
    ones = Sheaf(graph, torch.ones(graph.num_entries, 3).double(), None, None)
    torch.testing.assert_close(matrix(zero(graph, x, None), 3), matrix(ones, 3))


def test_sums_over_pairs_are_the_products_with_both_ends():
    edges = torch.tensor([[0, 1, 2, 2, 0], [1, 0, 1, 2, 2]])  # any graph, loops and directions
    graph, _ = CSR.from_edge_index(edges, 4)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    both = torch.cat([x[graph.row], x[graph.col.long()]], 1)
    torch.testing.assert_close(pair_tanh(graph, of_ends(x, weight)), (both @ weight.T).tanh())
    assert torch.autograd.gradcheck(lambda x, w: pair_tanh(graph, of_ends(x, w)), (x, weight))


def test_weights_start_as_the_authors_start_them():
    model = NSD(DataSpec("node", 5, 50), **{**SETTINGS, **ORTHOGONAL, "hidden_dim": 16})
    for epsilon, left, right in zip(model.epsilons, model.left, model.right, strict=True):
        assert epsilon.shape == (3, 1)
        assert not epsilon.any()
        assert torch.equal(left.weight, torch.eye(3))
        torch.testing.assert_close(right.weight @ right.weight.T, torch.eye(16))
    assert 0.9 < model.stalks.first.weight.abs().max() * 50**0.5 <= 1
    assert 0.9 < model.sheaf_learners[1].linear.weight.abs().max() * 96**0.5 <= 1


def test_maps_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match=r"stalk_dim=1.*model\.maps=diagonal"):
        nsd(maps="general", stalk_dim=1)
    with pytest.raises(UserError, match=r"stalk_dim=4.*orthogonal=householder"):
        nsd(maps="orthogonal", orthogonal="euler", stalk_dim=4)
    with pytest.raises(UserError, match="deg_normalised=true"):
        nsd(maps="orthogonal", deg_normalised=True)


def test_under_autocast_the_diffusion_stays_in_float32(make_batch, random_graph):
    example = random_graph(6)
    batch = make_batch([example._replace(x=example.x.float())])
    model = nsd(**GENERAL).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(batch)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, model(batch), rtol=0.05, atol=0.05)
