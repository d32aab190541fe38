"""Node-level datasets in small: raw files of each layout, read here and by PyG's classes."""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, random_array
from torch import Tensor

from gbench.data import manage
from gbench.data.dataset import Dataset
from gbench.data.files import named
from gbench.data.load import load
from gbench.errors import UserError

MASKS = ("train_mask", "val_mask", "test_mask")


class Small:
    """A random graph of 40 nodes, some linked twice, in both directions or to themselves."""

    num_nodes, num_classes = 40, 4

    def __init__(self, folds: int) -> None:
        random = np.random.RandomState(0)
        edges = random.randint(0, self.num_nodes, (2, 150))
        self.edges = np.concatenate([edges, edges[:, :9], edges[::-1, 20:29]], axis=1).T
        self.edges[-1] = self.edges[-1, 0]
        self.words = (random.rand(self.num_nodes, 12) < 0.3).astype(np.float32)
        self.words[:, 0], self.words[-1, -1] = 1, 1  # no node without words, no word without nodes
        self.y = np.arange(self.num_nodes) % self.num_classes
        random.shuffle(self.y)
        part = np.array([random.permutation(self.num_nodes) % 5 for _ in range(folds)])
        self.masks = {"train": part < 2, "val": part == 2, "stopping": part == 3, "test": part == 4}

    def write_geom_gcn(self, folder: Path, prefix: str, as_places: bool = False) -> None:
        rows = [np.flatnonzero(row) if as_places else row.astype(int) for row in self.words]
        nodes = [
            f"{node}\t{','.join(map(str, rows[node]))}\t{self.y[node]}"
            for node in range(self.num_nodes)
        ]
        links = ["\t".join(map(str, edge)) for edge in self.edges]
        write_lines(folder / "out1_node_feature_label.txt", ["node_id\tfeature\tlabel", *nodes])
        write_lines(folder / "out1_graph_edges.txt", ["from\tto", *links])
        self.write_masks(folder, prefix)

    def write_masks(self, folder: Path, prefix: str, num_nodes: int = num_nodes) -> None:
        for fold in range(10):
            masks = {f"{part}_mask": self.masks[part][fold].astype(np.uint8)
                     for part in ("train", "val", "test")}  # fmt: skip
            masks = {name: np.resize(mask, num_nodes) for name, mask in masks.items()}
            np.savez(folder / f"{prefix}_split_0.6_0.2_{fold}.npz", **masks)

    def write_shchur(self, folder: Path, prefix: str) -> None:
        links = csr_matrix(
            (np.ones(len(self.edges)), self.edges.T), (self.num_nodes, self.num_nodes)
        )
        arrays = {"labels": self.y}
        for name, matrix in (("adj", links), ("attr", csr_matrix(3 * self.words))):
            for part in ("data", "indices", "indptr", "shape"):
                arrays[f"{name}_{part}"] = getattr(matrix, part)
        np.savez(folder / f"{prefix}.npz", **arrays)

    def write_platonov(self, folder: Path, prefix: str, binary: bool) -> None:
        np.savez(
            folder / f"{prefix}.npz",
            node_features=self.words - 0.5,
            node_labels=self.y % 2 if binary else self.y,
            edges=self.edges,
            **{f"{part}_masks": self.masks[part] for part in ("train", "val", "test")},
        )

    def write_wikics(self, folder: Path) -> None:
        content = {
            "features": (self.words - 0.25).tolist(),
            "labels": self.y.tolist(),
            "links": [self.edges[self.edges[:, 0] == node, 1].tolist()
                      for node in range(self.num_nodes)],
            **{f"{part}_masks": self.masks[part].tolist() for part in ("train", "val", "stopping")},
            "test_mask": self.masks["test"][0].tolist(),
        }  # fmt: skip
        free = ~self.masks["test"][0]  # one test set for all splits
        for part in ("train", "val", "stopping"):
            content[f"{part}_masks"] = (self.masks[part] & free).tolist()
        (folder / "data.json").write_text(json.dumps(content))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n")


def folder_of(name: str, data_dir: Path, split: str = "") -> Path:
    folder = data_dir / manage.card_of(name, split=split).folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def read(name: str, data_dir: Path, fold: int = 0, split: str = "", **options: Any) -> Dataset:
    """The dataset from small files: all that its card says holds, but for sizes and hashes."""
    card = manage.card_of(name, split=split)
    names = sorted(named.files(card))
    assert not named.missing(card, data_dir), f"the layout of {name} is another: {names}"
    card = replace(card, fold=fold, statistics={}, download=[], options={**card.options, **options})
    return load(card, data_dir, data_dir / "cache")


def assert_same_graph(ours: Dataset, theirs: Any) -> None:
    from torch_geometric.transforms import NormalizeFeatures
    from torch_geometric.utils import coalesce

    whole = ours.store.whole()
    x = NormalizeFeatures()(theirs.clone()).x if ours.card.normalize_features else theirs.x
    assert torch.allclose(whole.x, x, atol=0, rtol=1e-6)
    assert torch.equal(whole.y.view(-1).long(), theirs.y)
    expected = coalesce(theirs.edge_index, sort_by_row=False)
    assert torch.equal(whole.edge_index, expected)
    assert expected.size(1) == theirs.edge_index.size(1)


def assert_same_folds(folds: list[Dataset], masks: list[Tensor]) -> None:
    for fold, dataset in enumerate(folds):
        for part, mask in zip(dataset.split, masks, strict=True):
            mask = mask if mask.dim() == 1 else mask[:, fold]
            assert torch.equal(part, mask.nonzero().view(-1))


def write_planetoid(folder: Path, prefix: str, unlisted: int) -> None:
    """650 nodes: 12 to train on, 600 without use or to validate on, the last 38 to test on."""
    random = np.random.RandomState(0)
    words = random_array((650, 30), density=0.2, random_state=random, format="csr")
    words = csr_matrix(words.astype(np.float32))
    words.data += 1  # PyG does not normalise rows whose sum is below 1
    labels = np.eye(4, dtype=np.int32)[random.randint(0, 4, 650)]
    listed = random.permutation(np.setdiff1d(np.arange(612, 650), [620, 633][:unlisted]))
    known = np.arange(612)
    graph = {node: random.randint(0, 650, random.randint(1, 4)).tolist() for node in range(650)}
    files = {
        "x": words[:12],
        "y": labels[:12],
        "allx": words[known],
        "ally": labels[known],
        "tx": words[listed],
        "ty": labels[listed],
        "graph": graph,
    }
    for name, value in files.items():
        (folder / f"ind.{prefix}.{name}").write_bytes(pickle.dumps(value, protocol=2))
    write_lines(folder / f"ind.{prefix}.test.index", map(str, listed))


@pytest.mark.parametrize(
    ("name", "spelling", "unlisted"), [("pubmed", "PubMed", 0), ("citeseer", "CiteSeer", 2)]
)
def test_planetoid(tmp_path: Path, name: str, spelling: str, unlisted: int) -> None:
    from torch_geometric.datasets import Planetoid

    write_planetoid(folder_of(name, tmp_path), name, unlisted)
    theirs = Planetoid(str(tmp_path / "Planetoid"), spelling)[0]
    dataset = read(name, tmp_path)
    assert_same_graph(dataset, theirs)
    assert_same_folds([dataset], [theirs[mask] for mask in MASKS])
    assert len(dataset.split.test) == 38 - unlisted

    folder = folder_of(name, tmp_path, "geom-gcn")
    write_planetoid(folder, name, unlisted)
    Small(folds=10).write_masks(folder, name, num_nodes=650)
    theirs = Planetoid(str(tmp_path / "Planetoid"), spelling, split="geom-gcn")[0]
    folds = [read(name, tmp_path, fold, "geom-gcn") for fold in range(10)]
    assert_same_graph(folds[0], theirs)
    assert_same_folds(folds, [theirs[mask] for mask in MASKS])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("wisconsin", "WebKB"), ("squirrel", "WikipediaNetwork"), ("actor", "Actor")],
)
def test_geom_gcn(tmp_path: Path, name: str, kind: str) -> None:
    import torch_geometric.datasets
    from torch_geometric.utils import remove_self_loops, to_undirected

    is_actor = name == "actor"
    small = Small(folds=10)
    small.write_geom_gcn(folder_of(name, tmp_path), "film" if is_actor else name, is_actor)
    arguments = [str(tmp_path / kind)] + ([] if is_actor else [name])
    theirs = getattr(torch_geometric.datasets, kind)(*arguments)[0]
    options = {"vocabulary": 12} if is_actor else {}
    folds = [read(name, tmp_path, fold, **options) for fold in range(10)]
    assert_same_graph(folds[0], theirs)
    assert_same_folds(folds, [theirs[mask] for mask in MASKS])
    theirs.edge_index = to_undirected(remove_self_loops(theirs.edge_index)[0])
    assert_same_graph(read(name, tmp_path, split="geom-gcn-undirected", **options), theirs)


@pytest.mark.parametrize(("name", "kind", "spelling", "prefix"), [
    ("physics", "Coauthor", "Physics", "ms_academic_phy"),
    ("photo", "Amazon", "Photo", "amazon_electronics_photo"),
])  # fmt: skip
def test_shchur(tmp_path: Path, name: str, kind: str, spelling: str, prefix: str) -> None:
    import torch_geometric.datasets

    small = Small(folds=1)
    small.y = np.arange(400) % 4  # 100 nodes in each class: 20, 30 and 50
    small.num_nodes = 400
    small.words = np.resize(small.words, (400, 12))
    small.edges = np.concatenate([small.edges, np.stack([np.arange(350), np.arange(350) + 1], 1)])
    small.write_shchur(folder_of(name, tmp_path), prefix)
    theirs = getattr(torch_geometric.datasets, kind)(str(tmp_path / kind), spelling)[0]
    dataset = read(name, tmp_path, fold=99)
    assert_same_graph(dataset, theirs)
    for part, count in zip(dataset.split, (20, 30, 50), strict=True):
        assert torch.bincount(theirs.y[part]).tolist() == [count] * 4


@pytest.mark.parametrize("name", ["roman-empire", "amazon-ratings", "tolokers", "questions"])
def test_platonov(tmp_path: Path, name: str) -> None:
    from torch_geometric.datasets import HeterophilousGraphDataset

    binary = name in ("tolokers", "questions")
    prefix = name.replace("-", "_")
    Small(folds=10).write_platonov(folder_of(name, tmp_path), prefix, binary)
    theirs = HeterophilousGraphDataset(str(tmp_path / "HeterophilousGraphDataset"), name)[0]
    folds = [read(name, tmp_path, fold) for fold in range(10)]
    assert_same_graph(folds[0], theirs)
    assert_same_folds(folds, [theirs[mask] for mask in MASKS])
    assert folds[0].spec.num_outputs == (1 if binary else 4)
    assert folds[0].store.y.shape == ((40, 1) if binary else (40,))


@pytest.mark.parametrize("name", ["chameleon-filtered", "squirrel-filtered"])
def test_filtered_wikipedia_is_laid_out_as_the_other_graphs_of_platonov(
    tmp_path: Path, name: str
) -> None:
    small = Small(folds=10)
    small.write_platonov(folder_of(name, tmp_path), name.replace("-", "_"), binary=False)
    small.write_platonov(folder_of("roman-empire", tmp_path), "roman_empire", binary=False)
    ours, known = read(name, tmp_path, fold=4), read("roman-empire", tmp_path, fold=4)
    assert ours.fingerprint == known.fingerprint
    assert all(map(torch.equal, ours.split, known.split))


def test_wikics(tmp_path: Path) -> None:
    from torch_geometric.datasets import WikiCS

    Small(folds=20).write_wikics(folder_of("wikics", tmp_path))
    theirs = WikiCS(str(tmp_path / "WikiCS"), is_undirected=True)[0]
    folds = [read("wikics", tmp_path, fold) for fold in range(20)]
    assert_same_graph(folds[0], theirs)
    assert_same_folds(folds, [theirs[mask] for mask in MASKS])
    folds = [read("wikics", tmp_path, fold, "20-splits-stopping") for fold in range(20)]
    assert_same_folds(folds, [theirs.train_mask, theirs.stopping_mask, theirs.test_mask])
    both = "20-splits-validation-and-stopping"
    folds = [read("wikics", tmp_path, fold, both) for fold in range(20)]
    valid = theirs.val_mask | theirs.stopping_mask
    assert_same_folds(folds, [theirs.train_mask, valid, theirs.test_mask])


@pytest.mark.parametrize("name", ["cora", "chameleon", "photo", "wikics"])
def test_loaders_know_the_splits_of_their_cards_and_no_other(tmp_path: Path, name: str) -> None:
    card = manage.card_of(name)
    module = importlib.import_module(card._target_.removesuffix(".load"))
    known = getattr(module, "SPLITS", None) or module.VALIDATION
    assert set(card.splits) == set(known)
    with pytest.raises(UserError, match=f"unknown split 'randon'.*{card.splits[0]}"):
        module.load(tmp_path, *card.options.values(), split="randon")
