"""A dataset as PyG saves it: a `Data`, a list of them, or what `InMemoryDataset.save` writes.

Legend: N nodes or graphs that have labels, T columns of labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gbench.data.labels import classes_of
from gbench.data.loaders.masks import SPLIT_KEYS, num_splits, splits_of
from gbench.data.loaders.saved_edges import MOST_CATEGORIES, edges_of
from gbench.data.loaders.saved_graphs import Found, as_tensor, read_graphs
from gbench.data.loaders.saved_labels import Labels, labels_of
from gbench.data.own_kinds import ABOUT, Items, of_columns, task_of_numbers
from gbench.data.source import Graph, Source, Split
from gbench.errors import UserError

if TYPE_CHECKING:
    from gbench.data.own_kinds import Description
    from gbench.data.spec import Level


def kind_of(path: Path, about: Description) -> tuple[Level, str, int, bool]:
    """Level, task, number of splits, and whether these are of several graphs with labelled nodes.

    Words and whole numbers are classes. Columns of floats that are all 0, 1 or NaN, and several
    columns of such numbers, are tasks of their own (multi-label); others are to be regressed.
    `train_mask`, `val_mask` and `test_mask` are splits, unless splits.csv lies beside the file.
    Raises UserError for a file that holds anything else.
    """
    found = read_graphs(path)
    labels = labels_of(found, about.markers)
    task = about.said.get("task") or _guessed_task(path, labels)
    has_table = (path.parent / "splits.csv").is_file()
    by_graphs = labels.level == "node" and len(found.graphs) > 1
    folds = 0 if has_table or labels.level != "node" or by_graphs else num_splits(found)
    return labels.level, task, folds, by_graphs


def read_saved(path: Path, about: Description) -> tuple[Source, Items]:
    """The graphs, with the splits that their masks state, and their labels."""
    import pandas

    found = read_graphs(path)
    labels = labels_of(found, about.markers)
    ids = pandas.Series([str(i) for i in range(len(labels.is_known))])
    items = _items(path, ids, labels, about)
    xs, node_categories, of_x = _node_features(found)
    edges = edges_of(found)
    numbers, of_numbers = _node_numbers(found, node_categories)
    ys = items.y.split(1 if about.level == "graph" else found.sizes)
    if about.by_graphs:
        items = items._replace(graphs=[str(i) for i in range(len(found.graphs))])
    columns = (found.column("edge_index"), ys, edges.attrs, edges.weights, numbers, edges.numbers)
    graphs = [
        Graph(x, ends, y, attr, edge_weight=weight, x_numbers=beside, edge_numbers=more)
        for x, ends, y, attr, weight, beside, more in zip(xs, *columns, strict=True)
    ]
    splits, notes, used = list[Split](), [*found.notes, *edges.notes], {*edges.used, "x_numbers"}
    is_one = about.level == "node" and not about.by_graphs
    if is_one and not (path.parent / "splits.csv").is_file():
        splits, more = splits_of(found, about, items)
        notes, used = notes + more, used | {*SPLIT_KEYS} if splits else used
    unused = [text for key, text in found.others.items() if key not in used]
    if unused:
        notes.append(f"{path.name}: not used are {', '.join(unused)}")
    told = {path.name: f"{of_x}{of_numbers}; {edges.became}; y {labels.became}"}
    facts = (items.num_outputs, node_categories, edges.categories)
    read = {"task": about.task, "unlabelled": about.plain_markers}
    return Source(graphs, splits, *facts, told=told, notes=notes, columns=read), items


def _guessed_task(path: Path, labels: Labels) -> str:
    values = labels.values
    if values.dtype == object:
        return "classification"
    known = values[labels.is_known]
    is_float = values.dtype.kind == "f"
    is_bits = bool((np.isin(known, (0, 1)) | np.isnan(known)).all())
    if values.shape[1] > 1:
        if not is_bits and not is_float:
            raise UserError(
                f"{path}: y has {values.shape[1]} columns of whole numbers, and one are classes: "
                f"write `task: regression` in {ABOUT} beside it if they are to be regressed"
            )
        return "multi-label" if is_bits else "regression"
    if is_float and is_bits and labels.has_columns:
        return "multi-label"
    count = np.unique(known).size
    if is_float or count > len(known) / 2:  # codes of classes are whole numbers, and come again
        return task_of_numbers(known[:, 0].astype(np.float64), f"{path}: y")
    return "classification"


def _items(path: Path, ids: Any, labels: Labels, about: Description) -> Items:
    """Numbers of classes, or numbers with NaN where one is unknown."""
    values, is_known = labels.values, labels.is_known
    if about.task == "classification" and values.shape[1] == 1:
        y, is_known, names = classes_of(values[:, 0], is_known)
        notes = []
        if values.dtype.kind == "f":
            notes.append(
                f"{path.name}: y holds whole numbers as floats, taken for classes; if they are to "
                f"be regressed, write `task: regression` in {ABOUT}"
            )
        return Items(ids, torch.from_numpy(y), is_known, len(names), names, labels.marks, notes)
    if values.dtype == object and values.shape[1] > 1:
        raise UserError(f"{path}: y has {values.shape[1]} columns of words, and one are classes")
    if values.dtype == object:
        raise UserError(f"{path}: y holds words, which are classes: they are no {about.task}")
    y = np.where(is_known[:, None], values, np.nan).astype(np.float64)
    if about.task == "multi-label" and not (np.isin(y, (0, 1)) | np.isnan(y)).all():
        raise UserError(f"{path}: y has numbers besides 0 and 1, which are no multi-label tasks")
    return of_columns(ids, y, about, (), labels.marks, f"{path}")


def _node_features(found: Found) -> tuple[list[Tensor], tuple[int, ...] | None, str]:
    """Float features, or whole numbers from 0 as categories; and what to tell of them."""
    if not found.has("x"):
        return [torch.ones(n, 1) for n in found.sizes], None, "no x: every node has a 1"
    xs = [x.to_dense() if x.layout != torch.strided else x for x in found.column("x")]
    xs = [x.unsqueeze(1) if x.dim() == 1 else x for x in xs]
    for i, x in enumerate(xs):
        if x.dim() != 2 or x.size(1) != xs[0].size(1) or x.is_complex():
            found.fault(
                f"graph {i}: x has shape {tuple(x.shape)} of {x.dtype}, not (nodes, features)"
            )
    if not xs[0].size(1):
        return [torch.ones(len(x), 1) for x in xs], None, "x has no column: every node has a 1"
    every = torch.cat(xs)
    if every.is_floating_point() or every.dtype == torch.bool or int(every.min()) < 0:
        return [x.float() for x in xs], None, f"x {every.size(1):,} features"
    sizes = tuple((every.amax(dim=0).long() + 1).tolist())
    if max(sizes) > MOST_CATEGORIES:
        found.fault(
            f"x holds whole numbers up to {max(sizes) - 1:,}: whole numbers are categories, from 0 "
            f"and below {MOST_CATEGORIES:,}; save other numbers as floats"
        )
    shown = ", ".join(f"{size:,}" for size in sizes[:8]) + (", ..." if len(sizes) > 8 else "")
    return xs, sizes, f"x categories, one column each of {shown} values"


def _node_numbers(
    found: Found, categories: tuple[int, ...] | None
) -> tuple[list[Tensor | None], str]:
    """`x_numbers` beside categories in x, and what to tell of them."""
    if not found.has("x_numbers"):
        return [None] * len(found.graphs), ""
    if categories is None:
        found.fault("x_numbers stand beside categories in x, and x holds numbers: join them in x")
    given = [as_tensor(graph.get("x_numbers")) for graph in found.graphs]
    for i, value in enumerate(given):
        if not isinstance(value, Tensor) or value.dim() not in (1, 2):
            found.fault(f"graph {i}: x_numbers is no tensor of shape (nodes, columns)")
    columns: list[Tensor | None] = [v.unsqueeze(1) if v.dim() == 1 else v for v in given]
    return columns, f", x_numbers {given[0].reshape(len(given[0]), -1).size(1):,} numbers"
