"""New graphs that PyG saved, read as those were that a run was trained on.

Legend: N nodes, E edges, K columns of categories, T columns of labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gbench.data.labels import name_of
from gbench.data.loaders.saved_edges import SavedEdges, edges_of
from gbench.data.loaders.saved_graphs import Found, as_tensor, read_graphs
from gbench.data.loaders.saved_labels import labels_of
from gbench.data.names import Names
from gbench.data.source import Graph, Source

if TYPE_CHECKING:
    from gbench.data.spec import DataCard, DataSpec

Columns = list[Tensor | None]


def saved_source(path: Path, card: DataCard, spec: DataSpec, names: Names) -> Source:
    """The graphs of a file, with labels where they are known; without splits.

    Raises UserError for what does not fit the training data, with the graph.
    """
    found = read_graphs(path, needs_labels=False)
    xs = _features(found, spec)
    edges = edges_of(found)
    attrs, numbers = _of_edges(found, edges, spec)
    beside = _beside(found, spec)
    y, is_known = _labels(found, card, spec, names)
    rows = found.sizes if card.level == "node" else 1
    pieces = zip(
        xs,
        found.column("edge_index"),
        y.split(rows),
        attrs,
        edges.weights,
        beside,
        numbers,
        strict=True,
    )
    graphs = [
        Graph(x, ends, own, attr, None, weight, more, of_edges)
        for x, ends, own, attr, weight, more, of_edges in pieces
    ]
    used = {*edges.used, "x_numbers"}
    unused = [text for key, text in found.others.items() if key not in used]
    notes = [*found.notes]
    if unused:
        notes.append(f"{path.name}: not used are {', '.join(unused)}")
    return Source(
        graphs,
        [],
        spec.num_outputs,
        spec.node_categories,
        spec.edge_categories,
        spec.reads_first_node,
        names.classes,
        torch.from_numpy(is_known),
        notes=notes,
    )


def _features(found: Found, spec: DataSpec) -> list[Tensor]:
    if not found.has("x"):
        if spec.num_features == 1 and spec.node_categories is None:
            return [torch.ones(n, 1) for n in found.sizes]
        found.fault(f"the graphs have no x, and the run was trained on {_width(spec)}")
    xs = [x.to_dense() if x.layout != torch.strided else x for x in found.column("x")]
    xs = [x.unsqueeze(1) if x.dim() == 1 else x for x in xs]
    for i, x in enumerate(xs):
        if x.dim() != 2 or x.size(1) != spec.num_features or x.is_complex():
            found.fault(
                f"graph {i}: x has shape {tuple(x.shape)}, and the run was trained on "
                f"{_width(spec)}"
            )
        if spec.node_categories is None:
            continue
        if x.is_floating_point():
            found.fault(f"graph {i}: x holds {x.dtype}, and the run was trained on categories")
        _in_range(found, i, "x", "node", x, spec.node_categories)
    return [x.float() if spec.node_categories is None else x.long() for x in xs]


def _width(spec: DataSpec) -> str:
    what = "features" if spec.node_categories is None else "columns of categories"
    return f"{spec.num_features:,} {what}"


def _in_range(
    found: Found, i: int, name: str, of: str, values: Tensor, sizes: tuple[int, ...]
) -> None:
    outside = (values < 0) | (values >= torch.tensor(sizes))
    if bool(outside.any()):
        row, column = outside.nonzero()[0].tolist()
        found.fault(
            f"graph {i}: {name} of {of} {row} has {int(values[row, column])} in column {column}, "
            f"and the training data have 0 to {sizes[column] - 1}"
        )


def _of_edges(found: Found, edges: SavedEdges, spec: DataSpec) -> tuple[Columns, Columns]:
    """Categories and numbers of edges, as many of each as the training data had."""
    attrs, numbers = edges.attrs, edges.numbers
    if spec.edge_dim and spec.edge_categories is None and numbers[0] is None:
        # whole numbers are numbers too, where numbers were trained on
        numbers = [None if value is None else value.float() for value in attrs]
        attrs = [None] * len(numbers)
    for name, values, width in (
        ("categories", attrs, len(spec.edge_categories or ())),
        ("numbers", numbers, spec.edge_dim),
    ):
        first = next((v for v in values if v is not None), None)
        has = 0 if first is None else first.size(1)
        if has != width:
            found.fault(
                f"the edges have {has or 'no'} columns of {name}, and those that the run was "
                f"trained on {width or 'none'}"
            )
    for i, value in enumerate(attrs):
        if value is not None and spec.edge_categories is not None:
            _in_range(found, i, "edge_attr", "edge", value, spec.edge_categories)
    if (edges.weights[0] is not None) != spec.has_edge_weight:
        told = "no weights" if spec.has_edge_weight else "weights"
        found.fault(f"the edges have {told}, other than those that the run was trained on")
    return attrs, numbers


def _beside(found: Found, spec: DataSpec) -> Columns:
    """Numbers beside categories of nodes."""
    if found.has("x_numbers") != bool(spec.num_numbers):
        has = "have" if found.has("x_numbers") else "have no"
        found.fault(f"the graphs {has} x_numbers, other than those that the run was trained on")
    if not spec.num_numbers:
        return [None] * len(found.graphs)
    given = [as_tensor(graph.get("x_numbers")) for graph in found.graphs]
    columns = [v.unsqueeze(1) if isinstance(v, Tensor) and v.dim() == 1 else v for v in given]
    for i, value in enumerate(columns):
        if not isinstance(value, Tensor) or value.shape[1:] != (spec.num_numbers,):
            found.fault(f"graph {i}: x_numbers is no tensor of shape (nodes, {spec.num_numbers})")
    return columns


def _labels(
    found: Found, card: DataCard, spec: DataSpec, names: Names
) -> tuple[Tensor, np.ndarray]:
    """Labels by the classes of the training; unknown where the file has none."""
    size = sum(found.sizes) if card.level == "node" else len(found.graphs)
    is_class = card.labels == "classes"
    y: np.ndarray[Any, Any] = np.zeros(size) if is_class else np.full((size, spec.num_outputs), 0.0)
    is_known = np.zeros(size, dtype=bool)
    if found.has("y"):
        labels = labels_of(found, names.columns.get("unlabelled"))
        values, is_known = labels.values, labels.is_known
        if len(values) != size:
            found.fault(f"y has labels of {len(values):,} {labels.level}s: expected are {size:,}")
        if not is_class or values.shape[1] > 1:
            if values.shape[1] != spec.num_outputs or values.dtype == object:
                found.fault(f"y has {values.shape[1]} columns, and the run's {spec.num_outputs}")
            y = np.where(is_known[:, None], values, np.nan).astype(np.float64)
            y = np.nan_to_num(y).argmax(axis=1) if is_class else y
        else:
            y = _codes(found, values[:, 0], is_known, names)
    if is_class:
        return torch.from_numpy(np.where(is_known, y, 0)).long(), is_known
    return torch.from_numpy(np.where(is_known[:, None], y, np.nan)).float(), is_known


def _codes(found: Found, values: np.ndarray, is_known: np.ndarray, names: Names) -> np.ndarray:
    """Which class of the training each label is, by its name, or by its number without names."""
    places = {name: k for k, name in enumerate(names.classes)}
    codes = np.zeros(len(values), dtype=np.int64)
    for row in np.flatnonzero(is_known):
        name = name_of(values[row].item() if isinstance(values[row], np.generic) else values[row])
        if not places and name.isdecimal():
            codes[row] = int(name)
        elif name in places:
            codes[row] = places[name]
        else:
            found.fault(f"y of item {row} is {name}, which is no class of the run's")
    return codes
