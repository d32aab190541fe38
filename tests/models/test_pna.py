"""PNA's layers beside PyG's with the same weights, its scalers, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import PNAConv
from torch_geometric.nn.aggr import Aggregation

from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.spec import DataCard
from gbench.data.statistics import with_statistics
from gbench.errors import UserError
from gbench.models.pna import PNA, SimpleLayer, TowerLayer, scalers
from tests.models.conftest import Example, packaged
from tests.models.test_parameter_counts import MOLHIV, ZINC, build

TOWERS = ("model.aggregates=messages", "model.hidden_dim=81")
DELTA = torch.tensor(0.7, dtype=torch.float64)


class Deviation(Aggregation):
    """√(relu(E m² - (E m)²) + 1e-5), 0 of nothing: PyG's own is cut off below √1e-5 instead."""

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        mean, square = (
            self.reduce(part, index, ptr, dim_size, dim, reduce="mean") for part in (x, x * x)
        )
        there = self.reduce(torch.ones_like(x), index, ptr, dim_size, dim, reduce="max")
        return ((square - mean * mean).relu() + 1e-5).sqrt() * there


def pyg_layer(width: int, out: int, towers: int, divides: bool, edge_dim: int) -> PNAConv:
    conv = PNAConv(
        width,
        out,
        aggregators=["mean", "max", "min", Deviation()],
        scalers=["identity", "amplification", "attenuation"],
        deg=torch.tensor([0, 1, 1]),
        edge_dim=edge_dim or None,
        towers=towers,
        divide_input=divides,
    ).double()
    conv.aggr_module.avg_deg_log = DELTA
    return conv


def take_weights(layer: TowerLayer, conv: PNAConv, edge_dim: int) -> dict[str, Tensor]:
    """PyG reads [h_i ‖ h_j ‖ e]; ours [h_j ‖ h_i ‖ e], as the authors."""
    width = layer.message.size(2)
    with torch.no_grad():
        for tower in range(layer.towers):
            pre, post = conv.pre_nns[tower][0], conv.post_nns[tower][0]
            receiver, sender, edge = pre.weight.split([width, width, edge_dim and width], 1)
            parts = [sender.t(), receiver.t()]
            if edge_dim:  # PyG's edge encoder is part of our message
                parts.append((edge @ conv.edge_encoder.weight).t())
            layer.message[tower] = torch.cat(parts)
            layer.bias[tower] = pre.bias
            if edge_dim:
                layer.bias[tower] += edge @ conv.edge_encoder.bias
            layer.update.weight[tower] = post.weight.t()
            layer.update.bias[tower] = post.bias
        layer.mix.load_state_dict(conv.lin.state_dict())
    return dict(layer.named_parameters())


@pytest.mark.parametrize("divides", [True, False])
@pytest.mark.parametrize("edge_dim", [0, 3])
def test_a_layer_is_pygs(divides, edge_dim, make_batch, random_graph) -> None:
    width, towers = 6, 2
    batch = make_batch([random_graph(n, width, directed=n == 7) for n in (9, 7, 1)])
    given = {"towers": towers, "divides": divides, "edge_dim": edge_dim}
    layer = TowerLayer(width, **given, rate=0.0, graph_norm=False).double()
    layer.norm = torch.nn.Identity()
    layer.norm.forward = lambda x, rows=None: x
    conv = pyg_layer(width, width, towers, divides, edge_dim)
    take_weights(layer, conv, edge_dim)
    edges = torch.randn(batch.graph.num_entries, edge_dim).double() if edge_dim else None
    factors = scalers(batch, DELTA, torch.float64)
    ours_x = batch.x.clone().requires_grad_()
    theirs_x = batch.x.clone().requires_grad_()
    ours = layer(batch, ours_x, factors, edges)
    theirs = theirs_x + torch.nn.functional.leaky_relu(conv(theirs_x, batch.edge_index, edges))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    weight = torch.randn_like(ours)
    (got,) = torch.autograd.grad((ours * weight).sum(), ours_x)
    (want,) = torch.autograd.grad((theirs * weight).sum(), theirs_x)
    torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)


def test_a_table_of_edges_is_a_row_for_each_edge(make_batch, random_graph) -> None:
    batch = make_batch([random_graph(n, None) for n in (9, 7)])
    layer = TowerLayer(6, towers=3, divides=True, edge_dim=4, rate=0.0, graph_norm=True).double()
    h, table = torch.randn(16, 6).double(), torch.randn(len(batch.edge_combos), 4).double()
    factors = scalers(batch, DELTA, torch.float64)
    by_table = layer(batch, h, factors, table, batch.edge_code)
    by_row = layer(batch, h, factors, table[batch.edge_code.long()])
    torch.testing.assert_close(by_table, by_row)


def test_a_simple_layer_is_the_formula(make_batch, random_graph) -> None:
    """Twelve blocks of neighbours' vectors, node by node."""
    batch = make_batch([random_graph(n, 5) for n in (8, 6)])
    layer = SimpleLayer(5, rate=0.0).double().eval()
    factors = scalers(batch, DELTA, torch.float64)
    rows = []
    source, target = batch.edge_index
    for node in range(batch.num_nodes):
        m = batch.x[source[target == node]]
        d = len(m)
        if d:
            spread = (m.square().mean(0) - m.mean(0).square()).relu().add(1e-5).sqrt()
            blocks = torch.cat([m.mean(0), m.amax(0), m.amin(0), spread])
        else:
            blocks = torch.zeros(20).double()
        log = math.log(d + 1)
        scaled = [blocks, blocks * log / DELTA, blocks * DELTA / log if d else blocks]
        rows.append(torch.cat(scaled))
    norm = layer.norm_act.norm
    x = torch.stack(rows) @ layer.update.weight[0] + layer.update.bias[0]
    expected = batch.x + norm(x).relu()
    torch.testing.assert_close(layer(batch, batch.x, factors), expected)


def test_on_a_regular_graph_all_scalers_are_one_up_to_a_constant(make_batch) -> None:
    ring = torch.stack([torch.arange(6), (torch.arange(6) + 1) % 6])
    batch = make_batch([Example(torch.randn(6, 2).double(), torch.cat([ring, ring.flip(0)], 1))])
    factor = math.log(3) / float(DELTA)
    expected = torch.tensor([1, factor, 1 / factor]).double().expand(6, 3)
    torch.testing.assert_close(scalers(batch, DELTA, torch.float64), expected)


def test_parameters() -> None:
    """With the 173 kinds of atoms of OGB before 2022 as many as the leaderboard says."""
    before = replace(MOLHIV, node_categories=(119, 4, 12, 12, 10, 6, 6, 2, 2))
    known = {"statistics": {"mean_log_degree": 1.1}}
    for spec, words, expected in [
        (before, "data=ogbg-molhiv", 326_081),
        (MOLHIV, "data=ogbg-molhiv", 326_161),
        # 16 towers' layers of 5 · (14 · 68 + 14 + 14 · 182 + 14 + 28) + 70 · 71, embeddings of 28
        # atoms and 4 bonds, and the head
        (replace(ZINC, pe_dim=0), "data=zinc", 16 * 22_750 + 1960 + 160 + 3115),
    ]:
        model = build(compose(["model=pna", words]), replace(spec, **known))
        assert sum(p.numel() for p in model.parameters()) == expected


def test_data_without_edges_is_refused_in_words() -> None:
    card = DataCard.from_config(compose(["data=csl", "experiment=null"])["data"])
    made = tiny.graphs(card)
    known = with_statistics(made, PNA.statistics).spec
    assert known.statistics["mean_log_degree"] > 0
    for without in (replace(known, statistics={"mean_log_degree": 0.0}),):
        settings = compose(["model=pna", "data=csl", "experiment=null"])
        with pytest.raises(UserError, match="training part has no edges"):
            build(settings, without)


def test_what_the_towers_do_not_divide_is_refused() -> None:
    spec = replace(tiny.graphs(_card()).spec, statistics={"mean_log_degree": 1.0})
    with pytest.raises(UserError, match=r"hidden_dim=81: model\.towers=5 do not divide"):
        build(
            compose(["model=pna", "data=csl", "experiment=null", *TOWERS]),
            spec,
        )


def _card() -> DataCard:
    return DataCard.from_config(compose(["data=csl", "experiment=null"])["data"])


def test_delta_is_in_the_checkpoint() -> None:
    spec = replace(tiny.graphs(_card()).spec, statistics={"mean_log_degree": 1.25})
    assert float(packaged(spec, "model=pna").state_dict()["delta"]) == 1.25
