"""A folder of one's own, as gbench/data/own.py describes it: CSV files or a saved PyG dataset.

Legend: N nodes, E edges, K columns of edge categories, T label columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gbench.data.labels import classes_of_words, read_words
from gbench.data.loaders import edge_table, node_table
from gbench.data.loaders.own_splits import drawn, read_splits
from gbench.data.loaders.saved import read_saved
from gbench.data.loaders.table import Table
from gbench.data.own import described, labels_of
from gbench.data.own_kinds import ABOUT, WORDS, Description, Items, of_columns, table_of
from gbench.data.source import Graph, Source
from gbench.errors import UserError


def load(raw: Path, saved: str = "") -> Source:
    """Read the folder `raw`, or the saved PyG dataset of that name in it, with its splits.

    Raises UserError for the first fault, with the file and the line.
    """
    about = described(raw, saved)
    source, items = read_saved(raw / saved, about) if saved else _read_tables(raw, about)
    if not items.is_known.any():
        raise UserError(f"{raw / saved}: no {about.level} has a label")
    source = source._replace(
        classes=items.classes,
        labelled=torch.from_numpy(items.is_known),
        told={**source.told, **_unlabelled(about, items)},
        notes=[*source.notes, *items.notes, *_unseen(about, items)],
    )
    if about.by_graphs:
        about, items = about._replace(level="graph"), items.as_graphs()
    if (raw / "splits.csv").is_file():
        splits, notes = read_splits(raw, about, items)
    elif source.splits:
        return source
    else:
        splits, notes = drawn(raw, about, items)
    return source._replace(splits=splits, notes=[*source.notes, *notes])


class Tables(NamedTuple):
    """The files of a folder, read column by column."""

    about: Description
    labels: Table | None  # nodes.csv, or graphs.csv where it is there
    label_names: Sequence[str]
    nodes: Table
    edges: Table
    items: Items
    of_nodes: node_table.NodeColumns
    of_edges: edge_table.EdgeColumns


def _read_tables(folder: Path, about: Description) -> tuple[Source, Items]:
    table, names = labels_of(folder, about.level)
    nodes = table if about.level == "node" else table_of(folder, "nodes.csv")
    edges, items = table_of(folder, "edges.csv"), items_of(table, names, about)
    nodes.ids()
    of_nodes = node_table.read_columns(nodes, feature_names(nodes, about))
    of_edges = edge_table.read_columns(edges)
    return joined(folder, Tables(about, table, names, nodes, edges, items, of_nodes, of_edges))


def joined(folder: Path, tables: Tables) -> tuple[Source, Items]:
    """The graphs of the tables, without splits. Raises UserError for edges that join no nodes."""
    about, table, names, nodes, edges, items, of_nodes, of_edges = tables
    ids, num_graphs = nodes.ids(), 1
    graph_of, graph_ids = np.zeros(len(nodes), dtype=np.int64), list[str]()
    if about.level == "graph":
        num_graphs = len(items.ids)
        graph_of = _graph_of(nodes, folder, items) if table else graphs_named(nodes)[0]
    elif about.by_graphs:
        graph_of, graph_ids = graphs_named(nodes)
        num_graphs = len(graph_ids)
    counts = np.bincount(graph_of, minlength=num_graphs)
    first = np.cumsum(counts) - counts
    order = np.argsort(graph_of, kind="stable")
    if about.by_graphs:
        items = items._replace(
            y=items.y[torch.from_numpy(order)], is_known=items.is_known[order], graphs=graph_ids
        )
    place = np.empty_like(order)
    place[order] = np.arange(len(order))

    source, target = (edges.places(end, ids, "node") for end in ("source", "target"))
    edges.refuse(
        graph_of[source] != graph_of[target],
        lambda row: f"'{ids[source[row]]}' and '{ids[target[row]]}' are nodes of two graphs",
    )
    ends = np.stack([place[source], place[target]])
    is_directed = bool(about.said.get("directed"))
    edge_index, codes, values = edge_table.once(edges, ends, of_edges, len(nodes), is_directed)

    graph_of = graph_of[order]
    of_edge = graph_of[edge_index[1]]
    num_edges = np.bincount(of_edge, minlength=num_graphs).tolist()
    has_weight = of_edges.weight.shape[1]
    by_graph = torch.from_numpy(order)

    def split(columns: Tensor | np.ndarray | None, sizes: list[int]) -> list[Tensor | None]:
        """What each graph has of it, where there is anything."""
        if columns is None or not columns.shape[1]:
            return [None] * num_graphs
        return [*torch.as_tensor(columns).split(sizes)]

    numbers = None if of_nodes.numbers is None else of_nodes.numbers[by_graph]
    pieces = zip(
        of_nodes.x[by_graph].split(counts.tolist()),
        torch.from_numpy(edge_index - first[of_edge]).split(num_edges, dim=1),
        items.y.split(1 if about.level == "graph" else counts.tolist()),
        split(codes, num_edges),
        [None] * num_graphs,
        [None if w is None else w[:, 0] for w in split(values[:, :has_weight], num_edges)],
        split(numbers, counts.tolist()),
        split(values[:, has_weight:], num_edges),
        strict=True,
    )
    graphs = [Graph(*piece) for piece in pieces]
    files = [nodes, edges, *([table] if about.level == "graph" and table else [])]
    became = {nodes.path.name: of_nodes.became, edges.path.name: of_edges.became}
    notes = {nodes.path.name: of_nodes.notes, edges.path.name: of_edges.notes}
    told, noted = dict[str, str](), list[str]()
    for each in files:
        name = each.path.name
        told[name] = _became(each, names, about, became.get(name, []))
        noted += [*_notes(each, names), *notes.get(name, [])]
    facts = (items.num_outputs, of_nodes.categories, of_edges.sizes or None)
    named = ids if about.level == "node" else items.ids
    columns = {
        "task": about.task,
        "directed": bool(about.said.get("directed")),
        "unlabelled": about.plain_markers,
        "nodes": of_nodes.columns,
        "edges": of_edges.columns,
        "labels": list(names),
    }
    return (
        Source(
            graphs,
            [],
            *facts,
            told=told,
            notes=noted,
            ids=named.iloc[order].tolist() if about.level == "node" else named.tolist(),
            graph_ids=graph_ids,
            columns=columns,
        ),
        items,
    )


def _unseen(about: Description, items: Items) -> list[str]:
    if not about.markers or items.marks:
        return []
    return [f"no label is {about.said['unlabelled']}, which {ABOUT} says is unlabelled"]


def _unlabelled(about: Description, items: Items) -> dict[str, str]:
    """How many items have no label, and how that is written, if with more than nothing."""
    count, total = int((~items.is_known).sum()), len(items.is_known)
    if not count or not items.marks:
        return {}
    return {"unlabelled": f"{count:,} of {total:,} {about.level}s, as {', '.join(items.marks)}"}


def _became(table: Table, labels: Sequence[str], about: Description, others: list[str]) -> str:
    """What each column of a file is taken for."""
    fixed = [name for name in table.columns if name in WORDS and name != "label"]
    parts = [", ".join(fixed), *others]
    if table.path.name == "edges.csv":
        parts.append("as directed" if about.said.get("directed") else "in both directions")
    parts += [f"{about.task} of {name}" for name in labels if name in table.columns]
    parts += [f"{name} left out: it has no name" for name in table.left_out]
    return "; ".join(parts)


def _notes(table: Table, labels: Sequence[str]) -> list[str]:
    """What may be otherwise than the user thinks."""
    name = table.path.name
    told = [f"{name}: {column} is left out: it has no name" for column in table.left_out]
    for column in table.columns:
        values = table.frame[column].to_numpy()
        if column in WORDS or column in labels:
            continue
        if values.dtype.kind not in "iu" or column in edge_table.WEIGHTS:
            continue
        steps = np.arange(len(values))
        if len(values) > 1 and any(np.array_equal(values, steps + start) for start in (0, 1)):
            told.append(f"{name}: column '{column}' counts the lines, and is taken as it stands")
        elif name == "nodes.csv" and len(values) > 2 and len(np.unique(values)) == len(values):
            told.append(
                f"{name}: column '{column}' has another whole number in each line, as an id has, "
                "and is taken as it stands"
            )
        if name == "nodes.csv" and (values.astype(np.float32).astype(values.dtype) != values).any():
            told.append(
                f"{name}: column '{column}' has whole numbers above 2^24, which float32 rounds: "
                "scale them, or take their difference from the smallest"
            )
    return told


def items_of(table: Table, names: Sequence[str], about: Description) -> Items:
    """The labels: classes in increasing order, or numbers with NaN where one is unknown."""
    import pandas

    ids = table.ids()
    if about.level == "graph":
        table.only(("id", *names))
    if about.task == "classification" and len(names) == 1:
        words = table.words(names[0])
        read = read_words(words, about.markers)
        if read.values is not None:
            table.refuse(
                np.isinf(read.values), lambda row: f"column '{names[0]}' has '{words[row]}'"
            )
        y, is_known, classes = classes_of_words(words, read)
        return Items(ids, torch.from_numpy(y), is_known, len(classes), classes, read.marks)
    columns, marks = [], set[str]()
    for name in names:
        words = table.words(name)
        read = read_words(words, about.markers)
        column = read.values
        if column is None:
            column = pandas.to_numeric(words, errors="coerce").to_numpy(dtype=np.float64)
        with np.errstate(over="ignore"):
            is_wrong = ~np.isfinite(column.astype(np.float32)) & read.is_known
        if about.task != "regression":
            is_wrong |= ~np.isin(column, (0, 1)) & read.is_known
        wanted = "a finite number" if about.task == "regression" else "0 or 1"
        table.refuse(is_wrong, lambda row: f"column '{name}' has '{words[row]}': not {wanted}")  # noqa: B023
        columns.append(column)
        marks.update(read.marks)
    y = np.stack(columns, axis=1)
    titles = [name.removeprefix("label_") for name in names] if len(names) > 1 else ()
    return of_columns(ids, y, about, titles, sorted(marks), str(table.path))


def _graph_of(nodes: Table, folder: Path, items: Items) -> np.ndarray:
    """The graph of each node. Shapes: (N,)."""
    graph_of = nodes.places("graph", items.ids, "graph")
    counts = np.bincount(graph_of, minlength=len(items.ids))
    table_of(folder, "graphs.csv").refuse(
        counts == 0, lambda row: f"graph '{items.ids[row]}' has no nodes in nodes.csv"
    )
    return graph_of


def graphs_named(nodes: Table) -> tuple[np.ndarray, list[str]]:
    """The graph of each node, in the order in which they are named first. Shapes: (N,)."""
    import pandas

    names = nodes.words("graph")
    nodes.refuse(names == "", lambda row: "graph is empty")
    codes, found = pandas.factorize(names)
    return codes, [*found]


def feature_names(nodes: Table, about: Description) -> list[str]:
    """All columns that are nothing else."""
    labels = [name for name in nodes.columns if name == "label" or name.startswith("label_")]
    if about.level == "graph" and "graph" not in nodes.columns:
        raise UserError(f"{nodes.path}:1: there is no column 'graph', and graphs.csv lists graphs")
    if about.level == "graph" and labels:
        raise UserError(f"{nodes.path}:1: column '{labels[0]}': labels of graphs are in graphs.csv")
    return [name for name in nodes.columns if name not in ("id", "graph", *labels)]
