"""Tiny datasets on which contracts are looked at: one graph of nodes, some graphs, some molecules.

They hold what breaks models: a node without edges, a graph of one node, one without an edge, one
in two parts, and edges without their reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csgraph
from torch import Tensor

from gbench.data.dataset import Dataset
from gbench.data.source import Graph, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.data.store import pack

FEATURES, CLASSES = 5, 3
ATOMS, BONDS = (5, 3, 4), (4, 3)
SIZES = (9, 7, 6, 5, 9, 8, 1, 7, 6, 4, 6, 8)  # of the graphs; the first half is trained on
WITHOUT_EDGES, IN_TWO_PARTS, ONE_WAY = 9, 11, 8
NODES = 30
APART = 1e-3  # eigenvalues that differ


def nodes(card: DataCard) -> Dataset:
    """One graph of 30 nodes, the last of which has no edge; some edges have no reverse."""
    generator = torch.Generator().manual_seed(1)
    edges = _random_edges(NODES - 1, generator, share=0.15)
    edges = edges[:, (3 * edges[0] + edges[1]) % 5 != 0]
    x = torch.randn(NODES, FEATURES, generator=generator)
    y = torch.arange(NODES) % CLASSES
    order = torch.randperm(NODES, generator=generator)
    split = Split(order[:15], order[15:22], order[22:])
    return dataset(card, DataSpec("node", CLASSES, FEATURES), [Graph(x, edges, y)], split)


def graphs(card: DataCard, *, are_molecules: bool = False) -> Dataset:
    """Twelve graphs with features, or with categories of nodes and of edges."""
    generator = torch.Generator().manual_seed(2)
    made = []
    for index, size in enumerate(SIZES):
        edges = _edges_of(index, size, generator)
        y = torch.tensor([index % CLASSES])
        if not are_molecules:
            x = torch.randn(size, FEATURES, generator=generator)
            made.append(Graph(x, edges, y))
            continue
        columns = [torch.randint(kinds, (size,), generator=generator) for kinds in ATOMS]
        low, high = edges.min(0).values, edges.max(0).values
        both_ways_alike = (low * 7 + high * 3) % 5
        bonds = torch.stack([(both_ways_alike + k) % kinds for k, kinds in enumerate(BONDS)], 1)
        made.append(Graph(torch.stack(columns, 1), edges, y, bonds))
    spec = DataSpec("graph", CLASSES, FEATURES)
    if are_molecules:
        spec = DataSpec("graph", CLASSES, len(ATOMS), ATOMS, BONDS)
    half, rest = len(SIZES) // 2, len(SIZES) // 4
    split = Split(*torch.arange(len(SIZES)).split([half, rest, rest]))
    return dataset(card, spec, made, split)


def dataset(card: DataCard, spec: DataSpec, made: Sequence[Graph], split: Split) -> Dataset:
    """The graphs as a dataset with this card, whatever the card says of its own data."""
    store = pack(made, spec.level)
    spec = store.told(spec)
    return Dataset(replace(card, level=spec.level), spec, store, split, "", {})


def with_values(made: Dataset) -> Dataset:
    """The same with positive weights and two numbers of edges, alike in both directions.

    Nodes that have categories have two numbers as well.
    """
    store, spec = made.store, made.spec
    graph, node_ptr = store.union()
    first = node_ptr[:-1].long().repeat_interleave(node_ptr.diff())
    i, j = graph.row - first[graph.row], graph.col.long() - first[graph.row]
    low, high = torch.minimum(i, j), torch.maximum(i, j)
    weight = 0.5 + (3 * low + 5 * high) % 7 / 4
    attr = torch.stack([(low + 2 * high).sin(), (low * high).cos()], 1)
    numbers = None
    if spec.node_categories is not None:
        numbers = torch.randn(store.num_nodes, 2, generator=torch.Generator().manual_seed(4))
    store = replace(store, edge_weight=weight, edge_attr=attr, x_numbers=numbers, memo={})
    return replace(made, store=store, spec=store.told(spec))


def _edges_of(index: int, size: int, generator: torch.Generator) -> Tensor:
    edges = _random_edges(size, generator, share=0.45)
    if index == WITHOUT_EDGES:
        return edges[:, :0]
    if index == IN_TWO_PARTS:
        return edges[:, (edges[0] < size // 2) == (edges[1] < size // 2)]
    if index == ONE_WAY:
        return edges[:, edges[0] < edges[1]]
    return edges


def _random_edges(size: int, generator: torch.Generator, *, share: float) -> Tensor:
    """Undirected edges in any order. Shapes: (2, E)."""
    pairs = (torch.rand(size, size, generator=generator) < share).triu(1).nonzero().t()
    both = torch.cat([pairs, pairs.flip(0)], 1)
    return both[:, torch.randperm(both.size(1), generator=generator)]


def connected_and_not() -> list[Graph]:
    """Twelve graphs for what looks at edges alone.

    The eigenvalues of each one's Laplacians, normalised or not, differ, but for 0: of equal ones
    any basis of their space is right, and which one comes may depend on the order of nodes.
    """
    generator = torch.Generator().manual_seed(5)
    made = []
    for index, size in enumerate(SIZES):
        edges = _edges_of(index, size, generator)
        while not _eigenvalues_differ(edges, size):
            edges = _edges_of(index, size, generator)
        made.append(Graph(torch.ones(size, 1), edges, torch.zeros(1)))
    return made


def _eigenvalues_differ(edges: Tensor, size: int) -> bool:
    adjacency = np.zeros((size, size))
    adjacency[tuple(edges.numpy())] = 1
    both_ways = np.maximum(adjacency, adjacency.T)
    for normed in (True, False):
        values = np.linalg.eigvalsh(csgraph.laplacian(both_ways, normed=normed))
        if not (np.diff(values[values > APART]) > APART).all():
            return False
    return True
