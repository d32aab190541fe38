"""Transforms: what `conf/transform/<name>.yaml` makes of a dataset's graphs, before any encoding.

A transform is a function of (graph, **options) that returns a graph, each a `Graph` as a loader
gives it, with one difference: y is None, so that no label can end up in what a model reads. With
`whole: true` in its YAML it is given all graphs as a list and returns as many. It may change
features, edges and values of edges, and add nodes behind those of the graph: splits, labels and
metric stay the dataset's own, and added nodes are in no split, have no label and are never counted.

What it makes is computed once and kept, as encodings are. Its results stand under a title of their
own, `cora transform=knn`, and so beside no published ones of the dataset as it is.

Legend: N nodes and G graphs of the dataset.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gbench.data.check import problem_of
from gbench.data.dataset import Dataset
from gbench.data.encodings.parts import parts
from gbench.data.files.derived import Key, derived
from gbench.data.files.fingerprint import fingerprint
from gbench.data.source import Graph, Source, sorted_out
from gbench.data.spec import DataSpec
from gbench.data.store import GraphStore, pack
from gbench.errors import UserError
from gbench.own_code.importing import own_places
from gbench.own_code.stated import with_contents

NOT_OPTIONS = ("name", "_target_", "whole")


def transformed(dataset: Dataset, settings: Mapping[str, Any], cache_dir: Path) -> Dataset:
    """The dataset after each of the transforms that `settings` choose, in their order.

    `transform=none` names no function and leaves it as it is. Raises UserError for link-level data,
    for options that a function does not have, and for what it returns if that is no sound graph,
    has labels or has lost what has one.
    """
    for part in parts(settings):
        dataset = _after(dataset, part, cache_dir)
    return dataset


def _after(dataset: Dataset, part: Mapping[str, Any], cache_dir: Path) -> Dataset:
    name, target, store = part["name"], part["_target_"], dataset.store
    if dataset.spec.level == "link":
        raise UserError(
            f"transform={name}: the edges of {dataset.card.name} are what it is about: transforms "
            "are for node- and graph-level data"
        )
    options = {key: value for key, value in part.items() if key not in NOT_OPTIONS}

    def compute(function: Callable[..., Any]) -> dict[str, Tensor]:
        try:
            inspect.signature(function).bind(None, **options)
        except TypeError as error:
            raise UserError(f"transform={name}: {target}: {error}") from error
        given = graphs_of(store)
        made = (
            function(given, **options)
            if part.get("whole")
            else [function(graph, **options) for graph in given]
        )
        return _packed(dataset, given, made, f"transform={name}: {target}")

    kept = with_contents({**options, "whole": bool(part.get("whole"))}, own_places())
    key = Key(dataset.card.name, dataset.fingerprint, name, target, kept)
    return _with(dataset, derived(key, compute, cache_dir))


def graphs_of(store: GraphStore) -> list[Graph]:
    """All graphs of a store as loaders give them, but without labels (y is None)."""
    first_node, first_edge, nodes, edges = store.ranges.tolist()
    union, _ = store.union()
    row = union.row
    col = union.col.long()
    x = store.x if store.x.is_floating_point() else store.x.long()
    codes = None
    if store.edge_code is not None and store.edge_combos is not None:
        codes = store.edge_combos[store.edge_code.long()]
    made = []
    for n, e, size, count in zip(first_node, first_edge, nodes, edges, strict=True):
        own, of_edges = slice(n, n + size), slice(e, e + count)
        made.append(
            Graph(
                x[own].clone(),
                torch.stack([col[of_edges], row[of_edges]]) - n,
                None,  # type: ignore[arg-type]
                *(
                    None if values is None else values[part].clone()
                    for values, part in (
                        (codes, of_edges),
                        (None, own),
                        (store.edge_weight, of_edges),
                        (store.x_numbers, own),
                        (store.edge_attr, of_edges),
                    )
                ),
            )
        )
    return made


def _packed(dataset: Dataset, given: Sequence[Graph], made: Any, who: str) -> dict[str, Tensor]:
    """The tensors of the store of what a transform returned, with sizes and fingerprint."""
    if not isinstance(made, Sequence) or len(made) != len(given):
        what = f"{len(made)} graphs" if isinstance(made, Sequence) else type(made).__name__
        raise UserError(f"{who} returned {what} for {len(given)} graphs: each has a label")
    graphs = [_taken(dataset, graph, place, who) for place, graph in enumerate(made)]
    spec = dataset.spec
    first = graphs[0]
    nodes = None if first.x.is_floating_point() else _sizes(spec.node_categories, graphs, "x")
    edges = None if first.edge_attr is None else _sizes(spec.edge_categories, graphs, "edge_attr")
    source = Source(graphs, [], spec.num_outputs, nodes, edges)
    for place, (graph, before) in enumerate(zip(graphs, given, strict=True)):
        problem = problem_of(dataset.card, graph, source)
        if not problem and spec.level == "node" and graph.x.size(0) < before.x.size(0):
            lost = before.x.size(0) - graph.x.size(0)
            problem = f"{lost} of {before.x.size(0)} nodes are lost, and each may have a label"
        elif (
            not problem and spec.level == "node" and len(given) > 1 and len(graph.x) > len(before.x)
        ):
            problem = "it has more nodes, which is for one graph, or for labels of graphs"
        if problem:
            raise UserError(f"{who} returned a graph that is not sound: graph {place}: {problem}")
    tensors = pack(graphs, spec.level).tensors()
    del tensors["y"]
    found = {
        **tensors,
        "node_sizes": torch.tensor(nodes or (), dtype=torch.int64),
        "edge_sizes": torch.tensor(edges or (), dtype=torch.int64),
    }
    digest = fingerprint({**found, "before": torch.tensor([*dataset.fingerprint.encode()])})
    return {**found, "fingerprint": torch.tensor([*digest.encode()], dtype=torch.uint8)}


def _taken(dataset: Dataset, graph: Any, place: int, who: str) -> Graph:
    """What a function returned as a graph, with labels that only fill their place."""
    if not hasattr(graph, "x") or not hasattr(graph, "edge_index"):
        raise UserError(f"{who} returned {type(graph).__name__} for graph {place}, not a Graph")
    if getattr(graph, "y", None) is not None:
        raise UserError(
            f"{who} returned a graph with labels for graph {place}: they stay the dataset's own. "
            "Return graph._replace(...) of what it was given, whose y is None"
        )
    rows = len(graph.x) if dataset.spec.level == "node" else 1
    y = torch.zeros(rows, dtype=torch.int64)
    if dataset.store.y.is_floating_point():
        y = torch.zeros(rows, dataset.store.y.size(1))
    found = {name: getattr(graph, name, None) for name in Graph._fields}
    return sorted_out(Graph(**{**found, "y": y, "pairs": None}))  # type: ignore[arg-type]


def _sizes(before: tuple[int, ...] | None, graphs: Sequence[Graph], name: str) -> tuple[int, ...]:
    """How many categories each column has: those of before, and more where they occur."""
    columns = [getattr(graph, name) for graph in graphs]
    found = [c.amax(0) + 1 for c in columns if isinstance(c, Tensor) and c.dim() == 2 and len(c)]
    widths = {c.numel() for c in found}
    if len(widths) != 1:
        return before or ()
    most = torch.stack(found).amax(0).tolist()
    if before is None or len(before) != len(most):
        return tuple(most)
    return tuple(max(pair) for pair in zip(before, most, strict=True))


def _with(dataset: Dataset, kept: dict[str, Tensor]) -> Dataset:
    """The dataset with these tensors in place of its own; its labels stay."""
    tensors: dict[str, Any] = dict(kept)
    digest = bytes(tensors.pop("fingerprint").tolist()).decode()
    nodes, edges = (tuple(tensors.pop(f"{kind}_sizes").tolist()) for kind in ("node", "edge"))
    y = dataset.store.y
    if dataset.spec.level == "node":
        none = torch.nan if y.is_floating_point() else -1
        added = y.new_full((tensors["x"].size(0) - y.size(0), *y.shape[1:]), none)
        y = torch.cat([y, added])
    store = GraphStore(dataset.spec.level, y=y, **tensors)
    spec: DataSpec = replace(
        dataset.spec,
        num_features=store.x.size(1),
        node_categories=nodes or None,
        edge_categories=edges or None,
    )
    return replace(dataset, store=store, spec=store.told(spec), fingerprint=digest)
