"""Laplacian positional encoding: where a node lies along the slowest waves of its graph.

Legend: N nodes of all graphs, n nodes of one, G graphs of n nodes each, K eigenvectors.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gbench.data.encodings.krylov import NoConvergenceError, largest
from gbench.data.encodings.simple import simple
from gbench.errors import UserError
from gbench.kernels.csr import CSR
from gbench.parallel import in_threads

DENSE_NODES = 1000  # LAPACK takes 0.1 s for so many; of larger parts krylov.py finds the few needed
DENSE_ENTRIES = 1 << 21  # of the matrices decomposed in one call: 16 MiB


def eigenvectors(graph: CSR, node_ptr: Tensor, *, dim: int) -> Tensor:
    """Eigenvectors of L = I - D^-1/2 A D^-1/2 with the K smallest eigenvalues above zero.

    Dwivedi et al., "Benchmarking Graph Neural Networks" (JMLR 2023). Directed edges count in both
    directions; loops do not count. Each vector has length 1; its sign is free, and here such that
    its largest entry is positive. Eigenvalue 0 occurs once in each connected part of a graph: its
    vectors tell nothing, and of a connected graph exactly the first one is left out, as everywhere.
    Of equal eigenvalues the vectors are some basis of their space, which the order of nodes may
    choose, and of a space with more than the last columns hold some vectors.
    Where a graph has fewer than K others the last columns are 0.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (N, K) float32.
    Raises UserError where the eigenvectors of a large graph do not converge.
    """
    normalized, degree = _normalized_adjacency(graph)
    part = sp.csgraph.connected_components(normalized, directed=False)[1]
    ptr = node_ptr.numpy().astype(np.int64)
    _, first = np.unique(part, return_index=True)
    num_trivial = np.bincount(np.searchsorted(ptr, first, side="right") - 1, minlength=ptr.size - 1)
    out = np.zeros((degree.size, dim), dtype=np.float32)

    def small(graphs: np.ndarray) -> None:
        nodes = ptr[graphs, None] + np.arange(ptr[graphs[0] + 1] - ptr[graphs[0]])
        laplacians = _dense_laplacians(normalized, degree, nodes)
        vectors = np.linalg.eigh(laplacians)[1]
        columns = num_trivial[graphs, None] + np.arange(dim)
        chosen = np.take_along_axis(
            vectors, np.minimum(columns, nodes.shape[1] - 1)[:, None, :], axis=2
        )
        out[nodes] = signed(chosen * (columns < nodes.shape[1])[:, None, :])

    def large(graphs: np.ndarray) -> None:
        nodes = slice(ptr[graphs[0]], ptr[graphs[0] + 1])
        vectors = _by_part(normalized[nodes, nodes], degree[nodes], part[nodes], dim)
        out[nodes, : vectors.shape[1]] = signed(vectors[None])[0]

    pieces = []
    sizes = np.diff(ptr)
    for size in np.unique(sizes[sizes > 0]):
        of_size = np.flatnonzero(sizes == size)
        at_once = max(1, DENSE_ENTRIES // size**2) if size <= DENSE_NODES else 1
        pieces += np.split(of_size, range(at_once, of_size.size, at_once))
    in_threads(
        lambda graphs: (small if sizes[graphs[0]] <= DENSE_NODES else large)(graphs),
        pieces,
        "eigenvectors",
    )
    return torch.from_numpy(out)


def _normalized_adjacency(graph: CSR) -> tuple[sp.csr_matrix, np.ndarray]:
    """D^-1/2 A D^-1/2 of the simple undirected graph, and its degrees. Shapes: N × N, (N,)."""
    adjacency = simple(graph)
    degree = np.diff(adjacency.indptr)
    scale = 1 / np.sqrt(np.maximum(degree, 1))
    row = np.repeat(np.arange(degree.size), degree)
    weight = scale[row] * scale[adjacency.indices]
    return sp.csr_matrix((weight, adjacency.indices, adjacency.indptr), adjacency.shape), degree


def _dense_laplacians(
    normalized: sp.csr_matrix, degree: np.ndarray, nodes: np.ndarray
) -> np.ndarray:
    """I - D^-1/2 A D^-1/2, with 0 for isolated nodes. Shapes: nodes (G, n) → (G, n, n)."""
    count, size = nodes.shape
    block = normalized[nodes.reshape(-1)].tocoo()
    laplacians = np.zeros((count, size, size))
    graph, row = np.divmod(block.row, size)
    laplacians[graph, row, block.col - nodes[graph, 0]] = -block.data
    diagonal = np.arange(size)
    laplacians[:, diagonal, diagonal] = degree[nodes] > 0
    return laplacians


def _by_part(
    normalized: sp.csr_matrix, degree: np.ndarray, part: np.ndarray, dim: int
) -> np.ndarray:
    """The same of one large graph, each connected part by itself. Shapes: (n, at most K) float64.

    Parts that are equal have equal eigenvalues; those of the part with the lowest node come first.
    """
    order = np.argsort(part, kind="stable")  # the nodes of a part side by side
    normalized, degree, part = normalized[order][:, order], degree[order], part[order]
    begins = np.flatnonzero(np.diff(part, prepend=-1))
    sizes = np.diff(begins, append=part.size)
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # of each part: values, vectors
    for size in np.unique(sizes[sizes > 1]):
        of_size, columns = np.flatnonzero(sizes == size), slice(1, dim + 1)
        if size > DENSE_NODES:
            for large in of_size.tolist():
                found[large] = _slowest(normalized, degree, begins[large], int(size), dim)
            continue
        at_once = max(1, DENSE_ENTRIES // size**2)
        for some in np.split(of_size, range(at_once, of_size.size, at_once)):
            nodes = begins[some, None] + np.arange(size)
            values, vectors = np.linalg.eigh(_dense_laplacians(normalized, degree, nodes))
            pairs = zip(some, values[:, columns], vectors[:, :, columns], strict=True)
            found |= {int(p): (value, vector) for p, value, vector in pairs}
    chosen = sorted(
        (round(float(value), 9), order[begins[p]], column, p)
        for p, (values, _) in found.items()
        for column, value in enumerate(values)
    )[:dim]
    out = np.zeros((order.size, len(chosen)))
    for k, (_, _, column, p) in enumerate(chosen):
        out[order[begins[p] : begins[p] + sizes[p]], k] = found[p][1][:, column]
    return out


def _slowest(
    normalized: sp.csr_matrix, degree: np.ndarray, begin: int, size: int, dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors of the connected part of `size` nodes from `begin` on: (K,), (n, K).

    I - L has the same eigenvectors, wanted with the largest eigenvalues below 1; that of 1 is
    √degree.
    """
    nodes, count = slice(begin, begin + size), min(dim, size - 1)
    known = np.sqrt(degree[nodes])
    try:
        values, vectors = largest(normalized[nodes, nodes], known / np.linalg.norm(known), count)
    except NoConvergenceError as error:
        raise UserError(
            f"the Laplacian eigenvectors of a graph of {size:,} nodes did not converge: "
            f"ask for fewer with encoding.dim=, or take encoding=rwse ({error})"
        ) from error
    return 1 - values, vectors


def signed(vectors: np.ndarray) -> np.ndarray:
    """The entry of largest size of each vector is positive. Shapes: (G, n, K) → (G, n, K)."""
    place = np.abs(vectors).argmax(axis=1, keepdims=True)
    return vectors * np.where(np.take_along_axis(vectors, place, axis=1) < 0, -1.0, 1.0)
