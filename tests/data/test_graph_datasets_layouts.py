"""Small raw files in the layouts of datasets that are not at hand, as PyG or OGB reads them."""

from __future__ import annotations

import json
import math
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch import Tensor

from gbench.data import manage
from gbench.data.check import check_source
from gbench.data.files import named
from gbench.data.load import load
from gbench.data.loaders import ogb, peptides, superpixels, zinc
from gbench.data.source import Graph, Source
from gbench.errors import UserError

GENERATOR = torch.Generator().manual_seed(0)


def integers(high: int, *size: int) -> Tensor:
    return torch.randint(high, size, generator=GENERATOR)


def numbers(*size: int) -> Tensor:
    return torch.rand(*size, generator=GENERATOR)


def same(ours: Graph, theirs: Any) -> bool:
    """x, edges, their categories (in the same order) and y are equal."""
    edge_attr = getattr(theirs, "edge_attr", None)
    if ours.edge_attr is not None and not torch.equal(
        ours.edge_attr.long().view(-1), edge_attr.long().view(-1)
    ):
        return False
    return (
        torch.equal(ours.x.to(theirs.x.dtype), theirs.x)
        and torch.equal(ours.edge_index.long(), theirs.edge_index)
        and torch.equal(ours.y.view(-1), theirs.y.view(-1))
    )


def checked(name: str, source: Source, split: str = "") -> Source:
    """The source, sound by the rules of the dataset's card."""
    check_source(manage.card_of(name, split=split), source)
    return source


# ------------------------------------------------------------------------------- ZINC


@pytest.fixture
def zinc_files(tmp_path: Path) -> Path:
    """PyG's layout with more molecules than the lists pick, as the official files have."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for part in ("train", "val", "test"):
        molecules = []
        for _ in range(7):
            n = 2 + int(integers(9, 1))
            bonds = integers(4, n, n).triu(1)
            kinds = {"num_atom": n, "atom_type": integers(28, n), "bond_type": bonds + bonds.t()}
            molecules.append({**kinds, "logP_SA_cycle_normalized": numbers(1)})
        (folder / f"{part}.pickle").write_bytes(pickle.dumps(molecules))
        (folder / f"{part}.index").write_text("5,0,3,6\n")
    return folder


def test_zinc_picks_the_molecules_that_pyg_picks(zinc_files: Path) -> None:
    from torch_geometric.datasets import ZINC

    source = checked("zinc", zinc.load(zinc_files))
    for part, ids in zip(("train", "val", "test"), source.splits[0], strict=True):
        theirs = ZINC(str(zinc_files.parent), subset=True, split=part)
        assert len(ids) == len(theirs) == 4
        assert all(same(source.graphs[i], graph) for i, graph in zip(ids, theirs, strict=True))


def test_lists_that_do_not_belong_to_the_molecules_are_told(zinc_files: Path) -> None:
    (zinc_files / "val.index").write_text("5,7\n")
    with pytest.raises(UserError, match=r"val.index names molecule 7, but val.pickle holds 7"):
        zinc.load(zinc_files)


# ------------------------------------------------------------------- superpixels, Peptides


@pytest.mark.parametrize(
    ("name", "file", "colours"), [("mnist", "MNIST", 1), ("cifar10", "CIFAR10", 3)]
)
def test_superpixels_are_what_pyg_reads(tmp_path: Path, name: str, file: str, colours: int) -> None:
    from torch_geometric.datasets import GNNBenchmarkDataset

    folder = tmp_path / file / "raw"
    folder.mkdir(parents=True)
    lists = [
        [
            {
                "x": numbers(9, colours),
                "pos": numbers(9, 2),
                "edge_index": integers(9, 2, 20),
                "edge_attr": numbers(20),
                "y": torch.tensor([i % 10]),
            }
            for i in range(count)
        ]
        for count in (5, 2, 3)
    ]
    torch.save(lists, folder / f"{file}_v2.pt")
    source = checked(name, superpixels.load(folder, f"{file}_v2.pt"))
    for part, ids in zip(("train", "val", "test"), source.splits[0], strict=True):
        theirs = GNNBenchmarkDataset(str(tmp_path), file, split=part)
        assert len(ids) == len(theirs)
        for i, graph in zip(ids, theirs, strict=True):
            graph.x = torch.cat([graph.x, graph.pos], dim=1)
            assert same(source.graphs[i], graph)


def molecule(num_tasks: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """x, edge_attr, edge_index and y, as LRGB's files have them."""
    n, e = 4, 6
    x = torch.stack([integers(size, n) for size in ogb.ATOM_CATEGORIES], dim=1)
    edge_attr = torch.stack([integers(size, e) for size in ogb.BOND_CATEGORIES], dim=1)
    return x, edge_attr, integers(n, 2, e), numbers(1, num_tasks).round().to(dtype)


@pytest.mark.parametrize(("name", "tasks"), [("peptides-func", 10), ("peptides-struct", 11)])
def test_graphs_of_peptides_are_what_pyg_reads(tmp_path: Path, name: str, tasks: int) -> None:
    from torch_geometric.datasets import LRGBDataset

    card = manage.card_of(name)
    folder = tmp_path / card.folder
    folder.mkdir(parents=True)
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        molecules = [molecule(tasks, torch.float32) for _ in range(count)]
        torch.save(molecules, folder / f"{part}.pt")
    source = checked(name, peptides.load(folder, **card.options))
    assert source.num_outputs == tasks
    for part, ids in zip(("train", "val", "test"), source.splits[0], strict=True):
        theirs = LRGBDataset(str(tmp_path), name, split=part)
        assert len(ids) == len(theirs)
        assert all(same(source.graphs[i], graph) for i, graph in zip(ids, theirs, strict=True))


SMILES = ("CC(=O)N[C@@H](C)C(=O)O", "N", "c1ccccc1O", "C/C=C/C", "[Na+].[Cl-]")


def smiles_files(folder: Path, card: Any, columns: dict[str, Any]) -> Path:
    """The authors' layout, of a few molecules."""
    root = folder / card.otherwise["folder"]
    (root / "raw").mkdir(parents=True)
    table = pandas.DataFrame({"smiles": SMILES, **columns})
    table.to_csv(root / card.options["table"])
    parts = {"train": np.array([4, 0, 2]), "val": np.array([1]), "test": np.array([3])}
    (root / card.options["split_file"]).write_bytes(pickle.dumps(parts))
    return root


def test_functions_of_peptides_from_smiles(tmp_path: Path, monkeypatch: Any) -> None:
    """3 s: two processes start."""
    pytest.importorskip("rdkit")
    monkeypatch.setitem(sys.modules, "outdated", None)  # or ogb asks a server at import
    from ogb.utils import smiles2graph

    card = manage.card_of("peptides-func")
    labels = [[int(k == i) for k in range(10)] for i in range(5)]
    root = smiles_files(tmp_path, card, {"labels": [json.dumps(row) for row in labels]})
    # only this form is at hand, so the card's own files are not asked for
    found = named.at_hand(card, tmp_path)
    assert named.missing(card, tmp_path) == [] and found.folder == "peptides-functional"
    source = checked("peptides-func", peptides.load(root, **card.options))
    assert [part.tolist() for part in source.splits[0]] == [[4, 0, 2], [1], [3]]
    for i, (graph, text) in enumerate(zip(source.graphs, SMILES, strict=True)):
        theirs = smiles2graph(text)
        assert graph.x.tolist() == theirs["node_feat"].tolist()
        assert graph.edge_index.tolist() == theirs["edge_index"].tolist()
        assert graph.edge_attr.tolist() == theirs["edge_feat"].tolist()
        assert graph.y.tolist() == [labels[i]]


def test_shapes_of_peptides_are_scaled_over_all(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    card = manage.card_of("peptides-struct")
    values = numbers(5, 11).double().numpy()
    columns = dict(zip(card.options["targets"], values.T, strict=True))
    root = smiles_files(tmp_path, card, columns)
    source = checked("peptides-struct", peptides.load(root, **card.options))
    y = torch.cat([graph.y for graph in source.graphs]).double().numpy()
    expected = (values - values.mean(axis=0)) / values.std(axis=0, ddof=1)
    assert np.allclose(y, expected, atol=1e-6)


def test_a_molecule_that_rdkit_cannot_read_is_told() -> None:
    pytest.importorskip("rdkit")
    from gbench.data.loaders.molecules import from_smiles

    with pytest.raises(UserError, match=r"RDKit .* cannot read the molecule C\(C"):
        from_smiles(["CC", "C(C"])


def test_smiles_without_rdkit_say_what_to_install(monkeypatch: Any) -> None:
    from gbench.data.loaders.molecules import from_smiles

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'gbench\[molecules\]'"):
        from_smiles(["CC"])


# -------------------------------------------------------------------------------- OGB


@pytest.mark.parametrize(
    ("name", "label", "counts"),
    [
        ("ogbg-moltox21", ["1", "0", "", ""], (5, 3, 4)),
        ("ogbg-molesol", ["-0.77", "1.25", "3", "0.5"], (5, 3, 4)),
        ("ogbg-molclintox", ["1", "0", "1", "0"], (1, 2, 2)),  # an atom alone has no bonds
    ],
)
def test_molecules_are_what_ogb_reads(
    tmp_path: Path, monkeypatch: Any, name: str, label: list[str], counts: tuple[int, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "outdated", None)
    from ogb.io.read_graph_raw import read_csv_graph_raw

    card = manage.card_of(name)
    folder = tmp_path / card.folder
    bonds = [count - 1 for count in counts]

    def write(path: str, rows: list[Any]) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        table = pandas.DataFrame(rows)
        table.to_csv(folder / path, header=False, index=False, compression="gzip")

    atoms = torch.stack([integers(size, sum(counts)) for size in ogb.ATOM_CATEGORIES], dim=1)
    kinds = torch.stack([integers(size, sum(bonds)) for size in ogb.BOND_CATEGORIES], dim=1)
    tasks = card.statistics["num_tasks"]
    write("raw/node-feat.csv.gz", atoms.tolist())
    write("raw/edge-feat.csv.gz", kinds.tolist())
    write("raw/edge.csv.gz", [[i, i + 1] for count in counts for i in range(count - 1)])
    write("raw/num-node-list.csv.gz", [*counts])
    write("raw/num-edge-list.csv.gz", bonds)
    write("raw/graph-label.csv.gz", [[label[(i + t) % 4] for t in range(tasks)] for i in range(3)])
    for part, ids in (("train", [2]), ("valid", [0]), ("test", [1])):
        write(f"split/scaffold/{part}.csv.gz", ids)

    source = checked(name, ogb.load(folder, **card.options))
    theirs = read_csv_graph_raw(str(folder / "raw"), add_inverse_edge=True)
    assert len(source.graphs) == len(theirs) == 3
    for i, (graph, other) in enumerate(zip(source.graphs, theirs, strict=True)):
        assert graph.x.tolist() == other["node_feat"].tolist()
        ours = torch.cat([graph.edge_index.t(), graph.edge_attr], dim=1)
        both = np.concatenate([other["edge_index"].T, other["edge_feat"]], axis=1)
        assert sorted(ours.tolist()) == sorted(both.tolist())
        expected = [float(label[(i + t) % 4] or math.nan) for t in range(tasks)]
        assert torch.equal(graph.y.nan_to_num(-9), torch.tensor([expected]).nan_to_num(-9))
    assert [part.tolist() for part in source.splits[0]] == [[2], [0], [1]]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b\x08", b"not a gzip file"])
def test_damaged_molecules_are_one_message(tmp_path: Path, damage: bytes) -> None:
    card = manage.card_of("ogbg-molbace")
    for name in named.files(card):
        path = tmp_path / card.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damage)
    with pytest.raises(UserError, match=r"the raw files of 'ogbg-molbace' in .* are damaged \("):
        load(card, tmp_path, tmp_path / "cache")
    assert not [*(tmp_path / "cache").rglob("*.pt")]
