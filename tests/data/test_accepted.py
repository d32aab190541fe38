"""Loaders of one's own: what they may return, what is made of it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData, TemporalData

from gbench.data import told
from gbench.data.accepted import accepted
from gbench.data.check import check_source
from gbench.data.source import Graph, Source, Split
from gbench.data.store import pack
from gbench.errors import UserError
from tests.data.own_data import ring

SPLIT = Split(torch.arange(6), torch.arange(6, 8), torch.arange(8, 10))
NAN = float("nan")


def graphs(labels: Any, **more: Any) -> list[Data]:
    return [Data(x=torch.ones(3, 2), edge_index=ring(3), y=y, **more) for y in labels]


def source(labels: Any, outputs: int = 2, splits: Any = (SPLIT,), **more: Any) -> Source:
    return Source(graphs(labels, **more), splits, outputs)


def card(toy: Any, **changes: Any) -> Any:
    return toy.card(num_folds=1, **changes)


@pytest.mark.parametrize(
    ("labels", "names", "y"),
    [
        ([torch.tensor([i % 2]) for i in range(10)], [], [0, 1] * 5),
        ([torch.tensor([i % 2 * 2 - 1]) for i in range(10)], ["-1", "1"], [0, 1] * 5),
        ([torch.tensor([[i % 2 + 2019]]) for i in range(10)], ["2019", "2020"], [0, 1] * 5),
        ([i % 2 + 1 for i in range(10)], ["1", "2"], [0, 1] * 5),
        ([np.array([float(i % 2)]) for i in range(10)], [], [0, 1] * 5),
        ([torch.tensor(bool(i % 2)) for i in range(10)], [], [0, 1] * 5),
    ],
)
def test_classes_are_what_occurs(toy: Any, labels: Any, names: list[str], y: list[int]) -> None:
    made = accepted(card(toy), source(labels))
    check_source(card(toy), made)
    assert list(made.classes) == names and pack(made.graphs).y.tolist() == y


@pytest.mark.parametrize("mark", [NAN, -1])
def test_unlabelled_is_nan_or_what_the_card_states(toy: Any, mark: float) -> None:
    kind = card(toy, unlabelled=-1) if mark == -1 else card(toy)
    labels = [torch.tensor([float(i % 2)]) for i in range(10)]
    labels[3] = torch.tensor([mark])
    with pytest.raises(UserError, match="item 3 is in the train part without a label"):
        accepted(kind, source(labels))
    split = SPLIT._replace(train=torch.tensor([0, 1, 2, 4, 5]))
    made = accepted(kind, source(labels, splits=[split]))
    check_source(kind, made)
    rows = told.rows(kind, made, pack(made.graphs).y)
    assert rows == {"classes": "2: 0 (5), 1 (4)", "unlabelled": "1 of 10 graphs"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1, 0, 1], r"y has 3 classes \(-1, 0, 1\), but num_outputs is 2; if one of them means"),
        ([0.5, 1.0], "numbers that are not whole"),
        ([float("inf"), 1.0], "no finite numbers"),
        ([torch.tensor([0, 1, 0])], "y labels the nodes of each of 10 graphs"),
        ([torch.tensor([0, 1])], r"graph 0: y has shape \(2,\), expected \(1,\)"),
    ],
)
def test_labels_that_are_refused(toy: Any, labels: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        accepted(card(toy), source([labels[i % len(labels)] for i in range(10)]))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_target_in_any_shape(toy: Any, shape: tuple[int, ...]) -> None:
    kind = card(toy, loss="l1", metric="mae", direction="min")
    made = accepted(kind, source([torch.full(shape, i / 10) for i in range(10)], outputs=1))
    check_source(kind, made)
    assert pack(made.graphs).y.shape == (10, 1)
    with pytest.raises(UserError, match="graph 4: y is infinite"):
        inf = [torch.full(shape, i / 10 if i != 4 else float("inf")) for i in range(10)]
        accepted(kind, source(inf, outputs=1))


ORDER = np.arange(10)
SPLITS: list[Callable[[], Any]] = [
    lambda: [SPLIT],
    lambda: SPLIT,
    lambda: [Split(ORDER[:6], ORDER[6:8], ORDER[8:])],  # type: ignore[arg-type]
    lambda: [([*range(6)], [6, 7], [8, 9])],
    lambda: [(range(6), (6, 7), [8, 9])],
    lambda: [{"train": ORDER[:6], "valid": ORDER[6:8], "test": ORDER[8:]}],
    lambda: {"test": ORDER[8:], "val": ORDER[6:8], "train": ORDER[:6]},
    lambda: (ORDER[:6], ORDER[6:8], ORDER[8:]),
    lambda: [(ORDER < 6, (ORDER >= 6) & (ORDER < 8), ORDER >= 8)],
    lambda: [
        [part.astype(np.uint8) for part in (ORDER < 6, (ORDER >= 6) & (ORDER < 8), ORDER > 7)]
    ],
]


@pytest.mark.parametrize("splits", SPLITS)
def test_splits_in_any_form(toy: Any, splits: Callable[[], Any]) -> None:
    made = accepted(card(toy), source([i % 2 for i in range(10)], splits=splits()))
    check_source(card(toy), made)
    assert [part.tolist() for part in made.splits[0]] == [[*range(6)], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ([(ORDER, ORDER)], "fold 0 is a tuple, not a Split of three parts"),
        ([{"train": ORDER, "test": ORDER}], "fold 0 has the parts train, test, expected"),
        ([(ORDER < 6, ORDER[:4] < 3, ORDER > 8)], "the valid part is a mask of 4 for 10 items"),
        ([(ORDER / 2, ORDER, ORDER)], r"the train part is torch.float64 \(10,\), not indices"),
        ([("train", "valid", "test")], "the train part is str, not indices"),
    ],
)
def test_splits_that_are_refused(toy: Any, splits: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        accepted(card(toy), source([i % 2 for i in range(10)], splits=splits))


def test_what_is_not_used_is_named(toy: Any) -> None:
    more = {"edge_weight": torch.ones(6), "pos": torch.ones(3, 2), "smiles": "CC", "name": None}
    made = accepted(card(toy), source([i % 2 for i in range(10)], **more))
    (note,) = made.notes
    assert note == "not used of the loader's graphs are pos (3, 2), smiles"
    floats = source([0, 1] * 5, edge_attr=torch.rand(6, 1))
    check_source(card(toy), accepted(card(toy), floats))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "its loader returned a NoneType, not a gbench.data.source.Source"),
        (graphs([0, 1]), "returned a list, not"),
        (Source(graphs([0])[0], [SPLIT], 2), r"graphs should be a list"),  # type: ignore[arg-type]
        (Source(graphs([0]), None, 2), "splits is None, not a list"),  # type: ignore[arg-type]
        (source([0, 1], outputs=2.0), "num_outputs is 2.0, not a whole"),  # type: ignore[arg-type]
        (
            Source([HeteroData()], [SPLIT], 2),
            "graph 0 is HeteroData, several kinds of nodes or edges",
        ),
    ],
)
def test_what_is_no_source(toy: Any, given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        accepted(card(toy), given)


def test_a_graph_without_y_is_unlabelled(toy: Any) -> None:
    labels = [None if i == 3 else i % 2 for i in range(10)]
    split = SPLIT._replace(train=torch.tensor([0, 1, 2, 4, 5]))
    made = accepted(card(toy), source(labels, splits=[split]))
    check_source(card(toy), made)
    assert made.labelled is not None and made.labelled.tolist() == [y is not None for y in labels]


@pytest.mark.parametrize(
    ("loss", "metric", "y", "message"),
    [
        ("bce", "rocauc", 2.0, "other than 0, 1 and NaN"),
        ("cross-entropy", "accuracy", "a", "y is a str, not a tensor"),
    ],
)
def test_labels_that_the_loss_does_not_take(
    toy: Any, loss: str, metric: str, y: Any, message: str
) -> None:
    asked = card(toy, loss=loss, metric=metric)
    with pytest.raises(UserError, match=message):
        check_source(card(toy), accepted(asked, source([y] * 10, outputs=1)))


def test_no_column_of_features_is_a_one(toy: Any) -> None:
    made = accepted(card(toy), Source([Graph(torch.ones(3, 0), ring(3), torch.tensor([i % 2]))
                                       for i in range(10)], [SPLIT], 2))  # fmt: skip
    assert all(graph.x.tolist() == [[1.0]] * 3 for graph in made.graphs)


def test_graphs_of_other_kinds_are_refused_in_a_sentence(toy: Any) -> None:
    kinds = {
        "is HeteroData, several kinds of nodes or edges: HeteroData.to_homogeneous": HeteroData(),
        "is TemporalData, events in time: make a graph of them": TemporalData(),
        "a mesh has faces and no edges": Data(x=torch.ones(3, 1), face=torch.zeros(3, 1).long()),
    }
    for message, graph in kinds.items():
        with pytest.raises(UserError, match=message):
            accepted(card(toy), Source([graph], [], 2))  # type: ignore[list-item]
    edges = Data(x=torch.ones(3, 1), edge_index=torch.zeros(2, 5).long(), y=torch.arange(5) % 2)
    of_nodes = toy.card(level="node", _target_="mine.load")
    split = Split(*(torch.tensor([i]) for i in range(3)))
    with pytest.raises(UserError, match="y has 5 rows for 5 edges: gbench predicts nodes, graphs"):
        check_source(of_nodes, accepted(of_nodes, Source([edges], [split], 2)))  # type: ignore[list-item]
