"""What a user's own loader returned, in the one form that is checked and packed.

Labels, splits and attributes come in many shapes from numpy, PyG and OGB. Those that mean one thing
are taken for it, by the rules of gbench/data/labels.py; check.py refuses the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from gbench.data.labels import classes_of, numbers_of, of_nodes_of_graphs
from gbench.data.other_kinds import mesh, refusal
from gbench.data.source import Graph, Source, Split, sorted_out
from gbench.data.spec import DataCard
from gbench.errors import UserError

PARTS = {"val": "valid", "validation": "valid", "dev": "valid", "training": "train"}


def accepted(card: DataCard, source: Any) -> Source:
    """The source with tensors throughout, classes from 0, and notes on what is not used.

    Raises UserError for anything but a Source of graphs, and for labels outside of its classes.
    """
    if not isinstance(source, Source):
        _fault(card, f"its loader returned a {_kind(source)}, not a gbench.data.source.Source")
    from torch_geometric.data import Data

    if told := refusal(_kind(source.graphs)):
        _fault(card, f"graphs is {told}")
    if isinstance(source.graphs, Graph | Data):
        _fault(card, "graphs should be a list: [graph], where there is one")
    if not isinstance(source.num_outputs, int | np.integer):
        _fault(card, f"num_outputs is {source.num_outputs!r}, not a whole number")
    if not isinstance(source.splits, Iterable):
        _fault(card, f"splits is {source.splits!r}, not a list of a Split for each fold")
    given = list(source.graphs)
    for i, graph in enumerate(given):
        if told := refusal(_kind(graph)):
            _fault(card, f"graph {i} is {told}")
        keys = graph.keys() if isinstance(graph, Data) else ()
        has_edges = getattr(graph, "edge_index", None) is not None
        if told := mesh(keys, has_edges=has_edges):
            _fault(card, f"graph {i}: {told}")
        if not hasattr(graph, "edge_index") or not hasattr(graph, "x"):
            _fault(card, f"graph {i} is a {_kind(graph)}, not a Graph or a PyG Data")
    ys = [_tensor(graph.y) for graph in given]
    known = [y for y in ys if isinstance(y, Tensor)]
    if known and card.level == "graph":  # a graph without a label has none
        nothing = torch.full(known[0].shape, float("nan"))
        ys = [nothing if y is None else y for y in ys]
    ys, labelled, classes = _labels(card, source, ys)
    notes = [*source.notes, *_unused(given)]
    graphs = []
    for graph, y in zip(given, ys, strict=True):
        x, attr = _tensor(graph.x), _tensor(getattr(graph, "edge_attr", None))
        if isinstance(x, Tensor) and x.dim() == 2 and not x.size(1) and len(x):
            x = x.new_ones(len(x), 1, dtype=torch.float32)
        if isinstance(x, Tensor) and x.layout is not torch.strided:
            x = x.to_dense()
        if isinstance(attr, Tensor) and not attr.numel() and source.edge_categories:
            attr = torch.zeros(0, len(source.edge_categories), dtype=torch.long)
        more = {
            name: _tensor(getattr(graph, name, None))
            for name in ("pairs", "edge_weight", "x_numbers", "edge_numbers")
        }
        graphs.append(_of_edges(Graph(x, _tensor(graph.edge_index), y, attr, **more)))
    is_many = card.level == "graph" or len(given) > 1  # of nodes of many graphs, split by these
    size = len(given) if is_many else _rows(ys[0]) if ys else 0
    splits = source.splits
    if isinstance(splits, Split | Mapping) or (
        isinstance(splits, Sequence)
        and len(splits) == 3
        and not isinstance(splits[0], Sequence | Mapping)
    ):
        splits = [splits]  # type: ignore[list-item]
    splits = [_split(card, k, split, size) for k, split in enumerate(splits)]
    if labelled is not None and (card.level == "graph" or not is_many):
        for k, split in enumerate(splits):
            for part, ids in zip(Split._fields, split, strict=True):
                inside = ids[(ids >= 0) & (ids < size)]
                if not bool(labelled[inside].all()):
                    row = int(inside[~labelled[inside]][0])
                    _fault(card, f"fold {k}: item {row} is in the {part} part without a label")
    return source._replace(
        graphs=graphs,
        splits=splits,
        num_outputs=int(source.num_outputs),
        classes=classes,
        labelled=labelled,
        notes=notes,
    )


def _of_edges(graph: Graph) -> Graph:
    """The graph with its weights in one dimension and the numbers of edges in `edge_numbers`."""
    weight = graph.edge_weight
    if isinstance(weight, Tensor) and weight.dim() == 2 and weight.size(1) == 1:
        graph = graph._replace(edge_weight=weight.squeeze(1))
    return sorted_out(graph)


def _labels(
    card: DataCard, source: Source, ys: list[Any]
) -> tuple[list[Any], Tensor | None, Sequence[str]]:
    """The labels of all graphs, what is labelled, and the names of the classes."""
    if not ys or not all(isinstance(y, Tensor) and y.numel() for y in ys):
        return ys, None, source.classes
    rows = [1] * len(ys) if card.level == "graph" else [_rows(y) for y in ys]
    if card.level == "graph" and card.labels == "classes" and any(y.numel() != 1 for y in ys):
        i = next(i for i, y in enumerate(ys) if y.numel() != 1)
        nodes = [_rows(_tensor(graph.x)) for graph in source.graphs]
        if all(y.dim() and len(y) == n for y, n in zip(ys, nodes, strict=True)):
            _fault(card, of_nodes_of_graphs(len(ys)))
        _fault(card, f"graph {i}: y has shape {tuple(ys[i].shape)}, expected (1,): one class")
    if card.labels != "classes":
        shaped = []
        for y, count in zip(ys, rows, strict=True):
            shape = (count, source.num_outputs)
            fits = y.shape == shape or (1 in shape and y.numel() == max(shape))
            shaped.append(y.reshape(shape).float() if fits and not y.is_complex() else y)
        marks = _marks(card)
        shaped = [
            torch.where(torch.isin(y, y.new_tensor(marks)), y.new_tensor(float("nan")), y)
            if marks and y.is_floating_point()
            else y
            for y in shaped
        ]
        for i, y in enumerate(shaped):
            if y.is_floating_point() and bool(y.isinf().any()):
                _fault(card, f"graph {i}: y is infinite")
            if card.labels == "tasks" and not bool(((y == 0) | (y == 1) | y.isnan()).all()):
                _fault(card, f"graph {i}: y is other than 0, 1 and NaN, and loss {card.loss} wants")
        return shaped, None, source.classes
    if any(y.numel() != count for y, count in zip(ys, rows, strict=True)):
        return ys, None, source.classes
    every = torch.cat([y.reshape(-1) for y in ys])
    every = every.long() if every.dtype == torch.bool else every
    if every.is_complex() or (every.is_floating_point() and bool(every.isinf().any())):
        _fault(card, "y has labels that are no finite numbers")
    is_known = ~every.isnan() & ~torch.isin(every, torch.tensor(_marks(card), dtype=every.dtype))
    if every.is_floating_point() and bool((every[is_known] % 1 != 0).any()):
        _fault(card, f"y has numbers that are not whole, and loss {card.loss} is for classes")
    found = torch.unique(every[is_known])
    names: Sequence[str] = source.classes
    if len(found) and not (int(found[0]) >= 0 and int(found[-1]) < source.num_outputs):
        if len(found) != source.num_outputs:
            shown = ", ".join(str(int(value)) for value in found[:6])
            _fault(
                card,
                f"y has {len(found)} classes ({shown}{', ...' if len(found) > 6 else ''}), but "
                f"num_outputs is {source.num_outputs}; if one of them means unlabelled, write "
                "`unlabelled:` with it in the YAML",
            )
        numbers, _, names = classes_of(every.numpy(), is_known.numpy())
        every = torch.from_numpy(numbers)
    codes = torch.where(is_known, every.nan_to_num(), torch.zeros_like(every)).long()
    parts = codes.split(rows)
    return list(parts), None if bool(is_known.all()) else is_known, names


def _marks(card: DataCard) -> list[float]:
    """The numbers that the card states for unlabelled."""
    stated = card.unlabelled if isinstance(card.unlabelled, list) else [card.unlabelled]
    return numbers_of(stated)


def _split(card: DataCard, k: int, split: Any, size: int) -> Split:
    """A fold whose parts are indices or masks, in any order of names."""
    if isinstance(split, Mapping):
        named = {PARTS.get(str(key), str(key)): value for key, value in split.items()}
        if sorted(named) != sorted(Split._fields):
            _fault(card, f"fold {k} has the parts {', '.join(named)}, expected train, valid, test")
        split = [named[part] for part in Split._fields]
    if not isinstance(split, Iterable) or len(parts := list(split)) != len(Split._fields):
        _fault(card, f"fold {k} is a {_kind(split)}, not a Split of three parts")
    return Split(*(_ids(card, f"fold {k}: the {name} part", part, size)
                   for name, part in zip(Split._fields, parts, strict=True)))  # fmt: skip


def _ids(card: DataCard, name: str, part: Any, size: int) -> Tensor:
    """One part as indices. Shapes: → (n,) int64."""
    if isinstance(part, range | Sequence) and not isinstance(part, str) and not len(part):
        part = torch.zeros(0, dtype=torch.long)
    ids = _tensor(list(part) if isinstance(part, range | tuple) else part)
    if not isinstance(ids, Tensor) or ids.dim() != 1 or ids.is_floating_point():
        what = f"{ids.dtype} {tuple(ids.shape)}" if isinstance(ids, Tensor) else _kind(part)
        _fault(card, f"{name} is {what}, not indices or a mask in one dimension")
    is_bits = ids.numel() == size > 2 and bool(((ids == 0) | (ids == 1)).all())
    if ids.dtype == torch.bool or is_bits:  # of 0 and 1, more than two indices would repeat
        if ids.numel() != size:
            _fault(card, f"{name} is a mask of {ids.numel()} for {size} items")
        return ids.nonzero().view(-1)
    return ids.long()


def _unused(graphs: Sequence[Any]) -> list[str]:
    """One line that lists what PyG's Data hold and gbench does not read."""
    from torch_geometric.data import Data

    names: dict[str, Any] = {}
    for graph in graphs:
        if isinstance(graph, Data):
            for key, value in graph.to_dict().items():
                if key not in (*Graph._fields, "num_nodes") and value is not None:
                    names.setdefault(key, value)
    shown = [
        f"{key} {tuple(value.shape)}" if isinstance(value, Tensor) and value.dim() else key
        for key, value in names.items()
    ]
    return [f"not used of the loader's graphs are {', '.join(shown)}"] if shown else []


def _tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic | bool | int | float | list):
        try:
            return torch.as_tensor(np.asarray(value))
        except (TypeError, ValueError):  # words, or rows of several lengths
            return value
    return value


def _rows(value: Any) -> int:
    return value.size(0) if isinstance(value, Tensor) and value.dim() else 1


def _kind(value: Any) -> str:
    return type(value).__name__


def _fault(card: DataCard, problem: str) -> NoReturn:
    raise UserError(f"dataset '{card.name}': {problem} (its loader is {card._target_})")
