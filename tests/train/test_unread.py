"""What the data have and a model does not read is told before it trains."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gbench.config.compose import compose
from gbench.contracts import tiny
from gbench.data.batch import Batch
from gbench.data.source import Graph
from gbench.data.spec import DataCard
from gbench.data.store import pack
from gbench.models.gat import GATLayer
from gbench.train.sources import Graphs, WholeGraph
from gbench.train.unread import _loops_anew, unread

CARD = DataCard.from_config(compose(["model=gcn", "data=csl"])["data"])
GRAPHS = tiny.with_values(tiny.graphs(CARD, are_molecules=True))


class Own(nn.Module):
    """A model of a user's, which reads what `names` say."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, batch: Batch) -> Tensor:
        random.random()
        np.random.rand()  # noqa: NPY002
        torch.rand(3)
        read = sum(getattr(batch, name).sum() for name in self.names)
        return self.weight * read * torch.ones(batch.num_graphs, 3)


class Says(Own):
    uses = ("edge_attr",)


class Fails(Own):
    def forward(self, batch: Batch) -> Tensor:
        raise RuntimeError("a fault that training tells")


Own.__module__ = Says.__module__ = Fails.__module__ = "mine"


@pytest.mark.parametrize(
    ("model", "left"),
    [
        (Own(), ["edge_weight", "edge_attr", "x_numbers"]),
        (Own("edge_weight"), ["edge_attr", "x_numbers"]),
        (Own("edge_weight", "edge_attr", "x_numbers"), []),
        (Says("edge_weight"), ["edge_weight", "x_numbers"]),  # it is taken at its word
        (Fails(), []),
    ],
)
def test_one_sentence_names_what_is_left(model: Own, left: list[str]) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    told = unread(model, "mine", GRAPHS, Graphs(4))
    assert len(told) == bool(left)
    for name in ("edge_weight", "edge_attr", "x_numbers"):
        assert (f"(batch.{name})" in "".join(told)) == (name in left)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    assert np.array_equal(before[2], np.random.get_state()[1])  # noqa: NPY002
    assert model.training


def test_self_loops_whose_numbers_are_made_anew_are_counted() -> None:
    card = DataCard.from_config(compose(["model=gat", "data=csbm"])["data"])
    made = tiny.nodes(card)
    gat = nn.Sequential(GATLayer(3, 2, num_heads=1, averages=False, attention_dropout=0.0))
    graph, _ = made.store.union()
    loops = int((graph.row == graph.col).sum())
    assert loops == made.store.num_loops and not unread(gat, "gat", made, WholeGraph())
    ends = torch.cat([graph.edge_index, torch.tensor([[0, 3], [0, 3]])], 1)
    given = Graph(
        x=made.store.x, edge_index=ends, y=made.store.y, edge_weight=torch.ones(len(ends[0]))
    )
    store = pack([given], "node")
    with_loops = replace(made, store=store, spec=store.told(made.spec))
    (sentence,) = _loops_anew(gat, "gat", with_loops)
    assert f"own {loops + 2} self-loops are not used" in sentence


def test_nothing_is_told_of_data_without_them() -> None:
    card = DataCard.from_config(compose(["model=gcn", "data=csbm"])["data"])
    assert unread(Own(), "mine", tiny.nodes(card), WholeGraph()) == []
