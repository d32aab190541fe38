"""Published datasets as loaded, against PyG's and OGB's readers and the published statistics."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gbench.data import manage, ogb
from gbench.data.load import Dataset, load

pytestmark = pytest.mark.data


@pytest.fixture(scope="session")
def read(data_dir: Path, shared_cache: Path):  # type: ignore[no-untyped-def]
    def by_name(name: str, fold: int = 0) -> Dataset:
        from dataclasses import replace

        return load(replace(manage.card_of(name), fold=fold), data_dir, shared_cache)

    return by_name


def normalized(x: Tensor) -> Tensor:
    from torch_geometric.data import Data
    from torch_geometric.transforms import NormalizeFeatures

    return NormalizeFeatures()(Data(x=x.clone())).x


def same_edges(ours: Tensor, theirs: Tensor) -> bool:
    return sorted(ours.t().tolist()) == sorted(theirs.t().tolist())


@pytest.mark.parametrize(
    ("name", "folder", "sizes"),
    [
        ("cora", "Cora", (2708, 10556, 1433, 7, 140, 500, 1000)),
        ("citeseer", "CiteSeer", (3327, 9104, 3703, 6, 120, 500, 1000)),
    ],
)
def test_planetoid(read, data_dir: Path, name: str, folder: str, sizes: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    from torch_geometric.io import read_planetoid_data

    dataset = read(name)
    assert tuple(dataset.statistics.values())[1:] == sizes
    theirs = read_planetoid_data(str(data_dir / "Planetoid" / folder / "raw"), folder)
    whole = dataset.store.whole()
    assert torch.allclose(whole.x, normalized(theirs.x), atol=0, rtol=1e-6)
    assert torch.equal(whole.y, theirs.y)
    assert same_edges(whole.edge_index, theirs.edge_index)
    masks = (theirs.train_mask, theirs.val_mask, theirs.test_mask)
    for part, mask in zip(dataset.split, masks, strict=True):
        assert part.tolist() == mask.nonzero().view(-1).tolist()
    sums = whole.x.sum(dim=1)
    assert torch.all((sums - 1).abs().lt(1e-4) | sums.eq(0))


def test_texas_in_all_folds(read, data_dir: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from torch_geometric.datasets import WebKB

    (tmp_path / "texas").mkdir()
    (tmp_path / "texas" / "raw").symlink_to(data_dir / "WebKB" / "texas" / "raw")
    theirs = WebKB(str(tmp_path), "texas")[0]
    for fold in range(10):
        dataset = read("texas", fold)
        for part, mask in zip(dataset.split, ("train", "val", "test"), strict=True):
            expected = theirs[f"{mask}_mask"][:, fold].nonzero().view(-1)
            assert torch.equal(part, expected)
    whole = dataset.store.whole()
    assert torch.allclose(whole.x, normalized(theirs.x), atol=0, rtol=1e-6)
    assert torch.equal(whole.y, theirs.y)
    assert same_edges(whole.edge_index, theirs.edge_index)
    assert tuple(dataset.statistics.values()) == (1, 183, 325, 1703, 5, 87, 59, 37)


def test_mutag(read, data_dir: Path) -> None:  # type: ignore[no-untyped-def]
    from sklearn.model_selection import StratifiedKFold
    from torch_geometric.io import read_tu_data

    theirs, slices, _ = read_tu_data(str(data_dir / "TUDataset" / "MUTAG" / "raw"), "MUTAG")
    dataset = read("mutag", 9)
    store = dataset.store
    assert (store.num_graphs, store.num_nodes, store.num_edges) == (188, 3371, 7442)
    assert dataset.spec.num_features == 7 and dataset.spec.num_outputs == 2
    assert torch.equal(store.x, theirs.x) and torch.equal(store.y, theirs.y)
    for i in range(188):
        first, end = slices["edge_index"][i : i + 2]
        ours = store.batch(torch.tensor([i])).edge_index
        assert same_edges(ours, theirs.edge_index[:, first:end])
    folds = StratifiedKFold(10, shuffle=True, random_state=0).split(theirs.y, theirs.y)
    tests = [test.tolist() for _, test in folds]
    assert dataset.split.test.tolist() == tests[9]
    assert dataset.split.valid.tolist() == tests[0]
    assert len(dataset.split.train) == 188 - len(tests[9]) - len(tests[0])


def test_molhiv(read, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(sys.modules, "outdated", None)  # or ogb asks a server at import
    import pandas
    from ogb.utils.features import get_atom_feature_dims, get_bond_feature_dims

    dataset = read("ogbg-molhiv")
    store, raw = dataset.store, data_dir / "ogbg_molhiv" / "raw"
    assert tuple(get_atom_feature_dims()) == ogb.ATOM_CATEGORIES == dataset.spec.node_categories
    assert tuple(get_bond_feature_dims()) == ogb.BOND_CATEGORIES == dataset.spec.edge_categories
    assert store.num_graphs == 41127
    assert store.num_nodes / 41127 == pytest.approx(25.51, abs=0.005)
    assert store.num_edges / 2 / 41127 == pytest.approx(27.47, abs=0.005)
    assert store.x.dtype == torch.uint8
    assert int(store.y.sum()) == 1443
    assert [part.numel() for part in dataset.split] == [32901, 4113, 4113]
    assert [int(store.y[part].sum()) for part in dataset.split] == [1232, 81, 130]

    # Bond by bond, from the files: both directions carry the bond's features.
    edges, kinds = (
        pandas.read_csv(raw / f"{name}.csv.gz", header=None).to_numpy()
        for name in ("edge", "edge-feat")
    )
    counts = pandas.read_csv(raw / "num-edge-list.csv.gz", header=None)[0].to_numpy()
    first = counts.cumsum() - counts
    for i in [0, 1, 41126, *range(7, 41127, 997)]:
        batch = store.batch(torch.tensor([i]))
        bonds = [
            [*ends, *kind]
            for (a, b), kind in zip(
                edges[first[i] : first[i] + counts[i]].tolist(),
                kinds[first[i] : first[i] + counts[i]].tolist(),
                strict=True,
            )
            for ends in ((a, b), (b, a))
        ]
        ours = torch.cat([batch.edge_index.t(), batch.edge_combos[batch.edge_code.long()]], dim=1)
        assert sorted(ours.tolist()) == sorted(bonds)
