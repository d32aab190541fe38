"""Graph-level datasets as loaded, against PyG's and OGB's readers and published statistics."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gbench.data import manage
from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.load import load
from gbench.data.loaders import ogb
from gbench.errors import UserError

pytestmark = pytest.mark.data

Read = Callable[..., Dataset]
TEST_CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="session")
def read(data_dir: Path, shared_cache: Path) -> Read:
    def by_name(name: str, fold: int = 0, split: str = "") -> Dataset:
        card = manage.card_of(name, [TEST_CONF], split)
        return load(replace(card, fold=fold), data_dir, shared_cache)

    return by_name


def only(dataset: Dataset, i: int) -> Batch:
    return dataset.store.batch(torch.tensor([i]))


def same_edges(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two lists hold the same edges equally often, in whatever order."""
    codes = (edges[0].long() << 32 | edges[1].long() for edges in (ours, theirs))
    return torch.equal(*(code.sort().values for code in codes))


def bonds(batch: Batch) -> list[list[int]]:
    """Every edge with its categories, sorted."""
    assert batch.edge_combos is not None and batch.edge_code is not None
    kinds = batch.edge_combos[batch.edge_code.long()]
    return sorted(torch.cat([batch.edge_index.t(), kinds], dim=1).tolist())


@pytest.mark.parametrize(
    ("name", "prefix", "sizes"),
    [
        ("mutag", "MUTAG", (188, 17.93, 39.59, 7, 2)),
        ("proteins", "PROTEINS", (1113, 39.06, 145.63, 3, 2)),
        ("enzymes", "ENZYMES", (600, 32.63, 124.27, 3, 6)),
        ("imdb-binary", "IMDB-BINARY", (1000, 19.77, 193.06, 65, 2)),
    ],
)
def test_tu_is_what_pyg_reads(
    read: Read, data_dir: Path, name: str, prefix: str, sizes: tuple[float, ...]
) -> None:
    from torch_geometric.io import read_tu_data

    theirs, slices, counts = read_tu_data(str(data_dir / "TUDataset" / prefix / "raw"), prefix)
    dataset = read(name)
    store = dataset.store
    graphs = store.num_graphs
    assert (graphs, store.x.size(1), dataset.spec.num_outputs) == (sizes[0], *sizes[3:])
    assert store.num_nodes / graphs == pytest.approx(sizes[1], abs=0.005)
    assert store.num_edges / graphs == pytest.approx(sizes[2], abs=0.005)
    assert torch.equal(store.y, theirs.y)
    if theirs.x is not None:  # PyG leaves the attributes, the first columns, out as well
        assert torch.equal(store.x, theirs.x[:, counts["num_node_attributes"] :])
    whole = store.batch(torch.arange(graphs))
    first_node = whole.node_ptr[:-1].repeat_interleave(slices["edge_index"].diff())
    assert same_edges(whole.edge_index, theirs.edge_index + first_node)


def test_attributes_are_an_option_and_another_dataset(read: Read, data_dir: Path) -> None:
    from torch_geometric.io import read_tu_data

    from gbench.data.loaders import tu

    raw = data_dir / "TUDataset" / "ENZYMES" / "raw"
    theirs, _, _ = read_tu_data(str(raw), "ENZYMES")
    for features, columns in (("attributes+labels", slice(21)), ("attributes", slice(18))):
        source = tu.load(raw, split="nested-10-fold", prefix="ENZYMES", features=features)
        assert torch.equal(torch.cat([g.x for g in source.graphs]), theirs.x[:, columns])


def test_degrees_of_imdb_are_one_hot_over_those_that_occur(read: Read) -> None:
    dataset = read("imdb-binary")
    x, degree = dataset.store.x, dataset.store.in_degree.long()
    assert torch.equal(x.sum(dim=1), torch.ones(len(x))) and bool(x.any(dim=0).all())
    assert torch.equal(degree.unique()[x.argmax(dim=1)], degree)


@pytest.mark.parametrize(("name", "num_graphs"), [("proteins", 1113), ("mutag", 188)])
def test_both_protocols_of_gin_test_on_the_folds_of_its_code(
    read: Read, data_dir: Path, name: str, num_graphs: int
) -> None:
    from sklearn.model_selection import StratifiedKFold

    y = read(name).store.y
    order = torch.arange(num_graphs)
    if name == "mutag":  # the only one at hand whose order was another
        order = torch.tensor(
            [*map(int, (data_dir / "TUDataset/MUTAG/source_to_tu_index.txt").read_text().split())]
        )
    folds = StratifiedKFold(n_splits=10, shuffle=True, random_state=0).split(y[order], y[order])
    tests = [order[torch.from_numpy(test)].sort().values.tolist() for _, test in folds]
    for k in range(10):
        nested, gin = read(name, k).split, read(name, k, "gin-10-fold-selects-on-test").split
        assert nested.test.tolist() == gin.test.tolist() == gin.valid.tolist() == tests[k]
        assert nested.valid.tolist() == tests[(k + 1) % 10]
        for split in (nested, gin):
            rest = {*range(num_graphs)} - {*split.test.tolist()} - {*split.valid.tolist()}
            assert {*split.train.tolist()} == rest


def test_exp_is_what_its_pickle_holds_and_pairs_stay_together(read: Read, data_dir: Path) -> None:
    """3 s: its 3,600 tensors are files within the file, read here and by the loader."""
    import pickle

    class Trusting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> type:
            if module == "torch_geometric.data.data":
                return type("Old", (), {})
            return super().find_class(module, name)

    with (data_dir / "EXP/raw/GRAPHSAT.pkl").open("rb") as file:
        theirs = Trusting(file).load()
    dataset = read("exp")
    assert dataset.store.num_graphs == len(theirs) == 1200
    assert torch.equal(dataset.store.x.long(), torch.cat([graph.x for graph in theirs]))
    assert torch.equal(dataset.store.y, torch.cat([graph.y for graph in theirs]))
    for i in range(0, 1200, 7):
        assert same_edges(only(dataset, i).edge_index, theirs[i].edge_index)
    y = dataset.store.y.view(600, 2)
    assert bool((y.sum(dim=1) == 1).all())  # one of each pair can be satisfied
    tests = []
    for fold in range(10):
        split = read("exp", fold).split
        tests += split.test.tolist()
        assert [len(part) for part in split] == [972, 108, 120]
        for part in split:
            assert torch.equal(part.view(-1, 2)[:, 0] + 1, part.view(-1, 2)[:, 1])
    assert tests == [*range(1200)]


def test_sr25_is_what_networkx_reads(read: Read, data_dir: Path) -> None:
    import networkx

    theirs = networkx.read_graph6(data_dir / "sr25/raw/sr251256.g6")
    dataset = read("sr25")
    assert len(theirs) == dataset.store.num_graphs == 15
    for i, graph in enumerate(theirs):
        batch = only(dataset, i)
        edges = torch.tensor([*graph.edges]).t()
        assert same_edges(batch.edge_index, torch.cat([edges, edges.flip(0)], dim=1))
        assert batch.y.tolist() == [i] and bool((batch.graph.in_degree == 12).all())
    assert all(torch.equal(part, torch.arange(15)) for part in dataset.split)


def test_zinc_refuses_other_molecules(read: Read) -> None:
    """Those at hand to train on are no official ones: they have a card of their own for tests."""
    with pytest.raises(UserError, match=r"train.index is not the published file"):
        read("zinc")
    official, other = (manage.card_of(name, [TEST_CONF]) for name in ("zinc", "zinc-substitute"))
    assert other.title == "zinc-substitute"
    assert official.statistics["num_nodes"] != other.statistics["num_nodes"]


def test_zinc_reads_as_pyg_does(data_dir: Path, tmp_path: Path) -> None:
    """The official molecules to validate and test on; 3 s, for 12,000 tensors that are files."""
    from torch_geometric.datasets import ZINC

    from gbench.data.loaders import zinc

    (tmp_path / "raw").mkdir()
    for part, file in (("train", "test"), ("val", "val"), ("test", "test")):  # all are wanted
        for kind in ("pickle", "index"):
            link = tmp_path / "raw" / f"{part}.{kind}"
            link.symlink_to(data_dir / "ZINC" / "raw" / f"{file}.{kind}")
    source = zinc.load(tmp_path / "raw")
    nodes = edges = 0
    for part, ids in (("val", source.splits[0].valid), ("test", source.splits[0].test)):
        theirs = ZINC(str(tmp_path), subset=True, split=part)
        assert len(theirs) == len(ids) == 1000
        for ours, graph in zip((source.graphs[i] for i in ids), theirs, strict=True):
            assert torch.equal(ours.x, graph.x) and torch.equal(ours.y.view(-1), graph.y)
            assert torch.equal(ours.edge_index, graph.edge_index)
            assert torch.equal(ours.edge_attr.view(-1), graph.edge_attr)
            nodes, edges = nodes + graph.num_nodes, edges + graph.num_edges
    assert (nodes, edges) == (46200, 99412)


def test_molhiv(read: Read, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        expected = [
            [*ends, *kind]
            for (a, b), kind in zip(
                edges[first[i] : first[i] + counts[i]].tolist(),
                kinds[first[i] : first[i] + counts[i]].tolist(),
                strict=True,
            )
            for ends in ((a, b), (b, a))
        ]
        assert bonds(only(dataset, i)) == sorted(expected)


def test_molecules_become_the_graphs_that_ogb_distributes(read: Read, data_dir: Path) -> None:
    """RDKit's releases differ in a few features of a few molecules, not in atoms or bonds."""
    pytest.importorskip("rdkit")
    import pandas

    from gbench.data.loaders.molecules import from_smiles

    dataset = read("ogbg-molhiv")
    smiles = pandas.read_csv(data_dir / "ogbg_molhiv/mapping/mol.csv.gz")["smiles"]
    ids = [*range(0, 41127, 100)]
    sizes, atoms, edges, kinds = from_smiles([smiles[i] for i in ids])
    node = edge = same = 0
    for i, (num_atoms, num_edges) in zip(ids, sizes.tolist(), strict=True):
        batch = only(dataset, i)
        ours = torch.from_numpy(atoms[node : node + num_atoms])
        ends = torch.from_numpy(edges[edge : edge + num_edges]).long()
        assert same_edges(ends.t(), batch.edge_index)
        assert torch.equal(ours[:, 0], batch.x[:, 0])  # the elements
        triples = torch.cat([ends, torch.from_numpy(kinds[edge : edge + num_edges])], dim=1)
        same += torch.equal(ours, batch.x) and sorted(triples.tolist()) == bonds(batch)
        node, edge = node + num_atoms, edge + num_edges
    assert node == len(atoms) and edge == len(edges) == len(kinds)
    assert same / len(ids) > 0.95
