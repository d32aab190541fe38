"""What the edges of saved graphs carry: categories or numbers, and weights.

Legend: E edges of one graph, K columns of categories, F columns of numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gbench.data.loaders.saved_graphs import Found, as_tensor

MOST_CATEGORIES = 1_000_000  # of a column of whole numbers: more are codes or counts
WEIGHTS = ("edge_weight", "weight")  # PyG's name, and networkx's


class SavedEdges(NamedTuple):
    """Lists with an entry for each graph. Shapes: attrs (E, K), numbers (E, F), weights (E,)."""

    attrs: list[Tensor | None]
    categories: tuple[int, ...] | None
    numbers: list[Tensor | None]
    weights: list[Tensor | None]
    used: frozenset[str]  # names beside edge_attr that were read
    became: str
    notes: list[str]


def edges_of(found: Found) -> SavedEdges:
    """Read edge_attr, edge_numbers and edge_weight (or weight) of every graph.

    Whole numbers from 0 are categories, in floats too; floats with any other are numbers. Raises
    UserError for shapes and numbers that are none of these.
    """
    nothing: list[Tensor | None] = [None] * len(found.graphs)
    attrs, numbers, notes = list(nothing), list(nothing), list[str]()
    categories, used = None, set[str]()
    if found.has("edge_attr"):
        columns = _columns(found, "edge_attr")
        every = torch.cat(columns)
        if every.is_floating_point() and not _is_whole(every):
            numbers = [*columns]
        else:
            attrs, categories = _categories(found, columns, every)
            if every.is_floating_point() and every.numel():
                notes.append(
                    f"{found.path.name}: edge_attr holds whole numbers as floats, taken for "
                    "categories; numbers are read from `edge_numbers`"
                )
    if found.has("edge_numbers"):
        if numbers[0] is not None:
            found.fault("edge_attr and edge_numbers both hold numbers: join them in edge_attr")
        numbers = [*_columns(found, "edge_numbers")]
        used.add("edge_numbers")
    weights = list(nothing)
    for name in WEIGHTS:
        if found.has(name) and _is_of_edges(found, name):
            given = [as_tensor(graph.get(name)) for graph in found.graphs]
            weights = [torch.zeros(0) if value is None else value.reshape(-1) for value in given]
            used.add(name)
            break
    first = numbers[0]
    parts = ["edge_index as it stands"]
    if categories:
        sizes = ", ".join(f"{size:,}" for size in categories)
        parts.append(f"edge_attr categories of {sizes} values")
    if first is not None:
        parts.append(f"{'edge_numbers' if categories else 'edge_attr'} {first.size(1):,} numbers")
    if weights[0] is not None:
        parts.append(f"{next(name for name in WEIGHTS if name in used)} weights")
    became = ", ".join(parts)
    return SavedEdges(attrs, categories, numbers, weights, frozenset(used), became, notes)


def _columns(found: Found, key: str) -> list[Tensor]:
    """A table for each graph, all as wide. Shapes: (E, columns)."""
    given = [as_tensor(graph.get(key)) for graph in found.graphs]
    for i, value in enumerate(given):
        if not isinstance(value, Tensor):
            found.fault(f"graph {i} has no tensor {key}, but others have one")
    given = [value.unsqueeze(1) if value.dim() == 1 else value for value in given]
    for i, value in enumerate(given):
        if value.dim() != 2 or value.is_complex():
            found.fault(f"graph {i}: {key} has shape {tuple(value.shape)}, not (edges, columns)")
    like = max(given, key=lambda value: value.numel())
    given = [value if value.numel() else like.new_zeros(0, like.size(1)) for value in given]
    for i, value in enumerate(given):
        if value.size(1) != like.size(1):
            found.fault(
                f"graph {i}: {key} has {value.size(1)} columns, and others have {like.size(1)}"
            )
    return given


def _is_whole(every: Tensor) -> bool:
    """Whether these are whole numbers from 0, and few enough to be categories."""
    if not every.numel():
        return True
    known = bool(torch.isfinite(every).all() and (every >= 0).all())
    return known and bool((every % 1 == 0).all()) and float(every.max()) < MOST_CATEGORIES


def _categories(
    found: Found, columns: list[Tensor], every: Tensor
) -> tuple[list[Tensor | None], tuple[int, ...] | None]:
    whole = every.long()
    if every.numel() and int(whole.min()) < 0:
        found.fault(
            "edge_attr holds whole numbers below 0, which are no categories: save them as floats "
            "in edge_numbers"
        )
    sizes = (whole.amax(dim=0) + 1).tolist() if every.numel() else [1] * every.size(1)
    if sizes and max(sizes) > MOST_CATEGORIES:
        found.fault(
            f"edge_attr holds whole numbers up to {max(sizes) - 1:,}: no categories; save numbers "
            "as floats in edge_numbers"
        )
    return [column.long() for column in columns], tuple(sizes) or None


def _is_of_edges(found: Found, name: str) -> bool:
    """Whether it is one number for each edge; UserError for edge_weight that is something else."""
    for i, graph in enumerate(found.graphs):
        value, edges = as_tensor(graph.get(name)), graph["edge_index"].size(-1)
        if value is None and not edges:
            continue
        is_number = isinstance(value, Tensor) and not value.is_complex()
        fits = is_number and value.shape in ((edges,), (edges, 1))
        if not fits and name == WEIGHTS[0]:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            found.fault(f"graph {i}: {name} is {shape}, expected ({edges},): one for each edge")
        if not fits:
            return False
    return True
