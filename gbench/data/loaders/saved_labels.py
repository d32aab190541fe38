"""The labels of a saved PyG dataset in one table, whatever form each has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gbench.data.labels import numbers_of
from gbench.data.loaders.saved_graphs import Found, as_tensor
from gbench.data.other_kinds import of_edges

if TYPE_CHECKING:
    from gbench.data.spec import Level


class Labels(NamedTuple):
    """Labels of N nodes or graphs. Shapes: values (N, T) of numbers or words, is_known (N,)."""

    level: Level
    values: np.ndarray
    is_known: np.ndarray
    has_columns: bool  # given as columns, if only one, and not as one number each
    marks: list[str]  # stated ones that occur
    became: str


def labels_of(found: Found, markers: Sequence[Any] | None) -> Labels:
    """Read every y; a graph without one is unlabelled, as are NaN and the user's `markers`.

    Graphs with a row of y for each node are of node level. Raises UserError for rows that do not
    fit, and for numbers that are not finite.
    """
    ys = [_array(found, i, graph.get("y")) for i, graph in enumerate(found.graphs)]
    given = [y for y in ys if y is not None]
    level: Level = "node" if len(ys) == 1 and _rows(given[0]) > 1 else "graph"
    if level == "node":
        edges = found.graphs[0]["edge_index"].size(-1)
        if len(given[0]) == edges != found.sizes[0]:
            found.fault(of_edges(len(given[0]), edges))
        if len(given[0]) != found.sizes[0]:
            found.fault(f"y has {len(given[0]):,} rows for {found.sizes[0]:,} nodes")
        values, is_known = given[0].reshape(len(given[0]), -1), np.ones(len(given[0]), dtype=bool)
    elif _label_nodes(found, ys):
        level, values = "node", _of_nodes(found, ys)
        is_known = np.ones(len(values), dtype=bool)
    else:
        values, is_known = _of_graphs(found, ys)
    if not values.shape[1]:
        found.fault("y is empty")
    markers = list(markers or ())
    if values.dtype.kind in "iufb":
        if np.isinf(values.astype(np.float32)).any():
            row = int(np.flatnonzero(np.isinf(values.astype(np.float32)).any(axis=1))[0])
            found.fault(f"y of {level} {row} is {values[row].tolist()}: labels are finite numbers")
        is_marked = np.isin(values, numbers_of(markers))
        if values.shape[1] > 1 and is_marked.any():
            values = np.where(is_marked, np.nan, values)
        is_nan = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
        is_known = is_known & ~(is_marked | is_nan).all(axis=1)
    else:
        is_marked = np.isin(values.astype(str), [str(mark) for mark in markers])
        is_known = is_known & ~is_marked[:, 0] & (values[:, 0] != None)  # noqa: E711
    has_columns = given[0].ndim > 1
    shape = f"{tuple(given[0].shape)}" if len(ys) == 1 else f"{values.shape}"
    shape = shape if level == "node" else f"({values.shape[1]} for each graph)"
    marks = [str(mark) for mark in markers] if is_marked.any() else []
    return Labels(level, values, is_known, has_columns, marks, f"{shape} of {values.dtype}")


def _array(found: Found, i: int, y: Any) -> np.ndarray | None:
    """One graph's y as an array of numbers or words; None where it has none."""
    y = as_tensor(y)
    if y is None:
        return None
    if isinstance(y, str):
        return np.array([y], dtype=object)
    if isinstance(y, Tensor):
        y = y.to_dense() if y.layout is not torch.strided else y
        if y.dtype.is_complex:
            found.fault(f"graph {i}: y holds {y.dtype}, not numbers or words")
        array: np.ndarray = (y.double() if y.is_floating_point() else y).detach().numpy()
        return array
    try:
        array = np.asarray(y)
    except ValueError:  # rows of several lengths
        array = np.empty(0)
    given = array.ravel().tolist()
    is_gap = [value is None or value != value for value in given]
    kinds = {type(value) for value, gap in zip(given, is_gap, strict=True) if not gap}
    if kinds and kinds <= {bool, int, float}:
        return array.astype(np.float64)
    if array.dtype.kind not in "OUS" or not kinds or not all(issubclass(k, str) for k in kinds):
        found.fault(f"graph {i}: y is a {type(y).__name__}, not numbers or words")
    words = array.astype(object)
    words[np.reshape(is_gap, words.shape)] = None
    return words


def _rows(y: np.ndarray) -> int:
    return len(y) if y.ndim else 1


def _label_nodes(found: Found, ys: Sequence[np.ndarray | None]) -> bool:
    """Whether the y of several graphs have a row for each of their nodes."""
    sized = [(y, n) for y, n in zip(ys, found.sizes, strict=True) if y is not None]
    return any(n > 1 for _, n in sized) and all(y.ndim and len(y) == n for y, n in sized)


def _of_nodes(found: Found, ys: Sequence[np.ndarray | None]) -> np.ndarray:
    """A row for each node of all graphs. Shapes: (N, T)."""
    rows = []
    for i, y in enumerate(ys):
        if y is None:
            found.fault(f"graph {i} has no y, and others have labels for their nodes")
        rows.append(y.reshape(len(y), -1))
        if rows[i].shape[1] != rows[0].shape[1] or rows[i].dtype.kind != rows[0].dtype.kind:
            found.fault(
                f"graph {i} has {rows[i].shape[1]} columns of {rows[i].dtype} in y, and graph 0 "
                f"has {rows[0].shape[1]} of {rows[0].dtype}"
            )
    return np.concatenate(rows)


def _of_graphs(found: Found, ys: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """A row for each graph. Shapes: (G, T), (G,)."""
    known = [(i, y) for i, y in enumerate(ys) if y is not None]
    width = known[0][1].size
    for i, y in known:
        if y.size != width:
            found.fault(
                f"graph {i} has {y.size:,} numbers in y, and graph {known[0][0]} has {width:,}: "
                "gbench predicts the nodes of one graph, or as many numbers of every graph"
            )
        if (y.dtype == object) != (known[0][1].dtype == object):
            found.fault(f"graph {i}: y is a word here and a number elsewhere, or the reverse")
    rows = np.concatenate([y.reshape(1, -1) for _, y in known])
    values = np.zeros((len(ys), width), dtype=rows.dtype)
    is_known = np.zeros(len(ys), dtype=bool)
    places = [i for i, _ in known]
    values[places], is_known[places] = rows, True
    return values, is_known
