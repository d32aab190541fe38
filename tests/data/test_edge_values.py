"""Weights and numbers of edges, numbers of nodes: from a loader's graphs to batches and frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gbench.contracts.part import graph_of
from gbench.data.accepted import accepted
from gbench.data.batch import Batch
from gbench.data.check import check_source
from gbench.data.padding import Frame, Size
from gbench.data.source import Graph, Source, Split
from gbench.data.spec import DataCard
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError

SIZES = (5, 1, 7, 4)


def graphs(*, floats_in_attr: bool = False) -> list[Graph]:
    """Random directed graphs whose edge j→i weighs 10 i + j, with (j, i, ij) as numbers."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for n in SIZES:
        ends = (torch.rand(n, n, generator=generator) < 0.5).nonzero().t()
        ends = ends[:, torch.randperm(ends.size(1), generator=generator)]
        values = _values(ends)
        made.append(
            Graph(
                torch.randint(3, (n, 2), generator=generator),
                ends,
                torch.tensor([0]),
                values if floats_in_attr else ends.t() % 2,
                edge_weight=_weights(ends),
                x_numbers=torch.arange(3.0 * n).view(n, 3),
                edge_numbers=None if floats_in_attr else values,
            )
        )
    return made


def _weights(ends: Tensor) -> Tensor:
    return (10 * ends[1] + ends[0]).double()


def _values(ends: Tensor) -> Tensor:
    return torch.stack([ends[0], ends[1], ends[0] * ends[1]], 1).double()


def check_edges(batch: Batch, first: Tensor) -> None:
    """Every entry has its own values, and in the transpose they are those of `perm_t`."""
    graph = batch.graph
    assert batch.edge_weight is not None and batch.edge_attr is not None
    local = graph.edge_index - first[batch.batch[graph.row]]
    assert torch.equal(batch.edge_weight, _weights(local).float())
    assert torch.equal(batch.edge_attr, _values(local).float())
    order, other = graph.perm_t.long(), graph.t
    sender = torch.repeat_interleave(other.in_degree)
    assert torch.equal(graph.col[order].long(), sender)
    assert torch.equal(graph.row[order], other.col.long())


@pytest.mark.parametrize("floats_in_attr", [False, True])
def test_batches_have_the_values_of_their_edges(floats_in_attr: bool) -> None:
    store = pack(graphs(floats_in_attr=floats_in_attr))
    chunks = [torch.tensor([2, 0]), torch.tensor([1, 3, 2])]
    for chunk, batch in zip(chunks, store.batches(chunks), strict=True):
        check_edges(batch, batch.node_ptr[:-1].long())
        numbers = [torch.arange(3.0 * SIZES[i]).view(-1, 3) for i in chunk.tolist()]
        assert batch.x_numbers is not None and torch.equal(batch.x_numbers, torch.cat(numbers))
        if not floats_in_attr:
            assert batch.edge_combos is not None and batch.edge_code is not None
            local = batch.graph.edge_index - batch.node_ptr[:-1][batch.batch[batch.graph.row]]
            assert torch.equal(batch.edge_combos[batch.edge_code.long()], local.t() % 2)
    whole = pack(graphs()[2:3], "node").whole()
    check_edges(whole, torch.zeros(1, dtype=torch.long))


def test_a_store_without_values_has_no_more_tensors_than_before() -> None:
    plain = [Graph(g.x.float(), g.edge_index, g.y) for g in graphs()]
    names = {"ranges", "x", "y", "in_degree", "col", "perm_t", "out_degree", "col_t"}
    assert pack(plain).tensors().keys() == names
    again = GraphStore("graph", **pack(graphs()).tensors())
    assert again.edge_weight is not None and again.edge_attr is not None


def test_a_graph_of_a_store_has_them_too() -> None:
    given = graphs()[0]
    found = graph_of(pack(graphs()), 0)
    assert torch.equal(found.edge_weight, _weights(found.edge_index).float())  # type: ignore[arg-type]
    assert torch.equal(found.x_numbers, given.x_numbers)  # type: ignore[arg-type]


def test_frames_hold_them_and_entries_that_are_left_weigh_one() -> None:
    store = pack(graphs())
    batch = store.batch(torch.tensor([0, 2]))
    frame = Frame(Size(32, 64, 4, 16), store.batch(torch.tensor([2])))
    frame.lay(batch)
    laid, e, n = frame.batch, batch.graph.num_entries, batch.num_nodes
    for name, rows in (("edge_weight", e), ("edge_attr", e), ("x_numbers", n)):
        assert torch.equal(getattr(laid, name)[:rows], getattr(batch, name)), name
    assert bool((laid.edge_weight[e:] == 1).all())  # type: ignore[index]


def test_a_moved_batch_keeps_them() -> None:
    batch = pack(graphs()).batch(torch.tensor([0]))
    moved = batch.to(torch.device("meta"))
    assert moved.edge_weight is not None and moved.edge_weight.device.type == "meta"
    assert moved.edge_attr is not None and moved.x_numbers is not None


CARD: dict[str, Any] = {
    "name": "toy", "_target_": "mine.load", "level": "graph", "loss": "cross-entropy",
    "metric": "accuracy", "direction": "max", "split": "own", "num_folds": 1, "fold": 0,
    "source": "", "licence": "", "citation": "",
}  # fmt: skip


def checked(given: list[Any], **more: Any) -> Source:
    card = DataCard(**CARD)
    split = Split(*(torch.tensor([i]) for i in range(3)))
    categories = {"node_categories": (3, 3), "edge_categories": (2, 2)}
    source = accepted(card, Source(given, [split], 1, **{**categories, **more}))
    check_source(card, source)
    return source


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "edge_weight",
            lambda v: v.masked_fill(v == v[1], torch.nan),
            "edge_weight of edge 1 is n",
        ),
        (
            "edge_weight",
            lambda v: v.masked_fill(v == v[0], torch.inf),
            "edge_weight of edge 0 is n",
        ),
        ("edge_weight", lambda v: v[1:], r"edge_weight has shape \(\d+,\), expected \(\d+,\)"),
        ("edge_weight", lambda v: None, "edge_weight is missing, unlike in graph 0"),
        ("edge_numbers", lambda v: v / 0, "edge_numbers of edge 0 is not finite"),
        ("edge_numbers", lambda v: v[:, 1:], r"edge_numbers has shape .*, expected \(\d+, columns"),
        ("x_numbers", lambda v: v[1:], "x_numbers has shape"),
        ("x_numbers", lambda v: v.log(), "x_numbers of node 0 is not finite"),
    ],
)
def test_what_is_wrong_is_named_with_its_graph(name: str, value: Any, message: str) -> None:
    made = graphs()
    made[2] = made[2]._replace(**{name: value(getattr(made[2], name))})
    with pytest.raises(UserError, match=f"graph 2: {message}"):
        checked(made)


def test_numbers_beside_numbers_are_refused() -> None:
    made = [graph._replace(x=graph.x.float()) for graph in graphs()]
    with pytest.raises(UserError, match="x_numbers stand beside categories of nodes"):
        checked(made, node_categories=None)


def test_weights_may_be_negative_and_a_column_of_weights_is_weights() -> None:
    made = [
        graph._replace(edge_weight=-graph.edge_weight[:, None])  # type: ignore[index]
        for graph in graphs()
    ]
    weights = [graph.edge_weight for graph in checked(made).graphs]
    assert all(w is not None and w.dim() == 1 for w in weights)


def test_one_float_of_each_edge_is_a_column() -> None:
    from torch_geometric.data import Data

    data = [
        Data(
            x=g.x, edge_index=g.edge_index, y=0, edge_attr=g.edge_weight, edge_weight=g.edge_weight
        )
        for g in graphs()
    ]
    store = pack(checked(data, edge_categories=None).graphs)
    batch = store.batch(torch.arange(4))
    assert batch.edge_attr is not None and batch.edge_weight is not None
    assert torch.equal(batch.edge_attr, batch.edge_weight[:, None])
    assert replace(batch, memo={}).edge_attr is batch.edge_attr
