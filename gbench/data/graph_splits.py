"""Several graphs whose nodes have labels: split by graphs, trained and judged by nodes.

Legend: G graphs, N nodes of all of them, T nodes or graphs of a part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gbench.data.source import Source, Split
from gbench.data.store import GraphStore


def by_nodes(source: Source) -> Source:
    """The source with the labelled nodes of each part's graphs in place of these graphs.

    Nodes count over all graphs in their order. Without a label are those that `labelled` leaves
    out, and those whose y is NaN in every column.
    """
    y = torch.cat([graph.y for graph in source.graphs])
    is_known = torch.ones(y.size(0), dtype=torch.bool)
    if source.labelled is not None:
        is_known &= source.labelled
    if y.is_floating_point():
        is_known &= ~y.view(y.size(0), -1).isnan().all(dim=1)
    sizes = torch.tensor([graph.x.size(0) for graph in source.graphs])
    graph_of = torch.arange(sizes.numel()).repeat_interleave(sizes)

    def nodes_of(graphs: Tensor) -> Tensor:
        return (torch.isin(graph_of, graphs) & is_known).nonzero().view(-1)

    splits = [Split(*map(nodes_of, split)) for split in source.splits]
    return source._replace(splits=splits)


def graphs_of(store: GraphStore, ids: Tensor) -> Tensor:
    """The graphs that have one of the nodes `ids`, ascending. Shapes: (T,) → (T',), on the CPU."""
    place = torch.searchsorted(store.ranges[0].long(), ids.cpu(), right=True)
    graphs: Tensor = (place - 1).unique()
    return graphs


def nodes_of(store: GraphStore, graphs: Tensor) -> Tensor:
    """The nodes of graphs, as a batch of these has them. Shapes: (B,) → (n,), on the CPU."""
    first, _, nodes, _ = store.ranges.index_select(1, graphs.cpu()).long()
    before = nodes.cumsum(0) - nodes
    shift: Tensor = (first - before).repeat_interleave(nodes)
    return shift.add_(torch.arange(shift.numel()))
