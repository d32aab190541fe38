"""Columns of new files, read as those were that a run was trained on: by name, values by value.

Legend: N lines of nodes.csv, E lines of edges.csv, F columns of numbers, K of categories.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gbench.data.labels import name_of, read_words
from gbench.data.loaders.edge_table import EdgeColumns
from gbench.data.loaders.node_table import NodeColumns
from gbench.data.loaders.table import Table
from gbench.errors import UserError

ENDS = ("source", "target")


def node_columns(nodes: Table, given: Sequence[str], like: Mapping[str, Any]) -> NodeColumns:
    """The features of new nodes, in the order of the training's.

    Raises UserError for a column that is missing or was not there, and for a word that was not.
    """
    words, numbers = like["words"], like["numbers"]
    _same_columns(nodes, given, [*words, *numbers])
    x = torch.from_numpy(nodes.numbers(numbers)) if numbers else None
    if not words:
        x = torch.ones(len(nodes), 1) if x is None else x
        return NodeColumns(x, None, None, [], [], dict(like))
    codes = [_codes(nodes, name, values) for name, values in words.items()]
    sizes = tuple(len(values) for values in words.values())
    return NodeColumns(torch.from_numpy(np.stack(codes, 1)), sizes, x, [], [], dict(like))


def edge_columns(edges: Table, like: Mapping[str, Any]) -> EdgeColumns:
    """The same of edges: categories, numbers and a weight."""
    categories, numbers, weight = like["categories"], like["numbers"], like["weight"]
    wanted = [*categories, *numbers, *([weight] if weight else [])]
    _same_columns(edges, [name for name in edges.columns if name not in ENDS], wanted)
    rows = len(edges)
    codes = [_codes(edges, name, values) for name, values in categories.items()]
    return EdgeColumns(
        np.stack(codes, 1) if codes else np.zeros((rows, 0), np.int64),
        tuple(len(values) for values in categories.values()),
        _numbers(edges, numbers),
        _numbers(edges, [weight] if weight else []),
        [],
        [],
        dict(like),
    )


def class_codes(
    table: Table, column: str, classes: Sequence[str], markers: Sequence[Any] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels as numbers of the classes that training had, and which are known.

    Raises UserError for another label. Shapes: → (N,) int64, 0 where unknown, (N,) bool.
    """
    words = table.words(column)
    is_known = read_words(words, markers).is_known
    numbers = {name: k for k, name in enumerate(classes)}
    found = {word: numbers.get(word, numbers.get(_plain(word), -1)) for word in words[is_known]}
    y = np.array([found.get(word, -1) for word in words], dtype=np.int64)
    table.refuse(
        is_known & (y < 0),
        lambda row: (
            f"label '{words[row]}' is no class of the run's, which are {_some(classes)}; an item "
            "without a label has an empty place"
        ),
    )
    return np.where(is_known, y, 0), is_known


def _same_columns(table: Table, given: Collection[str], wanted: Collection[str]) -> None:
    for name in wanted:
        if name not in given:
            raise UserError(
                f"{table.path}:1: there is no column '{name}', which the run was trained on"
            )
    for name in given:
        if name not in wanted:
            had = f"only with {_some([*wanted])}" if wanted else "without any"
            raise UserError(
                f"{table.path}:1: column '{name}' is none that the run was trained with, {had}: "
                "leave it out"
            )


def _codes(table: Table, name: str, values: Sequence[Any]) -> np.ndarray:
    """Which of the training's values each line has. Shapes: → (rows,) int64."""
    places = {name_of(value): k for k, value in enumerate(values)}
    given = table.frame[name]
    if given.dtype.kind not in "iufb":
        given = table.words(name)
    said = {value: places.get(name_of(value), -1) for value in given.unique().tolist()}
    codes = np.array([said[value] for value in given.tolist()], dtype=np.int64)
    table.refuse(
        codes < 0,
        lambda row: (
            f"column '{name}' has '{given[row]}', which did not occur in the training data: there "
            f"are {_some([*places])}"
        ),
    )
    return codes


def _numbers(table: Table, names: Sequence[str]) -> np.ndarray:
    columns = [table.numeric(name) for name in names]
    return np.stack(columns, 1) if columns else np.zeros((len(table), 0))


def _plain(word: str) -> str:
    """A number as classes are named: 1 for 1.0 and +1."""
    try:
        return name_of(float(word))
    except ValueError:
        return word


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:8], *([f"... ({len(names):,})"] if len(names) > 8 else [])])
