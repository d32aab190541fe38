"""What a saved dataset may hold beside and instead of plain tensors: used, named, or refused."""

from __future__ import annotations

import collections
import datetime
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset, TemporalData

from gbench.errors import UserError
from gbench.kernels.csr import CSR
from tests.data.own_data import labelled, read, ring, saved, told

Y = torch.arange(30) % 2


class Colour(enum.Enum):
    RED = 1


class MyData(Data):
    """As people derive one."""


class MyDict(dict[str, int]):
    """Another container."""


class Mine(InMemoryDataset):
    """A dataset that is saved as an object."""

    def __init__(self, content: list[Data]) -> None:
        super().__init__(None)
        self.data, self.slices = self.collate(content)


def many(**more: Any) -> list[Data]:
    return [Data(x=torch.ones(3, 1), edge_index=ring(3), y=torch.tensor([i % 2]), **more)
            for i in range(10)]  # fmt: skip


def plain() -> Data:
    return labelled(Y)


SAME: dict[str, Callable[[], Any]] = {  # as torch_geometric and users leave it
    "ToUndirected": lambda: T.ToUndirected()(plain()),
    "sort": lambda: plain().sort(),
    "node_attrs": lambda: (lambda data: (data.node_attrs(), data)[1])(plain()),
    "of a class of one's own": lambda: MyData(**plain().to_dict()),
    "dict": lambda: plain().to_dict(),
    "tuple": lambda: (plain(), None),
    "new tuple": lambda: (plain().to_dict(), None, Data),
    "tuple of one's own class": lambda: (plain().to_dict(), None, MyData),
    "numpy": lambda: Data(**{key: value.numpy() for key, value in plain().to_dict().items()}),
    "column": lambda: labelled(Y.view(-1, 1)),
    "int32": lambda: labelled(Y.int()),
}


@pytest.mark.parametrize("form", SAME)
def test_every_form_is_the_same_dataset(tmp_path: Path, form: str) -> None:
    same = read(saved(tmp_path / "mine", SAME[form]()))
    expected = read(saved(tmp_path / "plain", plain()))
    assert same.store.x.equal(expected.store.x) and same.store.y.equal(expected.store.y)
    ours, theirs = (d.store.whole().edge_index.tolist() for d in (same, expected))
    assert sorted(zip(*ours, strict=True)) == sorted(zip(*theirs, strict=True))
    assert not any("not used" in note for note in same.notes)


OBJECTS: dict[str, Any] = {
    "scalar": np.int64(7), "score": np.float32(1.5), "flag": np.bool_(True), "array": np.ones(3),
    "words": np.array(["a", "b"]), "objects": np.array(["a", None], dtype=object),
    "date": np.datetime64("2020-01-01"), "name": "mine", "sizes": [1, 2], "parts": [torch.ones(2)],
    "lists": collections.defaultdict(list, {1: [2]}), "counts": collections.Counter("aab"),
    "path": Path("/x"), "when": datetime.datetime(2020, 1, 1), "colour": Colour.RED,
    "table": MyDict(a=1), "chosen": slice(1, 2), "kinds": {1, 2}, "function": torch.relu,
    "edge_weight": torch.ones(60), "pos": torch.ones(30, 2), "weight": torch.ones(60),
    "nested": {"a": torch.ones(1)},
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_what_is_not_used_is_named_in_one_line(tmp_path: Path, zipped: bool) -> None:
    folder = saved(tmp_path / "mine", None)
    content = labelled(Y, nothing=None, **OBJECTS)
    torch.save(content, folder / "data.pt", _use_new_zipfile_serialization=zipped)
    (line,) = [note for note in read(folder).notes if "not used" in note]
    named = [
        word.split(" (")[0]
        for word in line.split("not used are ")[1].replace("), ", ") , ").split(", ")
    ]
    assert {word for word in OBJECTS if any(n.strip().startswith(word) for n in named)} == {
        *OBJECTS
    } - {"edge_weight"}  # which is read
    assert "nothing" not in line and "weight (60)" in line and "pos (30, 2)" in line


@pytest.mark.parametrize("form", ["list", "dataset", "collated"])
def test_the_same_of_many_graphs(tmp_path: Path, form: str) -> None:
    graphs = many(edge_weight=torch.rand(6), smiles="CC")
    content: Any = graphs
    if form == "dataset":
        content = Mine(graphs)
    elif form == "collated":
        data, slices, _ = InMemoryDataset.collate(graphs)[0], *InMemoryDataset.collate(graphs)
        content = (data.to_dict(), slices if isinstance(slices, dict) else _, Data)
    folder = saved(tmp_path / "mine", content)
    assert read(folder).store.num_graphs == 10
    assert "data.pt: not used are smiles" in told(folder)
    assert read(folder).spec.has_edge_weight


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, None])
def test_a_sparse_adjacency_is_read(tmp_path: Path, layout: Any) -> None:
    data = labelled(Y, edge_weight=torch.rand(60))
    plain = T.ToSparseTensor(attr=None, layout=layout)(data.clone())
    expected = read(saved(tmp_path / "plain", labelled(Y))).store.whole().edge_index
    del plain.edge_weight
    found = read(saved(tmp_path / "sparse", plain))
    assert found.store.whole().edge_index.equal(expected)
    weighted = T.ToSparseTensor(attr="edge_weight", layout=layout)(data.clone())
    folder = saved(tmp_path / "weighted", weighted)
    whole = read(folder).store.whole()
    assert whole.edge_index.equal(expected) and "not used" not in told(folder)
    by_ends = {
        tuple(e): w for e, w in zip(data.edge_index.T.tolist(), data.edge_weight, strict=True)
    }
    assert whole.edge_weight is not None
    assert whole.edge_weight.tolist() == [by_ends[tuple(e)] for e in expected.T.tolist()]


def test_nodes_without_edges_at_the_end_are_counted(tmp_path: Path) -> None:
    edges = ring(3)
    one = Data(edge_index=edges, y=torch.arange(9) % 2)  # by their labels
    assert read(saved(tmp_path / "one", one)).statistics["num_nodes"] == 9
    by_pos = [
        Data(edge_index=edges, pos=torch.ones(5, 3), y=torch.tensor([i % 2])) for i in range(9)
    ]
    assert read(saved(tmp_path / "pos", by_pos)).statistics["num_nodes"] == 45
    stated = [Data(edge_index=edges, num_nodes=4, y=torch.tensor([i % 2])) for i in range(9)]
    assert read(saved(tmp_path / "stated", stated)).statistics["num_nodes"] == 36
    data, slices = InMemoryDataset.collate(stated)
    assert read(saved(tmp_path / "old", (data, slices))).statistics["num_nodes"] == 36


@pytest.mark.parametrize(
    "empty", [torch.zeros(0), torch.zeros(0, 1).long(), torch.zeros(0, 2), None]
)
def test_a_graph_without_edges_beside_others_with_categories(tmp_path: Path, empty: Any) -> None:
    graphs = many(edge_attr=torch.tensor([[0, 1]] * 6))
    graphs[3] = Data(x=torch.ones(1, 1), edge_index=torch.zeros(2, 0).long(), edge_attr=empty,
                     y=torch.tensor([1]))  # fmt: skip
    graphs[4] = Data(x=torch.ones(1, 1), edge_index=torch.zeros(0).long(), edge_attr=empty,
                     y=torch.tensor([1]))  # fmt: skip
    assert read(saved(tmp_path / "mine", graphs)).spec.edge_categories == (1, 2)


def test_features_without_a_column_are_ones(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", Data(x=torch.zeros(30, 0), edge_index=ring(30), y=Y))
    assert read(folder).store.x.tolist() == [[1.0]] * 30 and "every node has a 1" in told(folder)


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "hetero": (HeteroData, "holds HeteroData, several kinds of nodes or edges"),
    "heteros": (lambda: [HeteroData(), HeteroData()], "holds HeteroData, several kinds of nodes"),
    "temporal": (lambda: TemporalData(src=Y, dst=Y, t=Y), "holds TemporalData, events in time"),
    "batch": (lambda: Batch.from_data_list(many()), r"holds a Batch: save batch.to_data_list"),
    "no nodes": (
        lambda: [*many(), Data(x=torch.ones(0, 1), edge_index=torch.zeros(2, 0).long(), y=Y[:1])],
        "graph 10: it has no nodes",
    ),
    "float edges": (
        lambda: [*many(), Data(x=torch.ones(1, 1), edge_index=torch.tensor([[], []]), y=Y[:1])],
        "graph 10: edge_index holds float32, not integers",
    ),
    "NaN attributes": (
        lambda: labelled(Y, edge_attr=torch.full((60, 2), torch.nan)),
        "graph 0: edge_attr of edge 0 is not finite",
    ),
    "NaN weights": (
        lambda: labelled(Y, edge_weight=torch.tensor([1.0, torch.inf] * 30)),
        "graph 0: edge_weight of edge 1 is not finite",
    ),
    "few weights": (
        lambda: labelled(Y, edge_weight=torch.ones(59)),
        r"graph 0: edge_weight is \(59,\), expected \(60,\): one for each edge",
    ),
    "words for weights": (
        lambda: labelled(Y, edge_weight="heavy"),
        r"graph 0: edge_weight is str, expected \(60,\)",
    ),
    "numbers below 0": (
        lambda: labelled(Y, edge_attr=torch.full((60,), -1)),
        "edge_attr holds whole numbers below 0, which are no categories",
    ),
    "numbers twice": (
        lambda: labelled(Y, edge_attr=torch.rand(60), edge_numbers=torch.rand(60)),
        "edge_attr and edge_numbers both hold numbers",
    ),
    "numbers beside numbers": (
        lambda: labelled(Y, x_numbers=torch.rand(30)),
        "x_numbers stand beside categories in x",
    ),
    "rows": (lambda: Data(x=torch.ones(9, 1), edge_index=ring(9), y=Y), "y has 30 rows for 9"),
    "codes": (
        lambda: Data(x=Y.view(-1, 1) + 20_000_000, edge_index=ring(30), y=Y),
        "x holds whole numbers up to 20,000,001",
    ),
    "widths": (lambda: [*many(), labelled(Y[:1], n=3)], "x has shape"),
    "complex": (lambda: labelled(Y * 1j), "y holds torch.complex64"),
    "ragged labels": (lambda: labelled([[1], [1, 2]]), "graph 0: y is a list, not"),
    "deep attributes": (
        lambda: labelled(Y, edge_attr=torch.ones(60, 1, 1)),
        r"edge_attr has shape \(60, 1, 1\), not \(edges, columns\)",
    ),
    "mesh": (
        lambda: Data(x=torch.ones(4, 1), face=torch.tensor([[0], [1], [2]]), y=torch.arange(4) % 2),
        r"a mesh has faces and no edges: torch_geometric.transforms.FaceToEdge\(\)",
    ),
    "labels of edges": (
        lambda: labelled(torch.arange(60) % 2),
        "y has 60 rows for 60 edges: gbench predicts nodes, graphs and links",
    ),
    "edges without numbers first": (
        lambda: [*many(), *many(edge_attr=torch.rand(6, 2))],
        "graph 0 has no tensor edge_attr, but others have one",
    ),
    "one graph's label twice": (  # as ToUndirected leaves it where there is one edge
        lambda: [*many(), labelled(torch.tensor([1, 1]), n=3)],
        "graph 10 has 2 numbers in y, and graph 0 has 1",
    ),
    "part": (lambda: Mine(many())[2:5], "holds a part of a dataset: save a list"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_refused_in_a_sentence(tmp_path: Path, fault: str) -> None:
    make, message = FAULTS[fault]
    with pytest.raises(UserError, match=message):
        read(saved(tmp_path / "mine", make()))


@pytest.mark.parametrize("name", ["edge_weight", "weight"])
def test_weights_and_numbers_of_edges_and_nodes(tmp_path: Path, name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weights, numbers = (
        torch.rand(60, generator=generator) - 0.5,
        torch.rand(60, generator=generator),
    )
    data = labelled(Y, edge_attr=torch.arange(60) % 3, edge_numbers=numbers, **{name: weights})
    data.x, data.x_numbers = torch.arange(30) % 4, torch.arange(60.0).view(30, 2)
    folder = saved(tmp_path / "mine", data)
    dataset = read(folder)
    spec, whole = dataset.spec, dataset.store.whole()
    assert (spec.edge_dim, spec.has_edge_weight, spec.num_numbers) == (1, True, 2)
    assert spec.edge_categories == (3,) and spec.node_categories == (4,)
    order = CSR.from_edge_index(data.edge_index, 30)[1]
    assert whole.edge_weight is not None and torch.equal(whole.edge_weight, weights[order])
    assert whole.edge_attr is not None and torch.equal(whole.edge_attr, numbers[order, None])
    assert whole.x_numbers is not None and torch.equal(whole.x_numbers, data.x_numbers)
    text = told(folder)
    assert "not used" not in text and f"{name} weights" in text
    assert "of 30 pairs of nodes the two directions differ, and stay as stated" in text
    assert "edge_numbers 1 numbers" in text and "x_numbers 2 numbers" in text
