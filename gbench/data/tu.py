"""Graph classification sets of the TU collection (Morris et al., 2020), from its text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gbench.data.edges import coalesce, without_loops
from gbench.data.source import Graph, Source
from gbench.data.splits import ten_folds


def load(raw: Path, prefix: str) -> Source:
    """Read `<prefix>_*.txt` with ten folds (see `ten_folds` for what is validated on).

    Features are the node labels, one-hot over all values that occur between the least and the
    greatest. Loops and repeated edges are dropped; classes are numbered in increasing order.
    """
    edge_index = torch.from_numpy(_read(raw / f"{prefix}_A.txt").T) - 1
    graph_of_node = torch.from_numpy(_read(raw / f"{prefix}_graph_indicator.txt")[:, 0]) - 1
    tags = torch.from_numpy(_read(raw / f"{prefix}_node_labels.txt"))
    labels = _read(raw / f"{prefix}_graph_labels.txt")[:, 0]

    x = torch.cat([_one_hot(column) for column in tags.t()], dim=1)
    edge_index = coalesce(without_loops(edge_index), len(graph_of_node))
    sizes = torch.bincount(graph_of_node)
    first_node = sizes.cumsum(0) - sizes
    graph_of_edge = graph_of_node[edge_index[1]]
    edge_index = edge_index - first_node[graph_of_edge]
    num_edges = torch.bincount(graph_of_edge, minlength=len(labels))

    values, y = np.unique(labels, return_inverse=True)
    graphs = [
        Graph(*parts)
        for parts in zip(
            torch.split(x, sizes.tolist()),
            torch.split(edge_index, num_edges.tolist(), dim=1),
            torch.split(torch.from_numpy(y), 1),
            strict=True,
        )
    ]
    return Source(graphs, ten_folds(y), num_outputs=len(values))


def _one_hot(values: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(values - values.min()).float()


def _read(path: Path) -> np.ndarray:
    """Integers of a comma-separated text file, as a matrix."""
    return np.loadtxt(path, dtype=np.int64, delimiter=",", ndmin=2)
