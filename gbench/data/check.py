"""Check what a loader returned before it is packed: wrong data must not train silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gbench.data.other_kinds import of_edges
from gbench.data.source import Graph, Source, Split, sorted_out
from gbench.data.spec import DataCard
from gbench.errors import UserError

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_source(card: DataCard, source: Source) -> None:
    """Raise UserError at the first graph, label or split that does not fit the card."""
    if card.level == "link" and len(source.graphs) != 1:
        raise _fault(card, f"has {len(source.graphs)} graphs, but a link-level dataset has one")
    if not source.graphs:
        raise _fault(card, "has no graphs")
    for i, graph in enumerate(source.graphs):
        problem = _graph_problem(card, sorted_out(graph), source)
        if problem:
            raise _fault(card, f"graph {i}: {problem}")
    if card.labels == "tasks":
        known = torch.cat([graph.y.view(-1) for graph in source.graphs])
        other = known[(known != 0) & (known != 1) & ~known.isnan()]
        if other.numel():
            raise _fault(card, f"y holds {other[0]:g}: labels for loss {card.loss} are 0, 1 or NaN")
    if len(source.splits) != card.num_folds:
        raise _fault(card, f"has {len(source.splits)} splits, but num_folds is {card.num_folds}")
    is_many = card.level == "graph" or len(source.graphs) > 1
    size = len(source.graphs) if is_many else source.graphs[0].y.size(0)
    _check_names(card, source)
    for fold, split in enumerate(source.splits):
        problem = _split_problem(card, split, size)
        if problem:
            of_graphs = is_many and card.level == "node" and "outside" in problem
            more = ": of several graphs with labelled nodes a part is a list of graphs" * of_graphs
            raise _fault(card, f"fold {fold}: {problem}{more}")


def _check_names(card: DataCard, source: Source) -> None:
    """Raise UserError for ids that are too few, too many, or the same twice."""
    by_nodes = card.level != "graph"
    nodes, graphs = sum(graph.x.size(0) for graph in source.graphs), len(source.graphs)
    for name, ids, size, what in (
        ("ids", source.ids, nodes if by_nodes else graphs, "nodes" if by_nodes else "graphs"),
        ("graph_ids", source.graph_ids, graphs, "graphs"),
    ):
        if len(ids) not in (0, size):
            raise _fault(card, f"has {len(ids)} {name} for {size} {what}")
        if len({*map(str, ids)}) < len(ids):
            raise _fault(card, f"has {name} that occur more than once")


def check_statistics(card: DataCard, measured: Mapping[str, int]) -> None:
    """Raise UserError unless the dataset has the sizes that its card declares.

    They are those of the dataset as published, not of one whose loader's options were changed.
    """
    if card.variant:
        return
    for key, declared in card.statistics.items():
        if measured.get(key) != declared:
            raise UserError(
                f"dataset '{card.name}' should have {key} = {declared}, but the raw files give "
                f"{measured.get(key, 'no such number')}: they are not the published ones"
                + (f"; delete them and run `gbench data get {card.name}`" if card.download else "")
            )


def problem_of(card: DataCard, graph: Graph, source: Source) -> str:
    """What is wrong with a graph, beside the first of its source; empty if nothing is."""
    return _graph_problem(card, sorted_out(graph), source)


def _graph_problem(card: DataCard, graph: Graph, source: Source) -> str:
    for name in ("x", "edge_index", "y"):
        value = getattr(graph, name, None)
        if value is not None and not isinstance(value, Tensor):
            return f"{name} is a {type(value).__name__}, not a tensor of numbers"
        if value is None:
            return f"{name} is missing"
    x, edge_index, y, edge_attr = graph.x, graph.edge_index, graph.y, graph.edge_attr
    nodes, edges = x.size(0), edge_index.size(-1)
    if x.dim() != 2 or x.size(1) != source.graphs[0].x.size(1):
        return f"x has shape {tuple(x.shape)}, expected (nodes, features), the same in all graphs"
    if not nodes:
        return "it has no nodes"
    if edge_index.dtype not in INTEGERS:
        return (
            f"edge_index holds {str(edge_index.dtype).removeprefix('torch.')}, not integers: "
            "without edges it is torch.empty(2, 0, dtype=torch.long)"
        )
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        return f"edge_index has shape {tuple(edge_index.shape)}, expected (2, edges)"
    if edges and not (int(edge_index.min()) >= 0 and int(edge_index.max()) < nodes):
        return f"edge_index names nodes outside 0..{nodes - 1}"
    if (source.edge_categories is None) != (edge_attr is None):
        return (
            "edge_attr and edge_categories must both be given or both be missing, unless edge_attr "
            "holds floats"
        )
    if source.node_categories is None:
        if not x.is_floating_point():
            return "x holds integers: give node_categories, or make x float"
        if not bool(torch.isfinite(x.float()).all()):  # as it is packed
            return "x has values that are not finite"
    elif not _fits(x, source.node_categories):
        return f"x is outside the categories {source.node_categories}"
    if edge_attr is not None and source.edge_categories is not None:
        if edge_attr.size(0) != edges:
            return f"edge_attr has {edge_attr.size(0)} rows for {edges} edges"
        if edge_attr.is_floating_point():
            return "edge_attr holds floats twice: leave edge_numbers out, or make it categories"
        if not _fits(edge_attr, source.edge_categories):
            return f"edge_attr is outside the categories {source.edge_categories}"
    if problem := _numbers_problem(graph, source):
        return problem
    if card.level == "link":
        pairs = graph.pairs
        if pairs is None or pairs.dim() != 2 or pairs.size(1) != 2 or pairs.is_floating_point():
            return "pairs should be (pairs, 2) integers"
        if not (int(pairs.min()) >= 0 and int(pairs.max()) < nodes):
            return f"pairs names nodes outside 0..{nodes - 1}"
        return _label_problem(card, y, pairs.size(0), source.num_outputs)
    rows = nodes if card.level == "node" else 1
    return _label_problem(card, y, rows, source.num_outputs, edges)


def _numbers_problem(graph: Graph, source: Source) -> str:
    """Of weights and numbers of edges, and of numbers beside categories of nodes."""
    first, edges = sorted_out(source.graphs[0]), graph.edge_index.size(1)
    if graph.x_numbers is not None and source.node_categories is None:
        return "x_numbers stand beside categories of nodes, and x holds numbers: join them in x"
    for name, rows, of in (
        ("edge_weight", edges, "edges"),
        ("edge_numbers", edges, "edges"),
        ("x_numbers", graph.x.size(0), "nodes"),
    ):
        value, like = getattr(graph, name), getattr(first, name)
        called = "edge_attr" if name == "edge_numbers" and source.edge_categories is None else name
        if (value is None) != (like is None):
            return f"{called} is {'missing' if value is None else 'there'}, unlike in graph 0"
        if value is None or like is None:
            continue
        if not isinstance(value, Tensor) or value.is_complex():
            return f"{called} is a {type(value).__name__}, not a tensor of real numbers"
        width = () if name == "edge_weight" else like.shape[1:]
        if value.shape != (rows, *width) or value.dim() != 2 - (name == "edge_weight"):
            expected = "" if name == "edge_weight" else ", columns), the same in all graphs"
            shape = tuple(value.shape)
            return (
                f"{called} has shape {shape}, expected ({rows}{expected or ',)'}: one per {of[:-1]}"
            )
        if not bool(torch.isfinite(value.float()).all()):  # as it is packed
            row = int((~torch.isfinite(value.float())).reshape(rows, -1).any(1).nonzero()[0])
            return f"{called} of {of[:-1]} {row} is not finite (NaN or infinite)"
    return ""


def _label_problem(card: DataCard, y: Tensor, rows: int, num_outputs: int, edges: int = -1) -> str:
    if card.level == "node" and y.dim() and y.size(0) == edges != rows:
        return of_edges(y.size(0), edges)
    if card.labels == "classes":
        if y.shape != (rows,) or y.is_floating_point():
            return f"y has shape {tuple(y.shape)}, expected ({rows},) of integers{_held(y)}"
        if not (int(y.min()) >= 0 and int(y.max()) < num_outputs):
            return f"y has labels outside 0..{num_outputs - 1}"
    elif y.shape != (rows, num_outputs) or not y.is_floating_point():
        expected = f"({rows}, {num_outputs}) of floats"
        return f"y has shape {tuple(y.shape)}, expected {expected}{_held(y)}"
    return ""


def _held(y: Tensor) -> str:
    return f" (it holds {str(y.dtype).removeprefix('torch.')})"


def _split_problem(card: DataCard, split: Split, size: int) -> str:
    seen = torch.zeros(size, dtype=torch.bool)
    if card.parts == "valid-is-test" and not torch.equal(split.valid, split.test):
        return "the valid part is not the test part, as the split's name says"
    if card.parts == "all-one" and not all(torch.equal(split.train, part) for part in split):
        return "the three parts are not one and the same, as the split's name says"
    for part, ids in zip(Split._fields, split, strict=True):
        if ids.numel() == 0:
            return f"the {part} part is empty"
        if not (int(ids.min()) >= 0 and int(ids.max()) < size):
            return f"the {part} part names items outside 0..{size - 1}"
        if torch.unique(ids).numel() != ids.numel():
            return f"the {part} part repeats an item"
        shared = {"disjoint": (), "valid-is-test": ("test",), "all-one": ("valid", "test")}
        if bool(seen[ids].any()) and part not in shared[card.parts]:
            return f"the {part} part shares an item with another part"
        seen[ids] = True
    return ""


def _fits(codes: Tensor, sizes: Sequence[int]) -> bool:
    if codes.is_floating_point() or codes.dim() != 2 or codes.size(1) != len(sizes):
        return False
    inside = (codes >= 0) & (codes < torch.tensor(sizes))
    return bool(inside.all())


def _fault(card: DataCard, problem: str) -> UserError:
    if card.is_own_folder:
        return UserError(f"{card.folder}: {problem}")
    return UserError(f"dataset '{card.name}' {problem} (its loader is {card._target_})")
