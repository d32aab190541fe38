"""Node-level datasets as loaded from the real files, against PyG's readers of the same files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gbench.data import manage
from gbench.data.dataset import Dataset
from gbench.data.load import load
from gbench.data.loaders import npz_graph
from gbench.data.loaders.edges import both_directions, largest_component, without_loops
from gbench.locate import locate

pytestmark = pytest.mark.data

Read = Callable[..., Dataset]
MASKS = ("train_mask", "val_mask", "test_mask")


@pytest.fixture(scope="session")
def read(data_dir: Path, shared_cache: Path) -> Read:
    def by_name(name: str, split: str = "", fold: int = 0) -> Dataset:
        card = replace(manage.card_of(name, split=split), fold=fold)
        return load(card, data_dir, shared_cache)

    return by_name


def linked(data_dir: Path, folder: str, tmp_path: Path) -> Path:
    """A folder that PyG may write to, with the raw files of `folder` in it."""
    raw = tmp_path / folder / "raw"
    raw.parent.mkdir(parents=True)
    raw.symlink_to(data_dir / folder / "raw")
    return tmp_path


def normalized(x: Tensor) -> Tensor:
    from torch_geometric.data import Data
    from torch_geometric.transforms import NormalizeFeatures

    return NormalizeFeatures()(Data(x=x.clone())).x


def assert_same_graph(ours: Dataset, theirs: Any) -> None:
    """Features, labels and edges of a PyG `Data` object, whatever the order of its edges."""
    from torch_geometric.utils import coalesce

    whole = ours.store.whole()
    x = normalized(theirs.x) if ours.card.normalize_features else theirs.x
    assert torch.allclose(whole.x, x, atol=0, rtol=1e-6)
    assert torch.equal(whole.y.view(-1).long(), theirs.y)
    expected = coalesce(theirs.edge_index, sort_by_row=False)
    assert torch.equal(whole.edge_index, expected)
    assert expected.size(1) == theirs.edge_index.size(1)


def sizes(dataset: Dataset) -> tuple[int, ...]:
    return tuple(dataset.statistics.values())[1:]


@pytest.mark.parametrize(
    ("name", "folder", "expected"),
    [
        ("cora", "Cora", (2708, 10556, 1433, 7, 140, 500, 1000)),
        ("citeseer", "CiteSeer", (3327, 9104, 3703, 6, 120, 500, 1000)),
    ],
)
def test_planetoid_under_the_public_split(
    read: Read, data_dir: Path, name: str, folder: str, expected: tuple[int, ...]
) -> None:
    from torch_geometric.io import read_planetoid_data

    theirs = read_planetoid_data(str(data_dir / "Planetoid" / folder / "raw"), folder)
    dataset = read(name)
    assert sizes(dataset) == expected
    assert_same_graph(dataset, theirs)
    for part, mask in zip(dataset.split, MASKS, strict=True):
        assert torch.equal(part, theirs[mask].nonzero().view(-1))
    sums = dataset.store.x.sum(dim=1)
    assert torch.all((sums - 1).abs().lt(1e-4) | sums.eq(0))


@pytest.mark.parametrize(
    ("name", "folder", "fold_sizes"),
    [
        ("cora", "Cora", [(1192, 796, 497)] * 10),
        (
            "citeseer",
            "CiteSeer",
            [(1017, 679, 424) if fold in (4, 5) else (1596, 1065, 666) for fold in range(10)],
        ),
    ],
)
def test_planetoid_under_the_splits_of_geom_gcn(
    read: Read,
    data_dir: Path,
    tmp_path: Path,
    name: str,
    folder: str,
    fold_sizes: list[tuple[int, ...]],
) -> None:
    from torch_geometric.datasets import Planetoid

    root = linked(data_dir, f"Planetoid/{folder}/geom-gcn", tmp_path) / "Planetoid"
    theirs = Planetoid(str(root), folder, split="geom-gcn")[0]
    public = read(name)
    for fold in range(10):
        dataset = read(name, "geom-gcn", fold)
        for part, mask in zip(dataset.split, MASKS, strict=True):
            assert torch.equal(part, theirs[mask][:, fold].nonzero().view(-1))
        assert tuple(map(len, dataset.split)) == fold_sizes[fold]
    assert_same_graph(dataset, theirs)
    assert torch.equal(dataset.store.x, public.store.x)
    assert torch.equal(dataset.store.col, public.store.col)


@pytest.mark.parametrize(("name", "num_classes"), [("cora", 7), ("citeseer", 6)])
def test_planetoid_under_random_splits(read: Read, name: str, num_classes: int) -> None:
    drawn = set()
    for fold in (0, 1, 99):
        dataset = read(name, "random", fold)
        y, split = dataset.store.y, dataset.split
        assert torch.bincount(y[split.train]).tolist() == [20] * num_classes
        assert (len(split.valid), len(split.test)) == (500, 1000)
        assert torch.cat(split).unique().numel() == 20 * num_classes + 1500
        drawn.add(tuple(split.train.tolist()))
    assert len(drawn) == 3
    assert torch.equal(dataset.store.x, read(name).store.x)


@pytest.mark.parametrize(
    ("name", "folder", "num_train"), [("cora", "Cora", 1208), ("citeseer", "CiteSeer", 1827)]
)
def test_planetoid_under_the_full_split(
    read: Read, data_dir: Path, tmp_path: Path, name: str, folder: str, num_train: int
) -> None:
    from torch_geometric.datasets import Planetoid

    root = linked(data_dir, f"Planetoid/{folder}", tmp_path) / "Planetoid"
    theirs = Planetoid(str(root), folder, split="full")[0]
    dataset = read(name, "full")
    assert len(dataset.split.train) == num_train
    for part, mask in zip(dataset.split, MASKS, strict=True):
        assert torch.equal(part, theirs[mask].nonzero().view(-1))


def test_nodes_of_citeseer_without_a_label_are_told(read: Read) -> None:
    said = "15 nodes have no label in the files and count as class 0, as in published code: in "
    assert read("citeseer").notes == ()  # none of them is in a part of the public split
    assert read("citeseer", "full").notes == (
        said + "this split 15 of them train, 0 validate, 0 test",
    )
    # 2.2 of them are tested by a fold on average
    assert read("citeseer", "geom-gcn").notes == (
        said + "a fold 4 to 11 of them train, 0 to 7 validate, 0 to 4 test",
    )
    for split in ("public", "full", "geom-gcn"):
        told = read("citeseer", split).told["no label"]
        assert told == "15 of 3,327 nodes; class 0, as in published code"
    assert read("cora", "full").notes == ()
    assert "no label" not in read("cora", "full").told


@pytest.mark.parametrize(
    ("name", "split", "num_entries"),
    [
        ("cora", "public", 10858),
        ("citeseer", "public", 9464),
        ("chameleon", "geom-gcn-undirected", 36101),
        ("photo", "random", 143663),
        ("photo", "random-lcc", 143591),
    ],
)
def test_edges_as_stored(
    read: Read, data_dir: Path, name: str, split: str, num_entries: int
) -> None:
    card = manage.card_of(name, split=split)
    load_stored = locate(card._target_)
    options = {**card.options, "split": split, "as_stored": True}
    stored = load_stored(data_dir / card.folder, **options)
    seen = read(name, split)
    assert stored.graphs[0].edge_index.size(1) == num_entries
    if card.split != "geom-gcn":
        both = both_directions(without_loops(stored.graphs[0].edge_index), len(seen.store.x))
        assert torch.equal(seen.store.whole().edge_index, both)
    for part, same in zip(seen.split, stored.splits[0], strict=True):
        assert torch.equal(part, same)


@pytest.mark.parametrize(
    ("name", "folder", "kind", "expected", "undirected"),
    [
        ("texas", "WebKB/texas", "WebKB", (183, 325, 1703, 5, 87, 59, 37), 558),
        ("cornell", "WebKB/cornell", "WebKB", (183, 298, 1703, 5, 87, 59, 37), 554),
        (
            "chameleon",
            "WikipediaNetwork/chameleon/geom_gcn",
            "WikipediaNetwork",
            (2277, 36101, 2325, 5, 1092, 729, 456),
            62742,
        ),
        ("actor", "Actor", "Actor", (7600, 30019, 932, 5, 3648, 2432, 1520), 53318),
    ],
)
def test_geom_gcn(
    read: Read,
    data_dir: Path,
    tmp_path: Path,
    name: str,
    folder: str,
    kind: str,
    expected: tuple[int, ...],
    undirected: int,
) -> None:
    import torch_geometric.datasets
    from torch_geometric.utils import remove_self_loops, to_undirected

    root = linked(data_dir, folder, tmp_path) / kind
    arguments = (str(root),) if kind == "Actor" else (str(root), name)
    theirs = getattr(torch_geometric.datasets, kind)(*arguments)[0]
    dataset = read(name)
    assert sizes(dataset) == expected
    assert_same_graph(dataset, theirs)
    for fold in range(10):
        for part, mask in zip(read(name, fold=fold).split, MASKS, strict=True):
            assert torch.equal(part, theirs[mask][:, fold].nonzero().view(-1))

    both = read(name, "geom-gcn-undirected", 3)
    assert both.statistics["num_edges"] == undirected
    theirs.edge_index = to_undirected(remove_self_loops(theirs.edge_index)[0])
    assert_same_graph(both, theirs)
    assert both.split.test.tolist() == read(name, fold=3).split.test.tolist()


@pytest.mark.parametrize(
    ("name", "folder", "expected", "reduced"),
    [
        ("computers", "Computers", (13752, 491722, 767, 10, 200, 300, 13252), (13381, 491556)),
        ("photo", "Photo", (7650, 238162, 745, 8, 160, 240, 7250), (7487, 238086)),
    ],
)
def test_amazon(
    read: Read,
    data_dir: Path,
    tmp_path: Path,
    name: str,
    folder: str,
    expected: tuple[int, ...],
    reduced: tuple[int, int],
) -> None:
    from torch_geometric.datasets import Amazon
    from torch_geometric.transforms import LargestConnectedComponents

    theirs = Amazon(str(linked(data_dir, f"Amazon/{folder}", tmp_path) / "Amazon"), name)[0]
    dataset = read(name, fold=7)
    num_classes = expected[3]
    assert sizes(dataset) == expected
    assert_same_graph(dataset, theirs)
    assert torch.bincount(theirs.y[dataset.split.train]).tolist() == [20] * num_classes
    assert torch.bincount(theirs.y[dataset.split.valid]).tolist() == [30] * num_classes
    assert torch.cat(dataset.split).sort().values.equal(torch.arange(expected[0]))

    component = LargestConnectedComponents()(theirs.clone())
    smaller = read(name, "random-lcc", 7)
    assert sizes(smaller)[:2] == reduced
    assert_same_graph(smaller, component)
    assert torch.bincount(component.y[smaller.split.train]).tolist() == [20] * num_classes
    assert torch.bincount(component.y[smaller.split.valid]).tolist() == [30] * num_classes
    assert torch.cat(smaller.split).sort().values.equal(torch.arange(reduced[0]))

    quirk = read(name, "dagnn-lcc-quirk", 7)
    assert_same_graph(quirk, theirs)  # the whole graph, although the draw is from a part of it
    assert torch.cat(quirk.split).sort().values.equal(torch.arange(reduced[0]))
    assert torch.bincount(component.y[quirk.split.train]).tolist() == [20] * num_classes
    actual = torch.bincount(theirs.y[quirk.split.train], minlength=num_classes).tolist()
    assert actual != [20] * num_classes
    nodes = largest_component(theirs.edge_index, expected[0])
    assert torch.equal(theirs.y[nodes], component.y)


def test_coauthor_cs(data_dir: Path) -> None:
    """Straight from the loader, 4 s: to cache 0.5 GB of features takes as long again."""
    from torch_geometric.io import read_npz

    raw = data_dir / "Coauthor" / "CS" / "raw"
    theirs = read_npz(str(raw / "ms_academic_cs.npz"))
    graphs, splits, num_outputs = npz_graph.load(raw, "ms_academic_cs", "random")[:3]
    assert torch.equal(graphs[0].x, theirs.x)
    assert torch.equal(graphs[0].y, theirs.y)
    codes = [edges[1] * 18333 + edges[0] for edges in (graphs[0].edge_index, theirs.edge_index)]
    assert torch.equal(codes[0].sort().values, codes[1].sort().values)
    declared = manage.card_of("cs").statistics
    assert declared == {
        "num_graphs": 1,
        "num_nodes": graphs[0].x.size(0),
        "num_edges": graphs[0].edge_index.size(1),
        "num_features": graphs[0].x.size(1),
        "num_classes": num_outputs,
        "num_train": len(splits[0].train),
        "num_valid": len(splits[0].valid),
        "num_test": len(splits[0].test),
    }
    assert len(splits) == manage.card_of("cs").num_folds == 100


def test_minesweeper(read: Read, data_dir: Path, tmp_path: Path) -> None:
    from torch_geometric.datasets import HeterophilousGraphDataset

    folder = "HeterophilousGraphDataset/minesweeper"
    root = linked(data_dir, folder, tmp_path) / "HeterophilousGraphDataset"
    theirs = HeterophilousGraphDataset(str(root), "Minesweeper")[0]
    dataset = read("minesweeper")
    assert sizes(dataset) == (10000, 78804, 7, 1, 5000, 2500, 2500)
    assert_same_graph(dataset, theirs)
    assert dataset.store.y.shape == (10000, 1) and dataset.store.y.dtype == torch.float32
    for fold in range(10):
        for part, mask in zip(read("minesweeper", fold=fold).split, MASKS, strict=True):
            assert torch.equal(part, theirs[mask][:, fold].nonzero().view(-1))


def test_files_at_hand_are_where_pyg_looks_for_them(data_dir: Path) -> None:
    """Every file that a card names, under every split: hashes are verified when it is loaded."""
    names = ("cora", "citeseer", "texas", "cornell", "chameleon", "actor", "computers", "photo",
             "cs", "minesweeper")  # fmt: skip
    for name in names:
        for split in manage.card_of(name).splits or [""]:
            card = manage.card_of(name, split=split)
            found = {
                str(path.relative_to(data_dir / card.folder))
                for path in (data_dir / card.folder).iterdir()
            }
            assert {file for part in card.download for file in part["files"]} == found
