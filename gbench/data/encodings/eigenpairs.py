"""Eigenvectors and eigenvalues of the Laplacian, for models that read a pair of them at a time.

Legend: N nodes of all graphs, n nodes of one, K eigenpairs.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gbench.data.encodings.laplacian import signed
from gbench.data.encodings.simple import simple
from gbench.errors import UserError
from gbench.kernels.csr import CSR
from gbench.parallel import in_threads

LARGEST = 3000  # nodes of a connected part, whose dense matrix is decomposed


def eigenpairs(graph: CSR, node_ptr: Tensor, *, dim: int) -> Tensor:
    """The K smallest eigenpairs of L = D - A, the constant vector's among them.

    As GraphGPS takes them (Rampášek et al., NeurIPS 2022). Directed edges count in both directions;
    loops do not count. Each vector has length 1 and lies on one connected part of its graph; its
    largest entry is positive, as encoding=lappe has it. Of parts that have an eigenvalue both, the
    larger one's comes first, of equally large ones that of the lower node; a node without edges has
    none, for nothing would tell its vector from another's.

    The first K columns are the vectors, the others λ_k + 1 for each node of the graph; both are 0
    where a graph has fewer than K pairs. Where signs are drawn the values get one too: a reader
    takes their sizes.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (N, 2 K) float32.
    Raises UserError for a connected part of more than 3,000 nodes.
    """
    adjacency = simple(graph)
    degree = np.asarray(adjacency.sum(1)).reshape(-1)
    part = sp.csgraph.connected_components(adjacency, directed=False)[1]
    ptr = node_ptr.numpy().astype(np.int64)
    out = np.zeros((graph.num_rows, 2 * dim), dtype=np.float32)

    def one(index: int) -> None:
        begin, end = ptr[index], ptr[index + 1]
        found: list[tuple[float, int, int, np.ndarray, np.ndarray]] = []
        for label in dict.fromkeys(part[begin:end].tolist()):  # in the order of their first nodes
            nodes = begin + np.flatnonzero(part[begin:end] == label)
            if nodes.size == 1:
                continue
            if nodes.size > LARGEST:
                raise UserError(
                    f"encoding=eigenpairs decomposes dense matrices, and a connected part has "
                    f"{nodes.size:,} nodes (at most {LARGEST:,}): take encoding=lappe, which needs "
                    "only the vectors"
                )
            laplacian = np.diag(degree[nodes]) - adjacency[nodes][:, nodes].toarray()
            values, vectors = np.linalg.eigh(laplacian)
            vectors = signed(vectors[None, :, :dim])[0]
            found += [
                (round(max(0.0, float(value)), 6), -nodes.size, len(found), nodes, vectors[:, k])
                for k, value in enumerate(values[:dim])
            ]
        found.sort(key=lambda pair: pair[:3])
        for k, (value, _, _, nodes, vector) in enumerate(found[:dim]):
            out[nodes, k] = vector
            out[begin:end, dim + k] = value + 1

    in_threads(one, range(ptr.size - 1), "eigenpairs")
    return torch.from_numpy(out)
