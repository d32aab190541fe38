"""Random graphs and how many of some small graphs each holds: regression, counted exactly.

Chen et al., "Can Graph Neural Networks Count Substructures?" (NeurIPS 2020). A count is of the sets
of edges that form the small graph, whatever other edges there are among its nodes.

With A the adjacency matrix and d the degrees of a graph of m edges,
    triangles  tr A³ / 6
    4-cycles   (tr A⁴ - 2 m - 2 Σ d (d - 1)) / 8
    5-cycles   (tr A⁵ - 5 tr A³ - 5 Σ_i (d_i - 2) (A³)_ii) / 10
    3-stars    Σ d (d - 1) (d - 2) / 6
    3-paths    Σ_{edges ij} (d_i - 1) (d_j - 1) - 3 triangles      (three edges, four nodes)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gbench.data.loaders.edges import both_directions
from gbench.data.source import Graph, Source, Split
from gbench.errors import UserError
from gbench.kernels.cpu.rows import compiled

REGULAR = ((10, 6), (15, 6), (20, 5), (30, 5))  # nodes and degree, as of Chen et al.
RANDOM_NODES, RANDOM_SHARE = 10, 0.3  # of Erdős–Rényi graphs, as of Chen et al.
COUNTS = ("triangles", "4-cycles", "5-cycles", "3-stars", "3-paths")
SWAPS = 20  # per edge, after which a regular graph has forgotten what it began as


def load(raw: Path, *, graphs: str, counts: Sequence[str], num_graphs: int, seed: int) -> Source:
    """Make graphs from the seed, 30 % to train on, 20 % to validate on and 50 % to test.

    graphs=regular: of each of four sizes and degrees a quarter, each equally likely among the
    regular graphs of its size; random: Erdős–Rényi. Every node has the feature 1. Each count is
    divided by its standard deviation over the training graphs; nothing is subtracted.
    Raises UserError for other words, for too few graphs, and for a count that is the same in all
    training graphs.
    """
    unknown = [name for name in counts if name not in COUNTS]
    if unknown or not counts:
        raise UserError(f"data.counts={[*counts]}: allowed are {', '.join(COUNTS)}")
    if graphs not in ("regular", "random"):
        raise UserError(f"data.graphs={graphs}: allowed is one of regular, random")
    if num_graphs < 20:
        raise UserError(f"data.num_graphs={num_graphs}: allowed is a number at least 20")
    random = np.random.RandomState(seed)
    made = []
    for number in range(num_graphs):
        nodes, degree = REGULAR[number % len(REGULAR)]
        nodes = nodes if graphs == "regular" else RANDOM_NODES
        edges = _regular(nodes, degree, random) if graphs == "regular" else _random(random)
        made.append((nodes, edges))
    y = np.array([[found[name] for name in counts] for found in (count(*each) for each in made)])
    order = torch.from_numpy(random.permutation(num_graphs))
    sizes = [num_graphs * 3 // 10, num_graphs // 5]
    split = Split(*(part.sort().values for part in order.split([*sizes, num_graphs - sum(sizes)])))
    spread = y[split.train.numpy()].std(axis=0)
    if not spread.all():
        name = counts[int((spread == 0).argmax())]
        raise UserError(f"data.counts: {name} is the same in all training graphs: leave it out")
    labels = torch.from_numpy(y / spread).float()
    return Source(
        [
            Graph(
                torch.ones(nodes, 1), both_directions(torch.from_numpy(edges), nodes), label[None]
            )
            for (nodes, edges), label in zip(made, labels, strict=True)
        ],
        [split],
        num_outputs=len(counts),
    )


def count(num_nodes: int, edges: Any) -> dict[str, int]:
    """Each of COUNTS in a graph of undirected edges, each given once. Shapes: edges (2, m)."""
    adjacency = np.zeros((num_nodes, num_nodes), dtype=np.int64)
    adjacency[edges[0], edges[1]] = adjacency[edges[1], edges[0]] = 1
    degree, m = adjacency.sum(0), edges.shape[1]
    square = adjacency @ adjacency
    cube = square @ adjacency
    closed = np.diagonal(cube)
    triangles = int(closed.sum()) // 6
    fourth, fifth = int((square * square).sum()), int((square * cube).sum())
    ends = int(((degree[edges[0]] - 1) * (degree[edges[1]] - 1)).sum())
    return {
        "triangles": triangles,
        "4-cycles": (fourth - 2 * m - 2 * int((degree * (degree - 1)).sum())) // 8,
        "5-cycles": (fifth - 5 * int(closed.sum()) - 5 * int(((degree - 2) * closed).sum())) // 10,
        "3-stars": int((degree * (degree - 1) * (degree - 2)).sum()) // 6,
        "3-paths": ends - 3 * triangles,
    }


def _random(random: np.random.RandomState) -> Any:
    """Each pair of nodes joined with the same probability. Shapes: → (2, m)."""
    pairs = np.stack(np.triu_indices(RANDOM_NODES, 1))
    return pairs[:, random.rand(pairs.shape[1]) < RANDOM_SHARE]


def _regular(num_nodes: int, degree: int, random: np.random.RandomState) -> Any:
    """A ring with skips, of which pairs of edges change partners many times. Shapes: → (2, m)."""
    node = np.arange(num_nodes)
    skips = [*range(1, degree // 2 + 1)]
    ends = [np.stack([node, (node + skip) % num_nodes]) for skip in skips]
    if degree % 2:
        half = node[: num_nodes // 2]
        ends.append(np.stack([half, half + num_nodes // 2]))
    edges = np.concatenate(ends, axis=1)
    draws = random.randint(0, edges.shape[1], size=(SWAPS * edges.shape[1], 2))
    turned = random.randint(0, 2, size=len(draws))
    _swap(edges, draws, turned, np.zeros((num_nodes, num_nodes), np.bool_))
    return edges


@compiled
def _swap(edges: Any, draws: Any, turned: Any, joined: Any) -> None:
    """Edges ab and cd become ad and cb where neither is there yet and no loop arises, in place."""
    for e in range(edges.shape[1]):
        joined[edges[0, e], edges[1, e]] = joined[edges[1, e], edges[0, e]] = True
    for k in range(len(draws)):
        e, f = draws[k]
        a, b, c, d = edges[0, e], edges[1, e], edges[0, f], edges[1, f]
        if turned[k]:
            c, d = d, c
        if a == d or c == b or joined[a, d] or joined[c, b]:
            continue
        joined[a, b] = joined[b, a] = joined[c, d] = joined[d, c] = False
        joined[a, d] = joined[d, a] = joined[c, b] = joined[b, c] = True
        edges[0, e], edges[1, e], edges[0, f], edges[1, f] = a, d, c, b
