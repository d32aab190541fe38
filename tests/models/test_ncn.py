"""NCN against the published algorithm on dense matrices in float64, on a small generated graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.source import Graph
from gbench.data.spec import DataSpec
from gbench.data.store import pack
from gbench.errors import UserError
from gbench.kernels.csr import CSR
from gbench.models import common_neighbours as common_module
from gbench.models import ncn as ncn_module
from gbench.models import ncnc as ncnc_module
from gbench.models.common_neighbours import common_neighbours, without
from gbench.models.ncn import NCN
from gbench.models.ncnc import NCNC
from gbench.train.metrics import hits

NODES, LINKS, OTHERS = 40, 30, 200


def adjacency(seed: int = 0) -> Tensor:
    """Three groups with many links within, the last node without any. Shapes: (N, N)."""
    generator = torch.Generator().manual_seed(seed)
    same = torch.arange(NODES)[:, None] % 3 == torch.arange(NODES) % 3
    upper = (torch.rand(NODES, NODES, generator=generator) < torch.where(same, 0.5, 0.04)).triu(1)
    upper[:, -1] = False
    return (upper | upper.T).double()


def batch_of(dense: Tensor, pairs: Tensor, y: Tensor) -> Batch:
    x = torch.arange(NODES).view(-1, 1)
    links = torch.ones(1, 2, dtype=torch.int64)
    graph = Graph(x, dense.nonzero().T, torch.ones(1, 1), pairs=links)
    return replace(pack([graph], "link").whole(), pairs=pairs, y=y)


@pytest.fixture
def drawn() -> tuple[Tensor, Batch]:
    """Some links and as many pairs that are none, as a batch of training has them."""
    dense, generator = adjacency(), torch.Generator().manual_seed(1)
    links = dense.triu().nonzero()
    links = links[torch.randperm(len(links), generator=generator)[:LINKS]]
    others = (dense + torch.eye(NODES) == 0).nonzero()
    others = others[torch.randperm(len(others), generator=generator)[:LINKS]]
    y = (torch.arange(2 * LINKS) < LINKS).double().view(-1, 1)
    return dense, batch_of(dense, torch.cat([links, others]), y)


def model(dim: int = 8, **changes: Any) -> NCN:
    torch.manual_seed(2)
    settings = {"hidden_dim": dim, "num_layers": 1, "input_dropout": 0.0, "dropout": 0.0}
    spec = DataSpec("link", 1, 1, (NODES,))
    made = NCN(spec, **settings | changes).double()
    torch.nn.init.normal_(made.beta, 1.0, 0.3)
    return made


def published(net: NCN, dense: Tensor, pairs: Tensor) -> Tensor:
    """The algorithm with N × N and P × N matrices. Shapes: → (P, 1)."""
    w = dict(net.named_parameters())

    def lin(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    h = (dense + torch.eye(NODES, dtype=dense.dtype)) @ w["table.weight"][:NODES]
    x = lin(h, "of_nodes.0").relu()
    x = h + norm(lin(x, "of_nodes.3"), "of_nodes.4").relu()
    i, j = pairs.T
    c = lin((dense[i] * dense[j]) @ x, "of_common.0").relu()
    c = lin(norm(lin(c, "of_common.3"), "of_common.4").relu(), "of_common.7")
    p = norm(lin(h[i] * h[j], "of_pair.0"), "of_pair.1").relu()
    z = w["beta"] * c + lin(p, "of_pair.4")
    z = norm(lin(z, "out.0.0"), "out.0.1").relu()
    return lin(norm(lin(z, "out.0.4"), "out.0.5").relu(), "out.1")


def taken_out(dense: Tensor, links: Tensor) -> Tensor:
    left = dense.clone()
    left[links[:, 0], links[:, 1]] = left[links[:, 1], links[:, 0]] = 0
    return left


def test_a_step_is_the_published_one_without_the_links_of_the_batch(drawn: Any) -> None:
    dense, batch = drawn
    net = model()
    left = taken_out(dense, batch.pairs[:LINKS])
    assert left.sum() == dense.sum() - 2 * LINKS
    losses = [
        -F.logsigmoid(scores[:LINKS]).mean() - F.logsigmoid(-scores[LINKS:]).mean()
        for scores in (net.train()(batch), published(net, left, batch.pairs))
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-10, atol=1e-10)
    weights = [*net.parameters()]
    ours, theirs = (torch.autograd.grad(loss, weights) for loss in losses)
    for a, b in zip(ours, theirs, strict=True):
        assert b.abs().sum() > 0
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_in_evaluation_all_edges_count_and_ranks_are_the_published(
    drawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense, batch = drawn
    net = model().eval()
    others = (dense + torch.eye(NODES) == 0).nonzero()[:OTHERS]
    pairs = torch.cat([batch.pairs[:LINKS], others])
    y = (torch.arange(len(pairs)) < LINKS).double().view(-1, 1)
    monkeypatch.setattr(ncn_module, "PAIRS_AT_ONCE", 17)
    monkeypatch.setattr(common_module, "LOOKED_UP_AT_ONCE", 29)
    with torch.no_grad():
        ours, theirs = net(batch_of(dense, pairs, y)), published(net, dense, pairs)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    assert len(ours.unique()) > 100
    link, other = theirs[:LINKS, 0], theirs[LINKS:, 0]
    for k in (1, 5, 20):
        share = (link > other.sort(descending=True).values[k - 1]).double().mean()
        assert hits(ours.float(), y.float(), k) == pytest.approx(share.item())
    reciprocal = []
    for scores in (ours[:, 0], theirs[:, 0]):
        rank = 1 + (scores[None, LINKS:] > scores[:LINKS, None]).sum(1)
        reciprocal.append((1 / rank).mean())
    assert torch.equal(*reciprocal)


def test_the_order_of_a_pair_does_not_matter(drawn: Any) -> None:
    _, batch = drawn
    net = model(num_layers=2).eval()
    turned = replace(batch, pairs=batch.pairs.flip(1))
    torch.testing.assert_close(net(batch), net(turned), rtol=1e-12, atol=1e-12)


def test_common_neighbours_are_those_of_both_and_no_others() -> None:
    dense = adjacency(3)
    graph, _ = CSR.from_edge_index(dense.nonzero().T.flip(0), NODES)
    pairs = torch.combinations(torch.arange(NODES))
    found = common_neighbours(graph, pairs)
    wanted = dense[pairs[:, 0]] * dense[pairs[:, 1]]
    got = torch.zeros(len(pairs), NODES, dtype=torch.float64)
    got[found.row, found.col.long()] = 1
    assert torch.equal(got, wanted)
    assert (found.num_rows, found.num_cols) == (len(pairs), NODES)
    back = torch.zeros(NODES, len(pairs), dtype=torch.float64)
    back[found.t.row, found.col_t.long()] = 1
    assert torch.equal(back, wanted.T)
    assert torch.equal(found.col[found.perm_t.long()].long(), found.t.row)
    alone = (wanted.sum(1) == 0).nonzero()[:, 0]
    assert len(alone) > 5 and (found.in_degree[alone] == 0).all()  # c = 0 exactly
    none = CSR.from_edge_index(torch.zeros(2, 0, dtype=torch.int64), NODES)[0]
    assert common_neighbours(none, pairs).num_entries == 0
    assert common_neighbours(graph, pairs[:0]).num_rows == 0


def test_edges_are_taken_out_in_both_directions() -> None:
    generator = torch.Generator().manual_seed(5)
    dense = (torch.rand(NODES, NODES, generator=generator) < 0.2).double()  # some edges one way
    graph, _ = CSR.from_edge_index(dense.nonzero().T.flip(0), NODES)
    pairs = torch.randint(NODES, (60, 2), generator=generator)
    expected, _ = CSR.from_edge_index(taken_out(dense, pairs).nonzero().T.flip(0), NODES)
    for ours, theirs in zip(without(graph, pairs).arrays, expected.arrays, strict=True):
        assert torch.equal(ours, theirs)


def test_on_ddi_it_has_the_published_number_of_parameters() -> None:
    settings = {"hidden_dim": 224, "num_layers": 1, "input_dropout": 0.4, "dropout": 0.6}
    net = NCN(DataSpec("link", 1, 1, (4267,)), **settings)
    assert sum(p.numel() for p in net.parameters()) == 1_412_098


def test_numbers_of_nodes_are_features_and_other_levels_are_refused() -> None:
    settings = {"hidden_dim": 8, "num_layers": 1, "input_dropout": 0.0, "dropout": 0.0}
    dense = adjacency()
    net = NCN(DataSpec("link", 1, 4), **settings).eval()
    batch = batch_of(dense, torch.tensor([[0, 3]]), torch.ones(1, 1))
    assert net(replace(batch, x=torch.randn(NODES, 4))).shape == (1, 1)
    with pytest.raises(UserError, match="ncn answers pairs of nodes, and these data are nodes'"):
        NCN(DataSpec("node", 1, 4), **settings)


COMPLETION = {"scale": 2.0, "offset": 0.5, "link_rate": 0.3, "completion": 0.6}


def completed(net: NCNC, dense: Tensor, pairs: Tensor) -> Tensor:
    """NCNC with N × N and P × N matrices. Shapes: → (P, 1)."""
    h = (dense + torch.eye(NODES, dtype=dense.dtype)) @ net.table.weight[:NODES]  # type: ignore[union-attr]
    x = h + net.of_nodes(h)

    def answered(pairs: Tensor, h: Tensor, c: Tensor) -> Tensor:
        product = h[pairs[:, 0]] * h[pairs[:, 1]]
        out: Tensor = net.out(net.beta * net.of_common(c) + net.of_pair(product))
        return out

    with torch.no_grad():  # every pair's answer to x'
        every = torch.cartesian_prod(torch.arange(NODES), torch.arange(NODES))
        inner = (dense[every[:, 0]] * dense[every[:, 1]]) @ (x + net.of_nodes(x))
        s = (2.0 * (answered(every, x, inner)[:, 0] - 0.5)).sigmoid().view(NODES, NODES)
        p = 0.6 * 0.3 * s / (0.3 * s + 1 - s)
    i, j = pairs.T
    only_i, only_j = dense[i] * (1 - dense[j]), dense[j] * (1 - dense[i])
    only_i[torch.arange(len(pairs)), j] = only_j[torch.arange(len(pairs)), i] = 0
    c = dense[i] * dense[j] + only_i * p[:, j].T + only_j * p[:, i].T
    return answered(pairs, h, c @ x)


def test_completion_is_the_published_one_and_its_inner_answers_have_no_gradient(
    drawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncnc_module, "PAIRS_AT_ONCE", 23)
    dense, batch = drawn
    torch.manual_seed(2)
    settings = {"hidden_dim": 8, "num_layers": 1, "input_dropout": 0.0, "dropout": 0.0}
    net = NCNC(DataSpec("link", 1, 1, (NODES,)), **settings, **COMPLETION).double()
    left = taken_out(dense, batch.pairs[:LINKS])
    ours, theirs = net.train()(batch), completed(net, left, batch.pairs)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    weight, weights = torch.randn_like(ours), [*net.parameters()]
    grads = [torch.autograd.grad((y * weight).sum(), weights) for y in (ours, theirs)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
    turned = replace(batch, pairs=batch.pairs.flip(1))
    torch.testing.assert_close(net(batch), net(turned), rtol=1e-12, atol=1e-12)
    plain = model()
    plain.load_state_dict(net.state_dict())  # what a trained NCN leaves is what this begins with
    nothing = NCNC(DataSpec("link", 1, 1, (NODES,)), **settings, **COMPLETION | {"completion": 0.0})
    nothing.double().load_state_dict(net.state_dict())
    torch.testing.assert_close(nothing(batch), plain(batch))
