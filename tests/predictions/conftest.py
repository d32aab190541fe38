"""Small folders of one's own, and short runs on them."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

OWN = '''
import torch
from gbench.data.source import Graph, Source, Split


def pairs(raw):
    """A ring of 30 nodes: links join neighbours of neighbours."""
    draw = torch.Generator().manual_seed(0)
    at = torch.arange(30)
    ends = torch.stack([at, (at + 1) % 30])
    linked = torch.stack([at, (at + 2) % 30], 1)
    others = torch.stack([at, (at + 9) % 30], 1)
    y = torch.cat([torch.ones(30, 1), torch.zeros(30, 1)])
    graph = Graph(
        torch.randn(30, 4, generator=draw),
        torch.cat([ends, ends.flip(0)], 1),
        y,
        pairs=torch.cat([linked, others]),
    )
    split = Split(at[:14], torch.tensor([*range(14, 20), *range(40, 48)]),
                  torch.tensor([*range(20, 30), *range(48, 60)]))
    return Source([graph], [split], 1, ids=[f"city {k}" for k in range(30)])
'''
PAIRS = """
_target_: own_pairs.pairs
level: link
loss: bce
metric: rocauc
split: own
num_folds: 1
fold: 0
source: made up
licence: none
citation: none
"""


SHORT = ("trainer.max_epochs=3", "trainer.select=last", "trainer.accelerator=cpu")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """`trained("model=gcn", "data=csbm")`: the folder of a finished run of three epochs."""
    runs = tmp_path_factory.mktemp("runs")

    def train(*words, config_dirs=()):
        from gbench.config.compose import compose
        from gbench.config.identity import run_name
        from gbench.own_code.kept import keep
        from gbench.training import train as train_run

        is_floor = {"model=lookup"} & {*words}
        usual = () if is_floor else SHORT
        config = compose([*usual, *words], config_dirs)
        folder = runs / run_name(config)
        if not (folder / "record.json").exists():
            if "code" in config:
                keep(config, folder)
            train_run(config, folder, Console(file=io.StringIO()))
        return folder

    return train


@pytest.fixture(scope="session")
def write_table():
    """Write a CSV file of these columns."""

    def write(path, columns):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))

    return write


@pytest.fixture(scope="session")
def read_table():
    """Read a CSV text as a list of rows by name."""
    return lambda text: [*csv.DictReader(io.StringIO(text))]


@pytest.fixture(scope="session")
def people(tmp_path_factory, write_table):
    """A folder of 40 nodes: arbitrary ids in shuffled order, classes in words, two of them gone."""
    folder, draw = tmp_path_factory.mktemp("own") / "people", np.random.default_rng(0)
    names = [f"n{k * 7 % 41}" for k in draw.permutation(40)]
    kinds, colours = draw.integers(3, size=40), draw.integers(3, size=40)
    labels = [("ant", "bee", "cat")[k] for k in kinds]
    labels[3] = labels[17] = ""
    size = (kinds + draw.normal(size=40)).round(4).tolist()
    colour = [("red", "green", "blue")[k] for k in colours]
    nodes = {"id": names, "label": labels, "size": size, "colour": colour}
    write_table(folder / "nodes.csv", nodes)
    ends = np.array([(a, (a + step) % 40) for a in range(40) for step in (1, 5)])
    kind = [("near", "far")[k] for k in draw.integers(2, size=len(ends))]
    source, target = ([names[k] for k in column] for column in ends.T)
    write_table(folder / "edges.csv", {"source": source, "target": target, "kind": kind})
    return folder


@pytest.fixture(scope="session")
def rings(tmp_path_factory, write_table):
    """`rings("tasks")`: a folder of 24 rings with two label columns, one of them with gaps.

    Of "numbers" they are to be regressed; nodes stand in shuffled order.
    """

    def made(kind):
        folder, draw = tmp_path_factory.mktemp("own") / f"rings-{kind}", np.random.default_rng(1)
        sizes = draw.integers(3, 8, size=24)
        graph = [f"g{k}" for k in draw.permutation(24)]
        of_node = [(g, k) for g, n in zip(graph, sizes, strict=True) for k in range(n)]
        order = draw.permutation(len(of_node))
        nodes = {
            "id": [f"{of_node[i][0]}/{of_node[i][1]}" for i in order],
            "graph": [of_node[i][0] for i in order],
            "x": draw.normal(size=len(order)).round(3).tolist(),
        }
        write_table(folder / "nodes.csv", nodes)
        pairs = [
            (f"{g}/{k}", f"{g}/{(k + 1) % n}")
            for g, n in zip(graph, sizes, strict=True)
            for k in range(n)
        ]
        source, target = zip(*pairs, strict=True)
        write_table(folder / "edges.csv", {"source": source, "target": target})
        first = (sizes > 5).astype(int) if kind == "tasks" else sizes / 4
        second = [int(v > 0) if kind == "tasks" else v for v in draw.normal(size=24).round(3)]
        second = ["" if k % 7 == 3 else value for k, value in enumerate(second)]
        labels = {"label_long": first.tolist(), "label_odd": second}
        write_table(folder / "graphs.csv", {"id": graph, **labels})
        return folder

    return made


@pytest.fixture(scope="session")
def own_pairs(tmp_path_factory):
    """A --config-dir with data=own_pairs, whose links are to be predicted."""
    folder = tmp_path_factory.mktemp("own_pairs")
    (folder / "data").mkdir()
    (folder / "own_pairs.py").write_text(OWN)
    (folder / "data" / "own_pairs.yaml").write_text(PAIRS)
    return Path(folder)
