"""Small random datasets in every form that gbench reads, each with what must be said of it.

Features are noise and labels are drawn without looking at them, so that no model can know them.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
import torch_geometric.transforms as T
from numpy.random import RandomState
from torch_geometric.data import Data, InMemoryDataset

KINDS = {  # classes, in increasing order
    "from 0": [0, 1, 2], "signs": [-1, 1], "years": [2019, 2021, 2023], "gaps": [3, 7, 8, 40],
    "codes": [10_000_007, 20_000_003, 90_000_001], "three signs": [-1, 0, 1],
    "words": ["amine", "ester", "ketone"], "bits": [False, True], "two": [1, 2],
}  # fmt: skip


@dataclass
class Made:
    """A dataset on disk, and what is to be said of it."""

    path: Path
    form: str
    level: str = "node"
    task: str = "classification"
    classes: list[str] = field(default_factory=list)
    items: int = 0
    unlabelled: int = 0
    named: list[str] = field(default_factory=list)  # what is not used
    refused: list[str] = field(default_factory=list)  # parts of sentences of which one is due
    tested: list[int] | None = None  # the user's own test part
    is_fair: bool = False  # the classes are even, and the parts drawn without looking at them
    width: int | None = None  # of the features


def made(folder: Path, random: RandomState) -> Made:
    """One dataset in a new folder."""
    folder.mkdir(parents=True)
    form = ("table", "saved", "loader")[random.choice(3, p=[0.4, 0.4, 0.2])]
    level = ("node", "graph")[random.randint(2)]
    about = Made(folder, form, level, items=int(random.randint(20, 60)))
    y = _labels(about, random)
    {"table": _table, "saved": _saved, "loader": _loader}[form](about, y, random)
    return about


def _labels(about: Made, random: RandomState) -> list[Any]:
    """Labels with None for the unlabelled, or rows of numbers with NaN for the gaps."""
    n, kind = about.items, random.rand()
    if kind < 0.7:
        name = [*KINDS][random.randint(len(KINDS))]
        order = random.randint(len(KINDS[name]), size=n)
        about.classes = [str(value) for value in KINDS[name]]
        if random.rand() < 0.5:
            order = np.sort(order)  # so that a column that counts the rows would tell them
        y: list[Any] = [KINDS[name][k] for k in order]
        about.is_fair = True
        if random.rand() < 0.4:
            for i in random.choice(n, n // 5, replace=False):
                y[i] = None
        left = {str(value) for value in y if value is not None}
        about.classes = [name for name in about.classes if name in left]
    elif kind < 0.85:
        about.task, width = "regression", random.randint(1, 4)
        y = [*random.randn(n, width)]
        if width > 1 and random.rand() < 0.5:
            for i in random.choice(n, n // 5, replace=False):
                y[i][random.randint(width)] = np.nan
    else:
        about.task, width = "multi-label", random.randint(2, 4)
        y = [*random.randint(2, size=(n, width)).astype(float)]
        y[0][:] = 1  # no row of one-hot classes
        if random.rand() < 0.5:
            for i in random.choice(n, n // 5, replace=False):
                y[i][random.randint(width)] = np.nan
    about.unlabelled = sum(value is None for value in y)
    return y


def _parts(about: Made, y: list[Any], random: RandomState) -> list[list[int]]:
    """Three parts of what has a label, drawn without looking at it; the second may be missing."""
    known = [i for i in random.permutation(about.items).tolist() if y[i] is not None]
    first, second = len(known) // 2, 3 * len(known) // 4
    parts = [sorted(known[:first]), sorted(known[first:second]), sorted(known[second:])]
    if random.rand() < 0.4:
        parts = [sorted(parts[0] + parts[1]), [], parts[2]]
    about.tested = parts[2]
    return parts


def _sizes(about: Made, random: RandomState) -> list[int]:
    return [about.items] if about.level == "node" else random.randint(1, 7, about.items).tolist()


def _edges(n: int, random: RandomState) -> np.ndarray:
    return random.randint(n, size=(2, random.randint(0, 3 * n)))


# --- tables ------------------------------------------------------------------------------------


def _table(about: Made, y: list[Any], random: RandomState) -> None:
    sizes = _sizes(about, random)
    num_nodes, first = sum(sizes), np.cumsum([0, *sizes[:-1]])
    gap = ["", "NA", "nan"][random.randint(3)] if about.classes[:1] != ["amine"] else "NA"
    if random.rand() < 0.2:
        gap = "?" if about.classes[:1] == ["amine"] else "-99"
        (about.path / "dataset.yaml").write_text(f"unlabelled: '{gap}'\n".replace("'-99'", "-99"))
    columns = _columns(y, gap)
    nodes: dict[str, Any] = {"id": [f"v{i}" for i in range(num_nodes)]}
    width = random.randint(0, 4)
    about.width = max(width, 1)
    nodes |= {f"f{k}": random.randn(num_nodes).round(3) for k in range(width)}
    if about.level == "node":
        nodes |= columns
    else:
        nodes["graph"] = np.repeat([f"g{i}" for i in range(about.items)], sizes)
        graphs = {"id": [f"g{i}" for i in range(about.items)], **columns}
        _write(about, "graphs", pandas.DataFrame(graphs), random)
    pairs = [_edges(n, random) + start for n, start in zip(sizes, first, strict=True)]
    pairs = np.unique(np.sort(np.concatenate(pairs, axis=1), axis=0), axis=1)
    edges: dict[str, Any] = {
        "source": [f"v{i}" for i in pairs[0]],
        "target": [f"v{i}" for i in pairs[1]],
    }
    for k in range(random.randint(0, 3)):
        values = random.choice(["x", "y", "z"], pairs.shape[1])
        edges[f"kind{k}"] = (
            values if random.rand() < 0.5 else random.randint(5, size=pairs.shape[1])
        )
    if random.rand() < 0.1 and pairs.shape[1]:
        edges["weight"] = random.randn(pairs.shape[1]).round(3)
    if random.rand() < 0.1 and pairs.shape[1]:
        edges["length"] = random.rand(pairs.shape[1]).round(3) + 0.0005
    if random.rand() < 0.1:
        nodes["type"] = random.choice(["p", "q"], num_nodes)
        about.width = 1
    _write(about, "nodes", pandas.DataFrame(nodes), random)
    _write(about, "edges", pandas.DataFrame(edges), random)
    if random.rand() < 0.6:
        parts = _parts(about, y, random)
        rows = [(f"{'vg'[about.level == 'graph']}{i}", name) for name, part in
                zip(("train", "valid", "test"), parts, strict=True) for i in part]  # fmt: skip
        _write(about, "splits", pandas.DataFrame(rows, columns=["id", "part"]), random)


def _columns(y: list[Any], gap: str) -> dict[str, list[Any]]:
    if isinstance(y[0], np.ndarray):
        rows = [["" if np.isnan(v) else repr(float(v)) for v in row] for row in y]
        names = ["label"] if len(rows[0]) == 1 else [f"label_{k}" for k in range(len(rows[0]))]
        return {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return {"label": [gap if value is None else value for value in y]}


def _write(about: Made, name: str, frame: pandas.DataFrame, random: RandomState) -> None:
    """As pandas with and without its index, R with and without row names, or a spreadsheet."""
    way = random.randint(6)
    if way == 0:
        text = frame.to_csv()
        if len(frame):
            about.named.append(f"{name}.csv: column 1")
    elif way in (1, 2):  # write.csv, and write.table(sep=",") which leaves a corner out
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow([*([""] if way == 1 else []), *frame.columns])
        writer.writerows([str(i + 1), *row] for i, row in enumerate(frame.itertuples(index=False)))
        text = out.getvalue().replace('"NA"', "NA")
        if len(frame):
            about.named.append(f"{name}.csv: column 1")
    else:
        text = frame.to_csv(index=False, quoting=[csv.QUOTE_MINIMAL, csv.QUOTE_ALL][way == 3])
    if random.rand() < 0.3:
        commas = "," * (len(text.partition("\n")[0].split(",")) - 1)
        text += f"{commas}\n" * 2 if not commas.strip(",") and way != 2 else "\n\n"
    ends = ["\n", "\r\n", "\r"][random.choice(3, p=[0.6, 0.3, 0.1])]
    text = ("\ufeff" if random.rand() < 0.2 else "") + text.replace("\n", ends)
    (about.path / f"{name}.csv").write_bytes(text.encode())


# --- what PyG saves ----------------------------------------------------------------------------


def _features(n: int, width: int, kind: int, random: RandomState) -> torch.Tensor:
    x = torch.from_numpy(random.randn(n, width))
    return [x.float(), x, x > 0, (x * 2).abs().long(), x.half()][kind]


def _extras(n: int, e: int, random: RandomState) -> dict[str, Any]:
    """What people keep in a Data besides, and gbench does not read."""
    every = {
        "edge_weight": torch.rand(e), "pos": torch.rand(n, 3), "weight": torch.rand(e),
        "name": "mine", "score": np.float32(0.5), "idx": np.int64(3), "sizes": [1, 2],
        "z": torch.ones(n).long(),
        "mass": torch.rand(n), "raw": np.ones(2), "flag": True, "tags": ["a", "b"],
        "meta": {"a": 1},
    }  # fmt: skip
    chosen = random.choice([*every], random.randint(0, 4), replace=False)
    return {str(key): every[key] for key in chosen}


def _graphs(about: Made, y: list[Any], random: RandomState) -> list[Data]:
    kind, width = random.randint(5), random.randint(0, 4)
    about.width = max(width, 1) if kind != 3 or width else 1
    with_attr = random.choice(3, p=[0.6, 0.3, 0.1])
    seed = random.randint(2**31)
    content = []
    for i, n in enumerate(_sizes(about, random)):
        edges = torch.from_numpy(_edges(n, random))
        data = Data(x=_features(n, width, kind, random), edge_index=edges)
        if with_attr == 1:
            data.edge_attr = torch.from_numpy(random.randint(3, size=(edges.size(1), 2)))
        elif with_attr == 2:
            data.edge_attr = torch.rand(edges.size(1), 1) + 0.001
        data.update(_extras(n, edges.size(1), RandomState(seed)))
        data.y = _y_of(about, y if about.level == "node" else [y[i]])
        content.append(data)
    extras = [*_extras(1, 1, RandomState(seed))]
    read = next((name for name in ("edge_weight", "weight") if name in extras), "")
    about.named += [name for name in extras if name != read]
    return content


def _y_of(about: Made, y: list[Any]) -> Any:
    if isinstance(y[0], np.ndarray):
        return torch.from_numpy(np.stack(y)).float()
    is_words = {*KINDS["words"]} & {*about.classes}
    if about.unlabelled and not is_words:
        return torch.tensor(
            [np.nan if value is None else float(value) for value in y], dtype=torch.double
        )
    if is_words:
        return [value or "NA" for value in y]
    return torch.tensor(y)


def _saved(about: Made, y: list[Any], random: RandomState) -> None:
    if about.unlabelled and "amine" in about.classes:  # words have no NaN, and need a mark
        (about.path / "dataset.yaml").write_text("unlabelled: NA\n")
    if about.unlabelled and about.classes[:1] in (["False"], ["True"]):
        about.classes = [str(int(name == "True")) for name in about.classes]
    content = _graphs(about, y, random)
    if about.level == "node":
        (data,) = content
        if random.rand() < 0.6:
            _masks(about, data, y, random)
        way = random.randint(4)
        data = [lambda d: d, lambda d: d.sort(), T.ToUndirected(), T.Compose([])][way](data)
        if random.rand() < 0.3:
            torch.save((data.to_dict(), None, Data), about.path / "data.pt")
        else:
            torch.save(data, about.path / "data.pt")
        return
    names = {key for data in content for key in data.to_dict()}
    can_collate = not names & {
        "score",
        "idx",
        "raw",
        "sizes",
        "tags",
        "meta",
    } and "amine" not in str(y)
    if can_collate and random.rand() < 0.5:
        data, slices = InMemoryDataset.collate(content)
        form = (data.to_dict(), slices, Data) if random.rand() < 0.5 else (data, slices)
        torch.save(form, about.path / "data.pt")
    else:
        torch.save(content, about.path / "data.pt")


def _masks(about: Made, data: Data, y: list[Any], random: RandomState) -> None:
    parts = _parts(about, y, random)
    way = random.rand()
    names = ["train_mask", "val_mask", "test_mask"]
    if way < 0.1:
        names = ["train_mask"]
        about.refused.append("no test_mask")
    elif way < 0.2 and parts[1]:
        parts[1] = parts[1] + parts[2][:1]
        about.refused.append("share")
    for name, part in zip(("train_mask", "val_mask", "test_mask"), parts, strict=True):
        if name in names and part:
            mask = torch.zeros(about.items, dtype=torch.bool)
            mask[part] = True
            data[name] = mask


# --- loaders -----------------------------------------------------------------------------------


def _loader(about: Made, y: list[Any], random: RandomState) -> None:
    """A module with the function `load`, that reads what it returns from a file beside it."""
    if "amine" in about.classes:  # a loader returns tensors
        y = [None if v is None else ("amine", "ester", "ketone").index(v) for v in y]
        about.classes = [str(("amine", "ester", "ketone").index(name)) for name in about.classes]
    if about.classes[:1] in (["False"], ["True"]):
        about.classes = [str(int(name == "True")) for name in about.classes]
    content = _graphs(about, y, random)
    if "edge_weight" not in content[0] and "weight" in content[0]:
        about.named.append("weight")  # which a loader calls edge_weight
    kinds = None
    for data in content:
        if data.x.dtype == torch.long and data.x.size(1):
            kinds = tuple([20] * data.x.size(1))
        elif data.x.dtype in (torch.bool, torch.long):
            data.x = data.x.float()
    parts = _parts(about, y, random)
    if not parts[1]:
        parts[0], parts[1] = parts[0][1:], parts[0][:1]
    form = random.randint(4)
    if form == 0:
        split: Any = {"train": parts[0], "val": np.array(parts[1]), "test": torch.tensor(parts[2])}
    elif form == 1:
        split = [np.isin(np.arange(about.items), part) for part in parts]
    else:
        split = tuple(torch.tensor(part) for part in parts)
    attrs = None
    if content[0].edge_attr is not None and not content[0].edge_attr.is_floating_point():
        attrs = (3, 3)
    outputs = len(about.classes) or int(np.asarray(y[0]).size)
    what = {"graphs": content, "splits": [split], "num_outputs": outputs,
            "node_categories": kinds, "edge_categories": attrs}  # fmt: skip
    torch.save(what, about.path / "content.pt")
    (about.path / f"loader_{about.path.name.replace('-', '_')}.py").write_text(
        "from pathlib import Path\nimport torch\nfrom gbench.data.source import Source\n\n\n"
        "def load(raw):\n    content = torch.load(Path(__file__).parent / 'content.pt', "
        "weights_only=False)\n    return Source(**content)\n"
    )
