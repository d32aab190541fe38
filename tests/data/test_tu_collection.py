"""The TU collection: its files as PyG reads them, and any of its datasets by `data.name=`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gbench.choices import choices, read_yaml
from gbench.config.compose import compose
from gbench.config.identity import identity, run_name
from gbench.data import manage
from gbench.data.files import named
from gbench.data.load import load
from gbench.data.loaders import tu
from gbench.data.spec import DataCard, with_name, with_split
from gbench.errors import UserError

TU_FILES = {  # of 22 graphs: paths of 2 and 3 nodes in turn, the first with a loop and a copy
    "labels": lambda i, k: str(4 + (i + k) % 3),
    "attributes": lambda i, k: f"{i / 8}, {k - 0.5}",
}


@pytest.fixture
def tu_files(tmp_path: Path) -> Path:
    folder = tmp_path / "TOY" / "raw"
    folder.mkdir(parents=True)
    sizes = [2 + i % 2 for i in range(22)]
    edges, first = ["1, 1", "1, 2"], 0
    for size in sizes:
        for k in range(1, size):
            edges += [f"{first + k}, {first + k + 1}", f"{first + k + 1}, {first + k}"]
        first += size
    places = [(i, k) for i, size in enumerate(sizes) for k in range(size)]
    content = {
        "A": edges,
        "graph_indicator": [str(i + 1) for i, _ in places],
        "graph_labels": ["-1" if i % 2 else "1" for i in range(22)],
        "graph_attributes": [f"{i / 4}, {-i}" for i in range(22)],
        **{f"node_{kind}": [row(i, k) for i, k in places] for kind, row in TU_FILES.items()},
    }
    for name, rows in content.items():
        (folder / f"TOY_{name}.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("target", ["labels", "attributes"])
@pytest.mark.parametrize(
    ("features", "columns"),
    [("labels", slice(2, None)), ("attributes", slice(2)), ("attributes+labels", slice(None))],
)
def test_tu_with_attributes_is_what_pyg_reads(
    tu_files: Path, features: str, columns: slice, target: str
) -> None:
    from torch_geometric.io import read_tu_data

    (tu_files / f"TOY_graph_{'attributes' if target == 'labels' else 'labels'}.txt").unlink()
    theirs, slices, _ = read_tu_data(str(tu_files), "TOY")
    options = {"prefix": "TOY", "features": features, "target": target}
    source = tu.load(tu_files, split="nested-10-fold", **options)
    assert torch.equal(torch.cat([g.x for g in source.graphs]), theirs.x[:, columns])
    assert torch.equal(torch.cat([g.y for g in source.graphs]), theirs.y)
    assert source.num_outputs == 2
    for i, graph in enumerate(source.graphs):
        first, end = slices["edge_index"][i : i + 2]
        ours = graph.edge_index.t().tolist()
        assert sorted(ours) == sorted(theirs.edge_index[:, first:end].t().tolist())
    tests = torch.cat([split.test for split in source.splits])
    assert sorted(tests.tolist()) == [*range(22)]


def test_tu_without_features_has_degrees_or_ones(tu_files: Path) -> None:
    for kind in ("labels", "attributes"):
        (tu_files / f"TOY_node_{kind}.txt").unlink()
    options = {"split": "nested-10-fold", "prefix": "TOY"}
    degree = tu.load(tu_files, features="degree", **options).graphs
    assert degree[0].x.tolist() == [[1, 0], [1, 0]]  # degrees 1 and 2 occur; a loop is none
    assert degree[1].x.tolist() == [[1, 0], [0, 1], [1, 0]]
    ones = tu.load(tu_files, features="constant", **options).graphs
    assert all(torch.equal(graph.x, torch.ones(len(graph.x), 1)) for graph in ones)
    with pytest.raises(UserError, match=r"has no TOY_node_labels.txt: choose other data.features"):
        tu.load(tu_files, features="labels", **options)
    with pytest.raises(UserError, match="unknown features 'degrees': did you mean 'degree'"):
        tu.load(tu_files, features="degrees", **options)


def cut(lines: list[str]) -> list[str]:
    return lines[:-3]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("graph_indicator", lambda lines: lines[2:] + lines[:2], "do not belong together"),
        ("graph_indicator", cut, "do not belong together"),
        ("graph_labels", cut, "do not belong together"),
        ("A", lambda lines: [*lines, "1, 4"], "do not belong together"),  # of graphs 1 and 2
        ("A", lambda lines: [*lines, "0, 1"], "do not belong together"),
        ("node_labels", cut, "do not have one line for each of 55 nodes"),
        ("node_labels", lambda lines: [*lines[:-1], "five"], "else than numbers"),
        ("A", lambda lines: [*lines, "7,"], "A.txt is damaged .*else than numbers"),
        ("A", lambda lines: [], "A.txt is damaged .*No columns"),
        ("A", lambda lines: [*lines, "1, 2, 3"], "A.txt is damaged"),
    ],
)
def test_damaged_files_are_told(tu_files: Path, name: str, change: Any, says: str) -> None:
    path = tu_files / f"TOY_{name}.txt"
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(UserError, match=says):
        tu.load(tu_files, split="nested-10-fold", prefix="TOY", features="labels")


def card(*words: str) -> DataCard:
    return DataCard.from_config(compose(["model=gin", "data=tu", *words])["data"])


def test_a_name_makes_the_dataset() -> None:
    made = card("data.name=NCI109", "data.fold=3")
    assert (made.name, made.title, made.folder) == ("NCI109", "NCI109", "TUDataset/NCI109/raw")
    assert made.options == {"prefix": "NCI109", "features": "labels"}
    assert made.statistics == {"num_graphs": 4127}
    assert [part["url"] for part in made.download] == [
        "https://www.chrsmrrs.com/graphkerneldatasets/NCI109.zip"
    ]
    assert sorted(named.files(made)) == [
        "NCI109_A.txt", "NCI109_graph_indicator.txt",
        "NCI109_graph_labels.txt", "NCI109_node_labels.txt",
    ]  # fmt: skip
    assert made == manage.card_of("NCI109") or made.fold == 3
    changed = card("data.name=ENZYMES", "data.features=attributes")
    assert changed.title == "enzymes features=attributes"


def test_names_do_not_share_results_or_caches() -> None:
    configs = [compose(["model=gin", "data=tu", f"data.name={name}"]) for name in ("DD", "KKI")]
    assert len({identity(config) for config in configs}) == 2
    assert [run_name(config).split("-")[0] for config in configs] == ["DD", "KKI"]


def test_a_name_with_a_yaml_of_its_own_is_that_dataset() -> None:
    assert compose(["model=gin", "data=tu", "data.name=MUTAG"]) == compose(
        ["model=gin", "data=mutag"]
    )
    assert manage.card_of("PTC_MR") == manage.card_of("ptc")
    names = read_yaml(choices("data")["tu"])["names"]
    for name, own in names.items():
        if isinstance(own, str):
            assert manage.card_of(own).options["prefix"] == name


def test_regression_sets_predict_their_attributes() -> None:
    made = card("data.name=alchemy_full", "data.split=gin-10-fold-selects-on-test")
    assert (made.loss, made.metric, made.direction) == ("l1", "mae", "min")
    assert (made.task, made.parts) == ("graph-regression", "valid-is-test")
    assert "alchemy_full_graph_attributes.txt" in named.files(made)
    assert made.options["target"] == "attributes"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], r"data=tu is a collection of 128 datasets: say which with data.name="),
        (
            ["data.name=NCI108"],
            r"unknown dataset of data=tu 'NCI108': did you mean 'NCI10?.'.*AIDS",
        ),
        (["data.name=DD", "data.metric=mae"], "DD owns its metric"),
        (["data.name=DD", "data.folder=elsewhere"], "DD owns its folder"),
        (["data.name=DD", "data.split=public"], "unknown split of DD 'public'"),
    ],
)
def test_what_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        card(*words)


def test_every_name_makes_a_sound_card() -> None:
    stated = read_yaml(choices("data")["tu"])
    for name, facts in stated["names"].items():
        if not isinstance(facts, str):
            made = DataCard.from_config(with_split(with_name({**stated, "name": name}, "tu")))
            assert made.folder == f"TUDataset/{name}/raw"
            assert len(named.files(made)) >= 3
            assert all(file.startswith(f"{name}_") for file in named.files(made))


def test_data_verbs_know_the_collection(tmp_path: Path) -> None:
    rows = manage.listing([], tmp_path, tmp_path).splitlines()
    assert [row.split()[4:6] for row in rows if row.startswith("tu ")] == [["128", "datasets:"]]
    assert manage.about("NCI109") == manage.about("tu")
    with pytest.raises(UserError, match=r"say which with data.name="):
        manage.card_of("tu")


def test_a_dataset_of_the_collection_loads(tu_files: Path, tmp_path: Path) -> None:
    """KKI's card on files that have its names; their number of graphs gives them away."""
    folder = tmp_path / "data" / "TUDataset" / "KKI" / "raw"
    folder.mkdir(parents=True)
    for path in tu_files.iterdir():
        (folder / path.name.replace("TOY", "KKI")).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="'KKI' should have num_graphs = 83, but the raw files giv"):
        load(card("data.name=KKI"), tmp_path / "data", tmp_path / "cache")
