"""PDF's bases: powers of adjacency matrices that are normalised by powers of degrees.

Legend: N nodes of all graphs, n of one, Q = Σ n² pairs, K bases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from gbench.data.encodings.by_graph import pairs_of
from gbench.errors import UserError
from gbench.kernels.cpu.rows import array
from gbench.kernels.csr import CSR


def bases(
    graph: CSR,
    node_ptr: Tensor,
    *,
    epsilons: Sequence[float],
    powers: Sequence[Any],
    basis_norm: bool,
) -> Tensor:
    """[I, (D^ε A D^ε)^p for each ε and each p of its powers] at [i, j], A with a loop at each node.

    Yang et al., "Towards Better Graph Representation Learning with Parameterized Decomposition &
    Filtering" (ICML 2023). A_ij = 1 where an edge leads from j to i, once, and D its row sums. The
    powers of an ε are first..last of a pair of numbers, one pair for all or one for each. With
    `basis_norm` each basis of each graph has its mean taken away and is divided by its deviation
    (that of all its pairs, not of a sample) + 1e-5. Above ε = -1/2 these matrices grow with degree
    and power: they are computed in float64.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (Q, K) float32.
    Raises UserError where the powers do not fit the epsilons.
    """
    ranges = ranges_of(epsilons, powers)
    width = 1 + sum(last - first + 1 for first, last in ranges)
    rowptr, col = array(graph.rowptr), array(graph.col)

    def work(first: int, last: int, ptr: Any, pair_ptr: Any, out: Any) -> None:
        for g in range(first, last):
            begin, end = int(ptr[g]), int(ptr[g + 1])
            entries = slice(rowptr[begin], rowptr[end])
            receiver = np.repeat(np.arange(end - begin), np.diff(rowptr[begin : end + 1]))
            adjacency = np.eye(end - begin)
            adjacency[receiver, col[entries] - begin] = 1.0
            found = _of_one(adjacency, epsilons, ranges)
            if basis_norm:
                apart = found - found.mean(1, keepdims=True)
                found = apart / (found.std(1, keepdims=True) + 1e-5)
            out[pair_ptr[g] : pair_ptr[g + 1]] = found.T

    return pairs_of(node_ptr, width, work, "powers of matrices")


def ranges_of(epsilons: Sequence[float], powers: Sequence[Any]) -> list[tuple[int, int]]:
    """First and last power of each ε. Raises UserError where that is not what `powers` says."""
    listed = [powers] * len(epsilons) if powers and isinstance(powers[0], int) else list(powers)
    fits = len(listed) == len(epsilons) > 0 and all(
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(isinstance(power, int) for power in pair)
        and 1 <= pair[0] <= pair[1]
        for pair in listed
    )
    if not fits:
        raise UserError(
            f"encoding.powers={list(powers)} beside encoding.epsilons={list(epsilons)}: give the "
            "first and the last power, at least 1, as [1,5], or such a pair for each epsilon"
        )
    return [(first, last) for first, last in listed]


def _of_one(adjacency: Any, epsilons: Sequence[float], ranges: list[tuple[int, int]]) -> Any:
    """The bases of one graph. Shapes: (n, n) → (K, n²)."""
    degree = adjacency.sum(1)
    found = [np.eye(len(degree))]
    for epsilon, (first, last) in zip(epsilons, ranges, strict=True):
        scale = degree**epsilon
        matrix = scale[:, None] * adjacency * scale
        power = np.linalg.matrix_power(matrix, first)
        found.append(power)
        for _ in range(first, last):
            power = power @ matrix
            found.append(power)
    return np.stack(found).reshape(len(found), -1)
