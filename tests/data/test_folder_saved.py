"""Datasets as PyG saves them, and files that only pretend to be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset

from gbench.config.compose import compose
from gbench.data.dataset import Dataset
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.kernels.csr import CSR


def read(path: Path, *words: str) -> Dataset:
    config = compose(["model=gin", "data=folder", f"data.path={path}", *words])
    card = DataCard.from_config(config["data"])
    return load(card, Path("/nowhere"), path.parent / "cache")


def ring(n: int, y: Tensor, **more: Any) -> Data:
    nodes = torch.arange(n)
    edges = torch.stack([nodes, nodes.roll(1)])
    return Data(
        x=torch.randn(n, 3, generator=torch.Generator().manual_seed(n)),
        edge_index=torch.cat([edges, edges.flip(0)], 1),
        y=y,
        **more,
    )


def graphs(y: Any = None, count: int = 20, **more: Any) -> list[Data]:
    labels = y if y is not None else [torch.tensor([i % 2]) for i in range(count)]
    return [ring(3 + i % 5, labels[i], **more) for i in range(count)]


def masks(n: int, folds: int = 0) -> dict[str, Tensor]:
    made = {}
    for k, part in enumerate(("train", "val", "test")):
        rows = [torch.arange(n) % 3 == (k + fold) % 3 for fold in range(max(folds, 1))]
        made[f"{part}_mask"] = torch.stack(rows, 1) if folds else rows[0]
    return made


def agrees(dataset: Dataset, expected: list[Data]) -> None:
    store = dataset.store
    assert store.num_graphs == len(expected)
    for i, graph in enumerate(expected):
        batch = store.batch(torch.tensor([i]))
        assert torch.equal(batch.x, graph.x)
        ours = {tuple(pair) for pair in batch.edge_index.t().tolist()}
        assert ours == {tuple(pair) for pair in graph.edge_index.t().tolist()}
        assert batch.y.view(-1).tolist() == graph.y.view(-1).tolist()


class Mine(InMemoryDataset):
    """As PyG's manual tells users to write one."""

    @property
    def processed_file_names(self) -> str:
        return "data.pt"

    def process(self) -> None:
        self.save(graphs(), self.processed_paths[0])


def test_one_data_object_with_masks(tmp_path: Path) -> None:
    y = torch.arange(30) % 3
    y[29] = -1  # no label, in the test mask of no fold
    (tmp_path / "dataset.yaml").write_text("unlabelled: -1\n")
    parts = masks(30, 2)
    for mask in parts.values():
        mask[29] = False
    torch.save(ring(30, y, **parts), tmp_path / "graph.pt")
    dataset = read(tmp_path / "graph.pt", "model=gcn", "data.fold=1")
    card = dataset.card
    assert (card.task, card.num_folds, card.split) == ("node-classification", 2, "own")
    assert dataset.spec.num_outputs == 3
    for part, key in zip(dataset.split, parts, strict=True):
        assert part.tolist() == parts[key][:, 1].nonzero().view(-1).tolist()
    parts["test_mask"][29] = True
    torch.save(ring(30, y, **parts), tmp_path / "graph.pt")
    with pytest.raises(UserError, match="node 29 is in a mask but has no label"):
        read(tmp_path / "graph.pt", "model=gcn")


@pytest.mark.parametrize("form", ["list", "InMemoryDataset", "old tuple", "folder"])
def test_many_graphs_in_every_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "graphs.pt"
    if form == "list":
        torch.save(graphs(), path)
    elif form == "old tuple":  # before PyG 2.4
        torch.save(InMemoryDataset.collate(graphs()), path)
    else:
        Mine(str(tmp_path / "mine"))
        path = tmp_path / "mine" / ("processed/data.pt" if form != "folder" else "")
    dataset = read(path)
    assert dataset.card.task == "graph-classification"
    assert dataset.card.split == "stratified-60-20-20" and dataset.card.num_folds == 10
    agrees(dataset, graphs())
    if "data" in path.name or form == "folder":
        assert dataset.card.name.startswith("mine-")


@pytest.mark.parametrize(
    ("y", "loss", "outputs"),
    [
        ([torch.tensor([i % 3]) for i in range(20)], "cross-entropy", 3),
        ([torch.tensor([i / 3]) for i in range(20)], "l1", 1),
        ([torch.tensor([[i / 3, 1.0]]) for i in range(20)], "l1", 2),
        ([torch.tensor([[float(i % 2), float("nan")]]) for i in range(20)], "bce", 2),
        ([torch.tensor([[i % 2, 1, 0]]) for i in range(20)], "bce", 3),
        ([torch.tensor(i % 2) for i in range(20)], "cross-entropy", 2),
    ],
)
def test_what_y_says(tmp_path: Path, y: list[Tensor], loss: str, outputs: int) -> None:
    torch.save(graphs(y), tmp_path / "graphs.pt")
    dataset = read(tmp_path / "graphs.pt")
    assert (dataset.card.loss, dataset.spec.num_outputs) == (loss, outputs)


def test_categories_of_nodes_and_edges(tmp_path: Path) -> None:
    made = graphs()
    for graph in made:
        graph.x = torch.arange(graph.num_nodes) % 4
        graph.edge_attr = torch.nn.functional.one_hot(graph.edge_index[0] % 2, 2).float()
    torch.save(made, tmp_path / "graphs.pt")
    spec = read(tmp_path / "graphs.pt").spec
    assert spec.node_categories == (4,) and spec.edge_categories == (2, 2)
    made[3].edge_attr = made[3].edge_attr + 0.5
    torch.save(made, tmp_path / "graphs.pt")
    dataset = read(tmp_path / "graphs.pt")
    assert dataset.spec.edge_categories is None and dataset.spec.edge_dim == 2
    given = made[3].edge_attr[CSR.from_edge_index(made[3].edge_index, made[3].num_nodes)[1]]
    found = dataset.store.batch(torch.tensor([3])).edge_attr
    assert found is not None and torch.equal(found, given)


def test_splits_and_facts_beside_the_file(tmp_path: Path) -> None:
    torch.save(graphs(count=3), tmp_path / "graphs.pt")
    (tmp_path / "splits.csv").write_text("id,part\n2,train\n0,valid\n1,test\n")
    (tmp_path / "dataset.yaml").write_text("licence: CC0\n")
    dataset = read(tmp_path)
    assert [part.tolist() for part in dataset.split] == [[2], [0], [1]]
    assert dataset.card.licence == "CC0"
    (tmp_path / "splits.csv").write_text("id,part\n3,train\n0,valid\n1,test\n")
    with pytest.raises(UserError, match=r"splits.csv:2: column 'id': there is no graph '3'"):
        read(tmp_path)


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


class Harmless:
    """A class that gbench does not know."""


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", ["alone", "in a list", "in a Data"])
def test_code_in_the_file_does_not_run(tmp_path: Path, zipped: bool, place: str) -> None:
    target = tmp_path / "made-by-the-file"
    content: Any = Attack(target)
    if place == "in a list":
        content = [*graphs(), content]
    elif place == "in a Data":
        content = ring(9, torch.zeros(9).long(), more=content)
    torch.save(content, tmp_path / "graphs.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"graphs.pt is no saved PyG dataset that gbench reads"):
        read(tmp_path / "graphs.pt")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": torch.ones(2)}, "holds dict, not a PyG Data"),
        ([], "holds list, not a PyG Data"),
        (torch.ones(3), "holds Tensor, not a PyG Data"),
        (Harmless(), "holds Harmless, not a PyG Data"),
        ([Data(x=torch.ones(2, 1), y=torch.tensor([1]))], "the graphs have no edge_index"),
        ([Data(edge_index=torch.zeros(2, 0).long(), x=torch.ones(1, 1))], "the graphs have no y"),
        ([*graphs(), Data(x=torch.ones(2, 3))], "graph 20 has no tensor edge_index"),
    ],
)
def test_what_is_no_dataset(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "graphs.pt")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "graphs.pt")


@pytest.mark.parametrize("length", [0, 10, -10])
def test_a_damaged_file(tmp_path: Path, length: int) -> None:
    torch.save(graphs(), tmp_path / "graphs.pt")
    content = (tmp_path / "graphs.pt").read_bytes()
    (tmp_path / "graphs.pt").write_bytes(content[:length])
    with pytest.raises(UserError, match=r"graphs.pt is no saved PyG dataset that gbench reads"):
        read(tmp_path / "graphs.pt")


def test_two_files_in_a_folder_are_one_too_many(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        torch.save(graphs(), tmp_path / name)
    with pytest.raises(UserError, match="several saved datasets: name one"):
        read(tmp_path)
    assert read(tmp_path / "b.pt").card.name.startswith("b-")
