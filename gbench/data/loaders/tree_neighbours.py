"""Tree-NeighboursMatch (Alon and Yahav, ICLR 2021): all leaves must be heard at the root."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch

from gbench.data.loaders.splits import stratified
from gbench.data.source import Graph, Source
from gbench.errors import UserError


def load(raw: Path, depth: int, num_permutations: int, max_graphs: int, seed: int) -> Source:
    """Make binary trees whose edges lead from the leaves to the root, which is node 0.

    Of the L = 2^depth leaves, numbered 1 to L from the left, each carries its number and a value,
    which are a permutation of 1 to L; the root carries a number, and its class is the value at that
    leaf. What a node does not carry is 0. Each permutation gives L graphs, one per number at the
    root; up to depth 3 permutations are drawn without repetition. The answer is read at the root.

    The split is 60/20/20 per class; the authors have 80/20 and no validation set. Raises UserError
    for a depth that makes no trees or too large ones.
    """
    if not 1 <= depth <= 8:
        raise UserError(f"data.depth={depth}: trees have a depth of 1 to 8")
    random = np.random.RandomState(seed)
    num_leaves = 2**depth
    if depth <= 3:
        every = np.array([*itertools.permutations(range(1, num_leaves + 1))])
        values = every[random.permutation(len(every))[:num_permutations]]
    else:
        count = min(num_permutations, max_graphs // num_leaves)
        values = np.stack([random.permutation(num_leaves) + 1 for _ in range(count)])
    x, y = _features(values, depth)
    edge_index = _edges(depth)
    graphs = [Graph(nodes, edge_index, label) for nodes, label in zip(x, y.split(1), strict=True)]
    sizes = (num_leaves + 1, num_leaves + 1)
    split = stratified(y.numpy(), train=0.6, valid=0.2, seed=seed)
    return Source(graphs, [split], num_leaves, sizes, reads_first_node=True)


def _features(values: np.ndarray, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers and values of all nodes, and the classes. Shapes: (P, L) → (P L, N, 2), (P L,).

    Nodes come level by level, so the leaves are the last L.
    """
    num_leaves = 2**depth
    x = torch.zeros(len(values), num_leaves, 2 * num_leaves - 1, 2, dtype=torch.int16)
    number = torch.arange(1, num_leaves + 1, dtype=torch.int16)
    x[:, :, -num_leaves:, 0] = number
    x[:, :, -num_leaves:, 1] = torch.from_numpy(values).short().unsqueeze(1)
    x[:, :, 0, 0] = number
    return x.flatten(0, 1), torch.from_numpy(values).flatten() - 1


def _edges(depth: int) -> torch.Tensor:
    """From every node but the root to the one above it. Shapes: (2, N - 1)."""
    child = torch.arange(1, 2 ** (depth + 1) - 1)
    return torch.stack([child, (child - 1) // 2])
