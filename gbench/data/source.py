"""What a loader returns: graphs and the splits of every fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor


class Graph(NamedTuple):
    """One graph, as a loader reads it; PyG's `Data` has the same names and serves as well.

    Shapes: x (N, F) float or (N, K) integer categories; edge_index (2, E) integer, sources above
    and targets below; y (N,) int64 for node tasks, (1,) int64 (cross-entropy) or (1, T) float with
    NaN for missing labels for graph tasks; edge_attr (E, K) integer categories, or (E, F) float
    features, or None; edge_numbers (E, F) float features beside categories of edges; edge_weight
    (E,) float; x_numbers (N, F) float features beside categories of nodes. Link tasks: pairs (P, 2)
    int64, nodes to be told apart, and y (P, 1) float, 1 where they are linked.
    """

    x: Tensor
    edge_index: Tensor
    y: Tensor
    edge_attr: Tensor | None = None
    pairs: Tensor | None = None
    edge_weight: Tensor | None = None
    x_numbers: Tensor | None = None
    edge_numbers: Tensor | None = None


def sorted_out(given: Any) -> Graph:
    """A graph, or PyG's `Data`, with float features of edges in `edge_numbers`; of (E,) (E, 1)."""
    graph = Graph(*(getattr(given, name, None) for name in Graph._fields))  # type: ignore[arg-type]
    attr, numbers = graph.edge_attr, graph.edge_numbers
    if isinstance(attr, Tensor) and numbers is None and attr.is_floating_point():
        attr, numbers = None, attr
    if isinstance(numbers, Tensor) and numbers.dim() == 1:
        numbers = numbers.unsqueeze(1)
    return graph._replace(edge_attr=attr, edge_numbers=numbers)


class Split(NamedTuple):
    """One fold: indices of nodes, graphs or pairs, whatever the level is, int64.

    Where nodes of several graphs have labels they are indices of graphs, each in one part.
    """

    train: Tensor
    valid: Tensor
    test: Tensor


class Source(NamedTuple):
    """A dataset as its loader read it, before it is checked and packed."""

    graphs: Sequence[Graph]  # exactly one for a link-level dataset
    splits: Sequence[Split]  # one per fold; of several graphs with labelled nodes, of graphs
    num_outputs: int  # classes (cross-entropy) or tasks (bce, l1, mse)
    node_categories: tuple[int, ...] | None = None  # sizes of the columns of x, if categories
    edge_categories: tuple[int, ...] | None = None  # sizes of the columns of edge_attr
    reads_first_node: bool = False  # a graph's answer is read from its first node alone
    classes: Sequence[str] = ()  # what they are called, in the order of their numbers
    labelled: Tensor | None = None  # (N,) or (G,) bool: what has a label; None: everything
    told: Mapping[str, str] = MappingProxyType({})  # what became of each file, for `gbench data`
    notes: Sequence[str] = ()  # what a user must know before training, such as what is not used
    ids: Sequence[str] = ()  # of nodes or graphs, whichever have the labels; empty: positions
    graph_ids: Sequence[str] = ()  # of graphs whose nodes have the labels
    columns: Mapping[str, Any] = MappingProxyType({})  # how files were read, for others like them
    assumed: Tensor | None = None  # (N,) bool: whose label no file has, but a published protocol
    beside: Mapping[str, Tensor] = MappingProxyType({})  # what files hold and training leaves out
