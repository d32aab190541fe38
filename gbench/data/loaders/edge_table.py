"""What the columns of edges.csv become: categories, numbers, a weight.

Legend: E lines, K columns of categories, F columns of numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gbench.data.labels import MISSING, is_whole, read_words
from gbench.data.loaders.table import Table
from gbench.errors import UserError

MOST_CATEGORIES = 1000  # of a column: more whole numbers are numbers, and more words are refused
WEIGHTS = ("weight", "edge_weight")
LIKE_WEIGHTS = ("weights", "w")


class EdgeColumns(NamedTuple):
    """Shapes: codes (E, K) int64, numbers (E, F) and weight (E, 1) or (E, 0), float64."""

    codes: np.ndarray
    sizes: tuple[int, ...]
    numbers: np.ndarray
    weight: np.ndarray
    became: list[str]
    notes: list[str]
    columns: dict[str, Any]  # `weight` and `numbers`, names; `categories`, of each its values

    @property
    def values(self) -> np.ndarray:
        """The columns of floats side by side."""
        return np.concatenate([self.weight, self.numbers], axis=1)


def read_columns(edges: Table) -> EdgeColumns:
    """Read every column but the ends.

    `weight` holds weights. Words and whole numbers are categories, in increasing order; of a column
    with any other number all are numbers. Raises UserError for places without a finite number in
    those, and for too many words.
    """
    codes, numbers, weight = (list[np.ndarray]() for _ in range(3))
    sizes, became, notes = list[int](), list[str](), list[str]()
    columns: dict[str, Any] = {"weight": "", "numbers": [], "categories": {}}
    for name in edges.columns:
        if name in ("source", "target"):
            continue
        if name in WEIGHTS:
            if weight:
                raise UserError(
                    f"{edges.path}:1: {' and '.join(WEIGHTS)} are two columns of weights"
                )
            weight.append(edges.numeric(name))
            columns["weight"] = name
            became.append(f"weights {name}")
            continue
        if _has_numbers(edges, name):
            numbers.append(edges.numeric(name))
            columns["numbers"].append(name)
            became.append(f"numbers {name}")
            continue
        given = edges.frame[name]
        given = given if given.dtype.kind in "iufb" else edges.words(name)
        values, code = np.unique(given.to_numpy(), return_inverse=True)
        if len(values) > MOST_CATEGORIES:
            raise UserError(
                f"{edges.path}:1: column '{name}' has {len(values):,} different words; columns of "
                f"words are categories, at most {MOST_CATEGORIES:,}"
            )
        codes.append(code)
        sizes.append(len(values))
        columns["categories"][name] = values.tolist()
        became.append(f"category {name} of {len(values):,} values")
        if name in LIKE_WEIGHTS:
            notes.append(
                f"{edges.path.name}: column '{name}' is taken for categories, not for weights, "
                "whose column is `weight`"
            )
        gaps = int(edges.frame[name].isin(["", *MISSING]).sum()) if given.dtype.kind == "O" else 0
        if gaps:
            notes.append(
                f"{edges.path.name}: column '{name}': {gaps:,} gaps are categories as others are"
            )
    return EdgeColumns(
        _side_by_side(codes, len(edges), np.int64),
        tuple(sizes),
        _side_by_side(numbers, len(edges), np.float64),
        _side_by_side(weight, len(edges), np.float64),
        became,
        notes,
        columns,
    )


def _has_numbers(edges: Table, name: str) -> bool:
    """Whether a column holds numbers that are not whole, or too many to be categories."""
    given = edges.frame[name]
    if given.dtype.kind == "b":
        return False
    if given.dtype.kind in "iuf":
        values = given.to_numpy(dtype=np.float64)
    else:
        read = read_words(edges.words(name), None).values  # numbers where some are missing
        if read is None:
            return False
        values = read
    known = values[~np.isnan(values)]
    return not is_whole(values) or len(np.unique(known)) > MOST_CATEGORIES


def _side_by_side(columns: list[np.ndarray], rows: int, dtype: type) -> np.ndarray:
    return np.stack(columns, axis=1).astype(dtype) if columns else np.zeros((rows, 0), dtype)


def once(
    edges: Table, ends: np.ndarray, read: EdgeColumns, num_nodes: int, is_directed: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every edge once, with its reverse unless directed, by target and source.

    Raises UserError for an edge that is given twice with other values.
    Shapes: ends (2, E) → (2, E'), codes (E', K), values (E', 1 + F).
    """
    copies, codes, values = 1 if is_directed else 2, read.codes, read.values
    if not is_directed:  # an edge and its reverse side by side, in the order of the lines
        ends = np.stack([ends, ends[::-1]], axis=2).reshape(2, -1)
        codes, values = np.repeat(codes, 2, axis=0), np.repeat(values, 2, axis=0)
    numbers, first, same = np.unique(
        ends[1] * num_nodes + ends[0], return_index=True, return_inverse=True
    )
    for what, given in (("categories", codes), ("weight or numbers", values)):
        other = "another" if what.startswith("weight") else "other"
        differs = (given != given[first][same]).any(axis=1)
        edges.refuse(
            differs[::copies],
            lambda row: (
                f"this edge was given before with {other} {what}, in line "  # noqa: B023
                f"{edges.line_of(int(first[same[row * copies]]) // copies)}"
                + ("" if is_directed else ": with `directed: true` each direction has its own")
                * what.startswith("weight")  # noqa: B023
            ),
        )
    if values.shape[1]:
        lines = ends[:, ::copies]
        repeated = lines.shape[1] - len(np.unique(lines[1] * num_nodes + lines[0]))
        if repeated:
            read.notes.append(
                f"{edges.path.name}: {repeated:,} lines repeat an edge of a line before, which "
                "counts once"
            )
    return np.stack([numbers % num_nodes, numbers // num_nodes]), codes[first], values[first]
