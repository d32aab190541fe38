"""`gbench check` on loaders and encodings of a user: each fault is told by its contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gbench.contracts.loaders.subject import Loader

from .conftest import Command

ENCODINGS = """
import random

import torch


def good(graph, node_ptr):
    return graph.in_degree.float().log1p().unsqueeze(1)


def place(graph, node_ptr):
    start = node_ptr[:-1].long().repeat_interleave(node_ptr.diff().long())
    return (torch.arange(graph.num_rows) - start).float().unsqueeze(1)


def share_of_largest(graph, node_ptr):
    degree = graph.in_degree.float().unsqueeze(1)
    return degree / degree.max().clamp(min=1)


def drawn(graph, node_ptr):
    return torch.rand(graph.num_rows, 2)


def divided(graph, node_ptr):
    return 1 / graph.in_degree.float().unsqueeze(1)


def as_wide_as_the_graph(graph, node_ptr):
    return graph.in_degree.float().unsqueeze(1).expand(-1, int(node_ptr.diff().max()))


def whole_numbers(graph, node_ptr):
    return graph.in_degree.unsqueeze(1)


def writes(graph, node_ptr):
    node_ptr.mul_(1).add_(0)
    graph.col.fill_(0)
    return torch.ones(graph.num_rows, 1)


def either_sign(graph, node_ptr):
    degree = graph.in_degree.double()
    starts = graph.rowptr[:-1].long()[node_ptr[:-1].long().clamp(max=graph.num_rows - 1)]
    neighbour = graph.col[starts.clamp(max=graph.num_entries - 1)] if graph.num_entries else starts
    sign = 1 - 2 * (neighbour % 2).double()
    return (degree * sign.repeat_interleave(node_ptr.diff().long())).float().unsqueeze(1)


def shown(graph, node_ptr):
    return place(graph, node_ptr)


shown.contracts = {"node-order": "the datasets' nodes have an order that means something"}
"""
BROKEN_ENCODINGS = {
    "place": ("node-order", r"column 0 of graph \d+ changes"),
    "share_of_largest": ("batching", r"beside other graphs"),
    "drawn": ("repeatable", r"answers differently"),
    "divided": ("answers", r"it answers inf to"),
    "as_wide_as_the_graph": ("answers", r"shape \(\d+, \d+\) to"),
    "whole_numbers": ("answers", r"int(32|64), where floats"),
    "writes": ("repeatable", r"writes into the graph"),
}

LOADERS = """
import glob
import os
from pathlib import Path

import torch
from gbench.data.source import Graph, Source, Split

RING = torch.stack([torch.arange(40), torch.arange(40).roll(1)])
EDGES = torch.cat([RING, RING.flip(0)], 1)
Y = (torch.arange(40) % 3 == 0).long()


def source(x, order=None):
    if order is None:
        order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    return Source([Graph(x, EDGES, Y)], [Split(order[:20], order[20:30], order[30:])], 2)


def drawn():
    return torch.randn(40, 4, generator=torch.Generator().manual_seed(1))


def good(raw):
    return source(drawn())


def label_column(raw):
    x = drawn()
    x[:, 2] = 3 - 2 * Y
    return source(x)


def other_splits(raw):
    return source(drawn(), torch.randperm(40))


def by_hash(raw):
    return source(drawn() + hash("cora") % 1000)


def shared_nodes(raw):
    return source(drawn(), torch.arange(40).clamp(max=31))


def writes(raw):
    with (Path(raw) / "seen.txt").open("a") as file:
        file.write("x")
    return source(drawn())


def by_listing(raw):
    files = [str(path) for path in Path(raw).iterdir()]
    return source(drawn() + len(files[0]) % 7)


def by_sorted_listing(raw):
    files = sorted(glob.glob(f"{raw}/*"))
    files += sorted(name for _, _, names in os.walk(raw) for name in names)
    return source(drawn() + len(files[0]) % 7)


def links(raw):
    pairs = torch.cat([EDGES.t()[:40], EDGES.t()[:40].roll(3, 0).flip(1)])
    y = torch.cat([torch.ones(40, 1), torch.zeros(40, 1)])
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    graph = Graph(drawn(), EDGES, y, None, pairs)
    return Source([graph], [Split(order[:40], order[40:60], order[60:])], 1)


def graphs(raw, leak):
    made = []
    for i in range(40):
        x = torch.randn(5, 2, generator=torch.Generator().manual_seed(i))
        if leak:
            x[:, 1] = i % 4
        made.append(Graph(x, EDGES[:, :4] % 5, torch.tensor([(3 * i + 1) % 4])))
    return Source(made, [Split(*torch.arange(40).split([20, 10, 10]))], 4)
"""
BROKEN_LOADERS = {
    "label_column": ("labels", r"column 2 of x is the label"),
    "other_splits": ("repeatable", r"it is another dataset"),
    "by_listing": ("process", r"orders sets and folders otherwise"),
    "by_hash": ("process", r"in another process.*: it is another dataset"),
    "shared_nodes": ("sound", r"repeats an item|shares an item"),
    "writes": ("untouched", r"it changes seen\.txt"),
    "leaking_graphs": ("labels", r"first node column 1 of x|column 1 of x"),
}
CARD = (
    "loss: cross-entropy\nmetric: accuracy\ndirection: max\nsplit: own\nnum_folds: 1\nfold: 0\n"
    "source: made\nlicence: CC0\ncitation: none\n"
)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a YAML for each function."""
    folder = tmp_path_factory.mktemp("zoo")
    for group in ("encoding", "data", "raw/notes"):
        (folder / group).mkdir(parents=True)
    (folder / "raw" / "notes" / "seen.txt").write_text("")
    for name in ("a", "abc", "abcdef"):
        (folder / "raw" / "files").mkdir(exist_ok=True)
        (folder / "raw" / "files" / name).write_text("")
    (folder / "myencodings.py").write_text(ENCODINGS)
    (folder / "myloaders.py").write_text(LOADERS)
    for name in re.findall(r"^def (\w+)\(graph", ENCODINGS, re.M):
        signs = "random_signs: true\n" if name == "either_sign" else ""
        path = folder / "encoding" / f"{name}.yaml"
        path.write_text(f"# mine\n_target_: myencodings.{name}\n{signs}")
    for name in {*re.findall(r"^def (\w+)\(raw\)", LOADERS, re.M)} - {"links"}:
        where = "folder: notes\n" if name == "writes" else ""
        where = "folder: files\n" if name.endswith("listing") else where
        path = folder / "data" / f"{name}.yaml"
        path.write_text(f"# mine\n_target_: myloaders.{name}\nlevel: node\n{where}{CARD}")
    card = CARD.replace("cross-entropy", "bce").replace("accuracy", "hits@3")
    path = folder / "data" / "links.yaml"
    path.write_text(f"# mine\n_target_: myloaders.links\nlevel: link\n{card}")
    for name, leak in (("graphs", "false"), ("leaking_graphs", "true")):
        path = folder / "data" / f"{name}.yaml"
        path.write_text(f"# mine\n_target_: myloaders.graphs\nleak: {leak}\nlevel: graph\n{CARD}")
    return folder


@pytest.fixture
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the second process where it is not what is looked at."""
    monkeypatch.setattr(Loader, "fingerprint_elsewhere", lambda self: self.dataset.fingerprint)


def broken(text: str) -> set[str]:
    return set(re.findall(r"^  does not hold +(\S+)", text, re.M))


def told(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("  does not hold")]
    return line


def test_a_good_encoding_holds(mine: Path, gbench: Command) -> None:
    answer = gbench("check", "encoding=good", "--config-dir", str(mine), cwd=mine)
    assert answer.returncode == 0 and "all hold" in answer.stdout, answer.stdout
    assert re.search(r"myencodings\.good \(.*myencodings\.py, line \d+\)", answer.stdout)


@pytest.mark.parametrize("name", BROKEN_ENCODINGS)
def test_a_fault_of_an_encoding(name: str, mine: Path, gbench: Command) -> None:
    contract, says = BROKEN_ENCODINGS[name]
    answer = gbench("check", f"encoding={name}", "--config-dir", str(mine), cwd=mine)
    assert broken(answer.stdout) == {contract}, answer.stdout + answer.stderr
    assert answer.returncode == 1 and re.search(says, told(answer.stdout))


def test_an_encoding_whose_sign_is_free_says_so(mine: Path, gbench: Command) -> None:
    answer = gbench("check", "encoding=either_sign", "--config-dir", str(mine), cwd=mine)
    assert answer.returncode == 0, answer.stdout
    words = ("encoding=either_sign", "encoding.random_signs=false")
    answer = gbench("check", *words, "--config-dir", str(mine), cwd=mine)
    assert "node-order" in broken(answer.stdout)


def test_an_encoding_exempts_itself_with_a_reason(mine: Path, gbench: Command) -> None:
    answer = gbench("check", "encoding=shown", "--config-dir", str(mine), cwd=mine)
    assert re.search("exempt +node-order +the datasets' nodes", answer.stdout)
    assert answer.returncode == 0


def test_a_broken_encoding_is_told_before_a_model_is_looked_at(mine: Path, gbench: Command) -> None:
    words = ("model=gcn", "encoding=divided", "--config-dir", str(mine))
    answer = gbench("check", *words, cwd=mine)
    assert answer.returncode == 2 and "encoding=divided: it answers inf" in answer.stderr


def test_a_good_loader_holds(mine: Path, gbench: Command) -> None:
    answer = gbench("check", "data=good", "--config-dir", str(mine), cwd=mine)
    assert answer.returncode == 0 and "all hold" in answer.stdout, answer.stdout + answer.stderr
    assert "not applicable  untouched" in answer.stdout


@pytest.mark.usefixtures("nowhere_else")
def test_a_good_loader_of_graphs_holds(mine: Path, gbench: Command) -> None:
    answer = gbench("check", "data=graphs", "--config-dir", str(mine), cwd=mine)
    assert answer.returncode == 0 and "all hold" in answer.stdout, answer.stdout + answer.stderr


@pytest.mark.usefixtures("nowhere_else")
@pytest.mark.parametrize(
    "name", [name for name, (contract, _) in BROKEN_LOADERS.items() if contract != "process"]
)
def test_a_fault_of_a_loader(name: str, mine: Path, gbench: Command) -> None:
    contract, says = BROKEN_LOADERS[name]
    words = (f"data={name}", f"data_dir={mine / 'raw'}", "--config-dir", str(mine))
    answer = gbench("check", *words, cwd=mine)
    assert broken(answer.stdout) == {contract}, answer.stdout + answer.stderr
    assert answer.returncode == 1 and re.search(says, told(answer.stdout))


def test_a_model_is_looked_at_on_nodes_whose_links_are_predicted(
    mine: Path, gbench: Command
) -> None:
    answer = gbench("check", "model=gcn", "data=links", "--config-dir", str(mine), cwd=mine)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "model=gcn on some of links" in answer.stdout


@pytest.mark.parametrize("name", ["by_hash", "by_listing"])
def test_what_depends_on_the_process_is_told(name: str, mine: Path, gbench: Command) -> None:
    contract, says = BROKEN_LOADERS[name]
    words = (f"data={name}", f"data_dir={mine / 'raw'}", "--config-dir", str(mine))
    answer = gbench("check", *words, cwd=mine)
    assert broken(answer.stdout) == {contract}, answer.stdout
    assert re.search(says, told(answer.stdout))


def test_a_loader_that_sorts_a_listing_holds(mine: Path, gbench: Command) -> None:
    words = ("data=by_sorted_listing", f"data_dir={mine / 'raw'}", "--config-dir", str(mine))
    answer = gbench("check", *words, cwd=mine)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_raw_files_that_are_not_there_are_the_users_to_fetch(
    mine: Path, tmp_path: Path, gbench: Command
) -> None:
    words = ("data=writes", f"data_dir={tmp_path}", "--config-dir", str(mine))
    answer = gbench("check", *words, cwd=mine)
    assert answer.returncode == 2 and "does not exist" in answer.stderr
