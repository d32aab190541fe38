"""OGB's node-level datasets in small: the same files, read here and by the ogb package."""

from __future__ import annotations

import gzip
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gbench.data import manage
from gbench.data.dataset import Dataset
from gbench.data.files import named
from gbench.data.load import load
from gbench.data.loaders import ogb


def write(folder: Path, split_folder: str) -> None:
    """A random graph of 40 nodes, some linked twice, in both directions or to themselves."""
    random = np.random.RandomState(0)
    edges = random.randint(0, 40, (2, 150))
    edges = np.concatenate([edges, edges[:, :9], edges[::-1, 20:29], [[5], [5]]], axis=1).T
    parts = np.split(random.permutation(40), [20, 30])
    columns = {
        "node-label": random.randint(0, 4, 40),
        "node_year": random.randint(1990, 2020, 40),
        "num-node-list": [40],
        "num-edge-list": [len(edges)],
    }
    files = {
        "raw/edge": edges,
        "raw/node-feat": random.randn(40, 6).round(6),
        **{f"raw/{name}": np.reshape(column, (-1, 1)) for name, column in columns.items()},
        **{
            f"split/{split_folder}/{part}": ids[:, None]
            for part, ids in zip(("train", "valid", "test"), parts, strict=True)
        },
    }
    for name, rows in files.items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (",".join(map(str, row)) for row in rows.tolist())
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    (folder / "RELEASE_v1.txt").touch()  # or ogb asks on standard input
    (folder / "processed").mkdir()  # ogb writes there without making it


def read(name: str, data_dir: Path, split: str = "") -> Dataset:
    card = manage.card_of(name, split=split)
    assert not named.missing(card, data_dir)
    card = replace(card, statistics={}, download=[])
    return load(card, data_dir, data_dir / "cache")


def same_edges(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two edge lists have the same edges equally often."""
    return sorted(ours.t().tolist()) == sorted(theirs.t().tolist())


@pytest.mark.parametrize(
    ("name", "split_folder"), [("ogbn-arxiv", "time"), ("ogbn-products", "sales_ranking")]
)
def test_against_ogb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, split_folder: str
) -> None:
    monkeypatch.setitem(sys.modules, "outdated", None)  # or ogb asks a server at import
    from ogb.nodeproppred import NodePropPredDataset
    from torch_geometric.utils import to_undirected

    monkeypatch.setattr(ogb, "ROWS_AT_ONCE", 7)  # so that files are read in several pieces
    write(tmp_path / manage.card_of(name).folder, split_folder)
    library = NodePropPredDataset(name, root=str(tmp_path))
    theirs, labels = library[0]
    edge_index = torch.from_numpy(theirs["edge_index"])
    symmetric = to_undirected(edge_index) if name == "ogbn-arxiv" else edge_index
    dataset = read(name, tmp_path)
    assert torch.equal(dataset.store.x, torch.from_numpy(theirs["node_feat"]))
    assert dataset.store.y.tolist() == labels[:, 0].tolist()
    assert same_edges(dataset.store.whole().edge_index, symmetric)
    for part, ids in zip(dataset.split, library.get_idx_split().values(), strict=True):
        assert part.tolist() == ids.tolist()
    if name == "ogbn-arxiv":
        directed = read(name, tmp_path, split="time-directed")
        assert same_edges(directed.store.whole().edge_index, edge_index)
        assert all(map(torch.equal, directed.split, dataset.split))
