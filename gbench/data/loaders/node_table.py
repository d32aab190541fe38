"""What the columns of nodes.csv become: numbers, and categories where they hold words.

Legend: N nodes, F columns of numbers, K columns of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gbench.data.labels import MISSING
from gbench.data.loaders.table import Table
from gbench.errors import UserError

MOST_CATEGORIES = 1000
MOST_NAMED = 8  # columns that are told by name


class NodeColumns(NamedTuple):
    """Shapes: x (N, F) float32, or (N, K) int64 where there are words; numbers (N, F) beside it."""

    x: Tensor
    categories: tuple[int, ...] | None
    numbers: Tensor | None
    became: list[str]
    notes: list[str]
    columns: dict[str, Any]  # `numbers`, their names; `words`, of each column its values in order


def read_columns(nodes: Table, columns: Sequence[str]) -> NodeColumns:
    """Read the columns that are features; every node has a 1 where there are none.

    A column of words, none of them a number, is one of categories. Raises UserError for a column
    with words among numbers, and for too many words.
    """
    if not columns:
        told = ["no feature: every node has a 1"]
        nothing: dict[str, Any] = {"numbers": [], "words": {}}
        return NodeColumns(torch.ones(len(nodes), 1), None, None, told, [], nothing)
    words = [name for name in columns if _has_words(nodes, name)]
    others = [name for name in columns if name not in words]
    became, notes, codes, sizes = list[str](), list[str](), [], []
    columns_read: dict[str, Any] = {"numbers": others, "words": {}}
    for name in words:
        values, code = np.unique(nodes.words(name).to_numpy(), return_inverse=True)
        if len(values) > MOST_CATEGORIES:
            raise UserError(
                f"{nodes.path}:1: column '{name}' has {len(values):,} different words; columns of "
                f"words are categories, at most {MOST_CATEGORIES:,}"
            )
        codes.append(code)
        sizes.append(len(values))
        columns_read["words"][name] = values.tolist()
        became.append(f"category {name} of {len(values):,} values")
        gaps = int(nodes.words(name).isin(["", *MISSING]).sum())
        if gaps:
            notes.append(
                f"{nodes.path.name}: column '{name}': {gaps:,} gaps are categories as others are"
            )
    numbers = torch.from_numpy(nodes.numbers(others)) if others else None
    if others:
        shown = others if len(others) <= MOST_NAMED else [*others[:5], "...", others[-1]]
        became.append(f"{len(others):,} feature{'s'[: len(others) > 1]} ({', '.join(shown)})")
    if not words:
        assert numbers is not None
        return NodeColumns(numbers, None, None, became, notes, columns_read)
    x = torch.from_numpy(np.stack(codes, axis=1))
    return NodeColumns(x, tuple(sizes), numbers, became, notes, columns_read)


def _has_words(nodes: Table, name: str) -> bool:
    """Whether a column holds words, and not a single number among them."""
    import pandas

    if nodes.frame[name].dtype.kind in "iufb":
        return False
    words = nodes.words(name)
    known = words[~words.isin(["", *MISSING])]
    return len(known) > 0 and bool(pandas.to_numeric(known, errors="coerce").isna().all())
