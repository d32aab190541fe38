"""New data of the form that a run was trained on: a folder of CSV files, or a saved PyG dataset.

Nothing is taken from the new data that the training decided: which columns are features and in
which order, what numbers their words have, what the classes are. Labels need not be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gbench.choices import read_yaml
from gbench.data.loaders import folder as own
from gbench.data.loaders.unseen_columns import class_codes, edge_columns, node_columns
from gbench.data.loaders.unseen_saved import saved_source
from gbench.data.names import Names
from gbench.data.own import parts_of
from gbench.data.own_kinds import ABOUT, Description, Items, table_of
from gbench.data.source import Source
from gbench.errors import UserError

if TYPE_CHECKING:
    from gbench.data.loaders.table import Table
    from gbench.data.spec import DataCard, DataSpec


def read_unseen(path: Path, card: DataCard, spec: DataSpec, names: Names) -> Source:
    """The graphs of new data, with labels where they are known; without splits.

    `card`, `spec` and `names` are of the training data as they were loaded. Raises UserError for
    what does not fit them, with the file and the line.
    """
    folder, saved = parts_of(path, "--data")
    is_table = "nodes" in names.columns
    if bool(saved) == is_table:
        form = "CSV files" if is_table else "graphs without names of columns"
        wanted = "a folder with nodes.csv and edges.csv" if is_table else "a saved PyG dataset, .pt"
        raise UserError(
            f"--data {path}: the run was trained on {form}, and reads {wanted} (see `gbench data "
            "--help`)"
        )
    if saved:
        return saved_source(folder / saved, card, spec, names)
    return _of_tables(folder, card, names)


def _of_tables(folder: Path, card: DataCard, names: Names) -> Source:
    columns = names.columns
    about = _about(folder, card, names)
    nodes = table_of(folder, "nodes.csv", columns["nodes"]["words"])
    by_graphs = card.level == "node" and "graph" in nodes.columns
    about = about._replace(by_graphs=by_graphs)
    labels: Table | None = nodes
    if card.level == "graph":
        has_table = (folder / "graphs.csv").is_file()
        labels = table_of(folder, "graphs.csv") if has_table else None
    edges = table_of(folder, "edges.csv", _words(columns["edges"]["categories"]))
    items, label_names = _items(labels, nodes, about, card, names)
    nodes.ids()
    of_nodes = node_columns(nodes, own.feature_names(nodes, about), columns["nodes"])
    of_edges = edge_columns(edges, columns["edges"])
    tables = own.Tables(about, labels, label_names, nodes, edges, items, of_nodes, of_edges)
    source, items = own.joined(folder, tables)
    notes = [note for note in source.notes if "are left out" in note or "is left out" in note]
    if (folder / "splits.csv").is_file():
        notes.append(f"not used is {folder / 'splits.csv'}: new data are predicted whole")
    return source._replace(
        classes=names.classes, labelled=torch.from_numpy(items.is_known), notes=notes
    )


def _words(categories: Mapping[str, Any]) -> list[str]:
    """The columns of edges whose categories were words."""
    return [name for name, values in categories.items() if isinstance(values[0], str)]


def _about(folder: Path, card: DataCard, names: Names) -> Description:
    """How the training data were described; the new folder may state its own mark for no label."""
    columns, path = names.columns, folder / ABOUT
    said = read_yaml(path) if path.is_file() else {}
    for key, before in (("task", columns["task"]), ("directed", columns["directed"])):
        if said.get(key, before) != before:
            raise UserError(f"{path}: {key} is {said[key]}, and that of the run's data is {before}")
    marks = said.get("unlabelled", columns["unlabelled"])
    kept = {"directed": columns["directed"]}
    kept |= {} if marks is None else {"unlabelled": marks}
    return Description(card.level, columns["task"], card.metric, 0, kept)


def _items(
    table: Table | None, nodes: Table, about: Description, card: DataCard, names: Names
) -> tuple[Items, list[str]]:
    """Labels by the classes of the training, or none; and the columns that hold them."""
    import pandas

    wanted: list[str] = names.columns["labels"]
    given = table.columns if table is not None else []
    found = [name for name in given if name == "label" or name.startswith("label_")]
    strange = [name for name in found if name not in wanted]
    missing = [name for name in wanted if name not in found]
    if table is not None and found and (strange or missing):
        raise UserError(
            f"{table.path}:1: the columns of labels are {', '.join(found)}, and those of the run's "
            f"data {', '.join(wanted)}: give these, or none"
        )
    if table is None:
        ids = pandas.Series(own.graphs_named(nodes)[1])
    else:
        ids = table.ids()
        if about.level == "graph":
            table.only(("id", *wanted))
    count = len(names.classes) or len(wanted)
    if table is None or not found:
        is_class = card.labels == "classes"
        y = torch.zeros(len(ids), dtype=torch.long)
        y = y if is_class else torch.full((len(ids), count), float("nan"))
        return Items(ids, y, np.zeros(len(ids), dtype=bool), count, names.classes), []
    if about.task == "classification" and len(wanted) == 1:
        codes, is_known = class_codes(table, wanted[0], names.classes, about.markers)
        return Items(ids, torch.from_numpy(codes), is_known, count, names.classes), wanted
    return own.items_of(table, wanted, about), wanted
