"""The 15 strongly regular graphs with 25 nodes, degree 12, λ = 5 and μ = 6, from a graph6 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.edges import both_directions
from gbench.data.source import Graph, Source, Split
from gbench.errors import UserError


def load(raw: Path, file: str) -> Source:
    """Read one graph per line; each is a class of its own, and every node carries the feature 1.

    There is nothing to generalise to: a model that can tell the graphs apart learns them, and is
    trained, validated and tested on all (Balcilar et al., ICML 2021). Raises UserError for a line
    that is not graph6.
    """
    graphs = []
    for number, line in enumerate((raw / file).read_bytes().split()):
        num_nodes, edge_index = _of_graph6(line, raw / file)
        graphs.append(Graph(torch.ones(num_nodes, 1), edge_index, torch.tensor([number])))
    everything = torch.arange(len(graphs))
    return Source(graphs, [Split(everything, everything, everything)], num_outputs=len(graphs))


def _of_graph6(line: bytes, path: Path) -> tuple[int, torch.Tensor]:
    """One graph of at most 62 nodes: a byte for their number, then six pairs of nodes per byte.

    The pairs are (0, 1), (0, 2), (1, 2), (0, 3), ...; a set bit is an edge.
    """
    values = np.frombuffer(line, dtype=np.uint8).astype(np.int64) - 63
    num_nodes = int(values[0])
    num_pairs = num_nodes * (num_nodes - 1) // 2
    if values.min() < 0 or values.max() > 63 or len(values) != 1 + -(-num_pairs // 6):
        raise UserError(f"{path}: {line.decode(errors='replace')} is not a graph in graph6")
    bits = (values[1:, None] >> np.arange(5, -1, -1) & 1).reshape(-1)[:num_pairs]
    larger, smaller = np.tril_indices(num_nodes, -1)
    edges = np.stack([smaller, larger])[:, bits == 1]
    return num_nodes, both_directions(torch.from_numpy(edges), num_nodes)
