"""A small part of a dataset, to look at contracts on its real features and labels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gbench.contracts.tiny import dataset
from gbench.data.dataset import Dataset
from gbench.data.graph_splits import graphs_of, nodes_of
from gbench.data.source import Graph, Split
from gbench.data.store import GraphStore

GRAPHS = (8, 4, 4)  # of training, validation and test
NODES = (60, 20, 20)


def part_of(whole: Dataset) -> Dataset:
    """Some small graphs of each part of the split, or some labelled nodes and edges among them.

    Of link-level data it is nodes as well, with classes made up: a model says something of nodes,
    from which links are predicted.
    """
    if whole.spec.level == "graph":
        sizes = whole.store.ranges[2]
        chosen = [
            ids[sizes[ids].argsort(stable=True)][:count]
            for ids, count in zip((ids[:512] for ids in whole.split), GRAPHS, strict=True)
        ]
        made = [graph_of(whole.store, index) for ids in chosen for index in ids.tolist()]
        split = Split(*torch.arange(len(made)).split([len(ids) for ids in chosen]))
        part = dataset(whole.card, whole.spec, made, split)
        batch = whole.store.batch(torch.cat(chosen))
        return replace(part, store=replace(part.store, pe=batch.pe, pair_values=batch.pairs))
    if whole.store.num_graphs > 1:
        return _of_labelled_graphs(whole)
    graph = graph_of(whole.store, 0)
    if whole.spec.level == "link":
        number = graph.x.size(0)
        graph = graph._replace(y=torch.arange(number) % whole.spec.num_outputs, pairs=None)
        parts = torch.arange(number).split([number - 2 * (number // 3), number // 3, number // 3])
        whole = replace(
            whole,
            split=Split(*parts),
            spec=replace(whole.spec, level="node"),
            card=replace(whole.card, loss="cross-entropy"),
        )
    keep = torch.cat([ids[:count] for ids, count in zip(whole.split, NODES, strict=True)]).unique()
    place = torch.full((graph.x.size(0),), -1)
    place[keep] = torch.arange(keep.numel())
    split = Split(*(place[ids[:count]] for ids, count in zip(whole.split, NODES, strict=True)))
    part = dataset(whole.card, whole.spec, [_among(graph, keep, place)], split)
    pe, pairs = whole.store.pe, whole.store.pair_values
    if pairs is not None:
        number = graph.x.size(0)
        pairs = pairs.view(number, number, -1)[keep][:, keep].flatten(0, 1)
    pe = None if pe is None else pe[keep]
    return replace(part, store=replace(part.store, pe=pe, pair_values=pairs))


def _of_labelled_graphs(whole: Dataset) -> Dataset:
    """The smallest graph of each part whose nodes have labels, with those of its nodes that do."""
    sizes, made, parts, chosen, first = whole.store.ranges[2], [], [], [], 0
    for ids in whole.split:
        of_part = graphs_of(whole.store, ids)
        index = of_part[sizes[of_part].argmin()][None]
        nodes = nodes_of(whole.store, index)
        made.append(graph_of(whole.store, int(index)))
        parts.append(first + torch.isin(nodes, ids.cpu()).nonzero().view(-1))
        chosen.append(nodes)
        first += nodes.numel()
    part = dataset(whole.card, whole.spec, made, Split(*parts))
    pe = whole.store.pe
    return replace(
        part, store=replace(part.store, pe=None if pe is None else pe[torch.cat(chosen)])
    )


def graph_of(store: GraphStore, index: int) -> Graph:
    """One graph of a store, as a loader returns it."""
    batch = store.batch(torch.tensor([index]))
    edge_attr = None
    if batch.edge_code is not None and batch.edge_combos is not None:
        edge_attr = batch.edge_combos[batch.edge_code.long()]
    x = batch.x if batch.x.is_floating_point() else batch.x.long()
    return Graph(
        x,
        batch.edge_index,
        batch.y,
        edge_attr,
        edge_weight=batch.edge_weight,
        x_numbers=batch.x_numbers,
        edge_numbers=batch.edge_attr,
    )


def _among(graph: Graph, keep: Tensor, place: Tensor) -> Graph:
    """The edges among these nodes; where they have few, a path through them as well."""
    edges = place[graph.edge_index]
    is_inside = (edges >= 0).all(0)
    edges = edges[:, is_inside]
    attr, weight, numbers = (
        None if values is None else values[is_inside]
        for values in (graph.edge_attr, graph.edge_weight, graph.edge_numbers)
    )
    if edges.size(1) < keep.numel() and attr is weight is numbers is None:
        path = torch.stack([torch.arange(keep.numel() - 1), torch.arange(1, keep.numel())])
        edges = torch.cat([edges, path, path.flip(0)], 1).unique(dim=1)
    return Graph(
        graph.x[keep],
        edges,
        graph.y[keep],
        attr,
        edge_weight=weight,
        x_numbers=None if graph.x_numbers is None else graph.x_numbers[keep],
        edge_numbers=numbers,
    )
