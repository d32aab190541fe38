"""A folder of one's own, as gbench/data/own.py describes it: CSV files or a saved PyG dataset.

Legend: N nodes, E edges, K columns of edge categories, T label columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.saved import read_saved
from gbench.data.loaders.splits import stratified
from gbench.data.loaders.table import Table
from gbench.data.own import FOLDS_DRAWN, Description, Items, described, labels_of, table_of
from gbench.data.source import Graph, Source, Split
from gbench.errors import UserError, unknown

MOST_CATEGORIES = 1000  # of a column of edges.csv: more are numbers that mean something else


def load(raw: Path, saved: str = "") -> Source:
    """Read the folder `raw`, or the saved PyG dataset of that name in it, with its splits.

    Raises UserError for the first fault, with the file and the line.
    """
    about = described(raw, saved)
    source, items = read_saved(raw / saved, about) if saved else _read_tables(raw, about)
    if (raw / "splits.csv").is_file():
        return source._replace(splits=_read_splits(raw, about, items))
    return source if source.splits else source._replace(splits=_drawn(about, items))


def _read_tables(folder: Path, about: Description) -> tuple[Source, Items]:
    table, names = labels_of(folder, about.level)
    nodes = table if about.level == "node" else table_of(folder, "nodes.csv")
    edges, items = table_of(folder, "edges.csv"), _items(table, names, about)
    ids, num_graphs, x = nodes.ids(), 1, torch.from_numpy(_features(nodes, about))
    graph_of = np.zeros(len(nodes), dtype=np.int64)
    if about.level == "graph":
        num_graphs, graph_of = len(items.ids), _graph_of(nodes, folder, items)
    counts = np.bincount(graph_of, minlength=num_graphs)
    first = np.cumsum(counts) - counts
    order = np.argsort(graph_of, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))

    source, target = (edges.places(end, ids, "node") for end in ("source", "target"))
    edges.refuse(
        graph_of[source] != graph_of[target],
        lambda row: f"'{ids[source[row]]}' and '{ids[target[row]]}' are nodes of two graphs",
    )
    codes, sizes = _categories(edges)
    ends = np.stack([place[source], place[target]])
    edge_index, codes = _once(edges, ends, codes, len(nodes), bool(about.said.get("directed")))

    graph_of = graph_of[order]
    of_edge = graph_of[edge_index[1]]
    num_edges = np.bincount(of_edge, minlength=num_graphs).tolist()
    pieces = zip(
        x[torch.from_numpy(order)].split(counts.tolist()),
        torch.from_numpy(edge_index - first[of_edge]).split(num_edges, dim=1),
        items.y.split(1 if about.level == "graph" else len(items.y)),
        torch.from_numpy(codes).split(num_edges),
        strict=True,
    )
    graphs = [Graph(*piece[:3], piece[3] if sizes else None) for piece in pieces]
    return Source(graphs, [], items.num_outputs, None, sizes or None), items


def _items(table: Table, names: Sequence[str], about: Description) -> Items:
    """The labels: classes in increasing order, or numbers with NaN where one is unknown."""
    import pandas

    ids = table.ids()
    if about.level == "graph":
        table.only(("id", *names))
    if about.task == "classification":
        if len(names) > 1:
            raise UserError(f"{table.path}:1: classification has one label, not {', '.join(names)}")
        words = table.words(names[0])
        is_known = (words != "").to_numpy()
        values = pandas.to_numeric(words[is_known], errors="coerce")
        known = words[is_known] if values.isna().any() else values
        classes, y_known = np.unique(known.to_numpy(), return_inverse=True)
        y = np.zeros(len(table), dtype=np.int64)
        y[is_known] = y_known
        return Items(ids, torch.from_numpy(y), is_known, len(classes))
    columns = []
    for name in names:
        words = table.words(name)
        column = pandas.to_numeric(words, errors="coerce").to_numpy(dtype=np.float32)
        is_wrong = ~np.isfinite(column) & (words != "").to_numpy()
        if about.task == "multi-label":
            is_wrong |= ~np.isin(column, (0, 1)) & (words != "").to_numpy()
        wanted = "0 or 1" if about.task == "multi-label" else "a number"
        table.refuse(is_wrong, lambda row: f"column '{name}' has '{words[row]}': not {wanted}")  # noqa: B023
        columns.append(column)
    y = np.stack(columns, axis=1)
    given = ~np.isnan(y)
    is_known = np.any(given, axis=1) if about.task == "multi-label" else np.all(given, axis=1)
    return Items(ids, torch.from_numpy(y), is_known, len(names))


def _graph_of(nodes: Table, folder: Path, items: Items) -> np.ndarray:
    """The graph of each node. Shapes: (N,)."""
    graph_of = nodes.places("graph", items.ids, "graph")
    counts = np.bincount(graph_of, minlength=len(items.ids))
    table_of(folder, "graphs.csv").refuse(
        counts == 0, lambda row: f"graph '{items.ids[row]}' has no nodes in nodes.csv"
    )
    return graph_of


def _features(nodes: Table, about: Description) -> np.ndarray:
    """All columns that are nothing else, as numbers; ones where there are none."""
    labels = [name for name in nodes.columns if name == "label" or name.startswith("label_")]
    if about.level == "graph" and "graph" not in nodes.columns:
        raise UserError(f"{nodes.path}:1: there is no column 'graph', and graphs.csv lists graphs")
    if about.level == "graph" and labels:
        raise UserError(f"{nodes.path}:1: column '{labels[0]}': labels of graphs are in graphs.csv")
    if about.level == "node" and "graph" in nodes.columns:
        raise UserError(f"{nodes.path}:1: column 'graph': there is no graphs.csv that lists graphs")
    columns = [name for name in nodes.columns if name not in ("id", "graph", *labels)]
    return nodes.numbers(columns) if columns else np.ones((len(nodes), 1), dtype=np.float32)


def _categories(edges: Table) -> tuple[np.ndarray, tuple[int, ...]]:
    """Columns of edges.csv as numbers 0, 1, ... in increasing order. Shapes: (E, K), K sizes."""
    columns = [name for name in edges.columns if name not in ("source", "target")]
    codes, sizes = np.zeros((len(edges), len(columns)), dtype=np.int64), []
    for k, name in enumerate(columns):
        given = edges.frame[name]
        if given.dtype.kind == "f":
            edges.refuse(
                given % 1 != 0,
                lambda row: (
                    f"column '{name}' has {given[row]}: "  # noqa: B023
                    "edges have categories, words or whole numbers, and no weights"
                ),
            )
        values, codes[:, k] = np.unique(given.to_numpy(), return_inverse=True)
        if len(values) > MOST_CATEGORIES:
            raise UserError(
                f"{edges.path}:1: column '{name}' has {len(values):,} different values; columns of "
                f"edges are categories, at most {MOST_CATEGORIES:,}"
            )
        sizes.append(len(values))
    return codes, tuple(sizes)


def _once(
    edges: Table, ends: np.ndarray, codes: np.ndarray, num_nodes: int, is_directed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Every edge once, with its reverse unless directed, by target and source.

    Shapes: ends (2, E), codes (E, K) → (2, E'), (E', K).
    """
    copies = 1 if is_directed else 2
    if not is_directed:  # an edge and its reverse side by side, in the order of the lines
        ends = np.stack([ends, ends[::-1]], axis=2).reshape(2, -1)
        codes = np.repeat(codes, 2, axis=0)
    numbers, first, same = np.unique(
        ends[1] * num_nodes + ends[0], return_index=True, return_inverse=True
    )
    differs = (codes != codes[first][same]).any(axis=1)
    edges.refuse(
        differs[::copies],
        lambda row: (
            "this edge was given before with other categories, in line "
            f"{edges.line_of(int(first[same[row * copies]]) // copies)}"
        ),
    )
    return np.stack([numbers % num_nodes, numbers // num_nodes]), codes[first]


def _read_splits(folder: Path, about: Description, items: Items) -> list[Split]:
    table, kind = table_of(folder, "splits.csv"), about.level
    item, words = table.places("id", items.ids, kind), table.words("part")
    table.refuse(
        ~words.isin(Split._fields),
        lambda row: str(unknown("part", words[row], Split._fields)),
    )
    part = words.map({name: i for i, name in enumerate(Split._fields)}).to_numpy(dtype=np.int64)
    fold = np.zeros_like(part)
    if "fold" in table.columns:
        fold = table.words("fold").to_numpy(dtype=np.int64)
    _, first, same = np.unique(fold * len(items.ids) + item, return_index=True, return_inverse=True)
    again = first[same]

    def twice(row: int) -> str:
        before = f"{words[again[row]]} part in line {table.line_of(int(again[row]))}"
        return f"{kind} '{items.ids[item[row]]}' is in the {before} already"

    table.refuse(again != np.arange(len(table)), twice)
    table.refuse(
        ~items.is_known[item],
        lambda row: f"{kind} '{items.ids[item[row]]}' is in the {words[row]} part without a label",
    )
    splits = []
    for k in range(about.num_folds):
        chosen = [item[(fold == k) & (part == i)] for i in range(3)]
        for name, members in zip(Split._fields, chosen, strict=True):
            if not members.size:
                raise UserError(f"{table.path}: fold {k} has nothing in its {name} part")
        splits.append(Split(*(torch.from_numpy(np.sort(members)) for members in chosen)))
    return splits


def _drawn(about: Description, items: Items) -> list[Split]:
    """Ten random splits of what has a label, of each class alike where there are classes."""
    known = np.flatnonzero(items.is_known)
    is_class = about.task == "classification"
    labels = items.y[known].numpy() if is_class else np.zeros(len(known))
    splits = []
    for fold in range(FOLDS_DRAWN):
        split = stratified(labels, train=0.6, valid=0.2, seed=fold)
        splits.append(Split(*(torch.from_numpy(known[part.numpy()]) for part in split)))
    return splits
