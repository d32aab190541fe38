"""Effective resistance between all nodes of a graph whose edges are resistors of one ohm.

Legend: N nodes of all graphs, n of one, Q = Σ n² pairs, G graphs of n nodes each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gbench.data.encodings.simple import simple
from gbench.kernels.csr import CSR
from gbench.parallel import in_threads

DENSE_ENTRIES = 1 << 21  # of the matrices inverted in one call: 16 MiB


def resistances(graph: CSR, node_ptr: Tensor) -> Tensor:
    """R_ij = L⁺_ii + L⁺_jj - 2 L⁺_ij, L⁺ the pseudo-inverse of L = D - A of each connected part.

    Klein and Randić, "Resistance distance" (Journal of Mathematical Chemistry, 1993). Directed
    edges count in both directions, an edge that stands there twice once, loops not. No current
    flows between parts: the value there is n, which no two nodes of one part reach.
    L + Σ 1 1^T / c over the parts, of c nodes each, is inverted in place of L: what it adds to
    L⁺ cancels in R.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (Q, 1) float32.
    """
    adjacency = simple(graph)
    part = sp.csgraph.connected_components(adjacency, directed=False)[1]
    share = 1.0 / np.bincount(part, minlength=1)[part]
    ptr = node_ptr.numpy().astype(np.int64)
    sizes = np.diff(ptr)
    first_pair = np.concatenate([[0], np.cumsum(sizes**2)])
    out = np.zeros(first_pair[-1], np.float32)

    def of(graphs: np.ndarray) -> None:
        n = int(sizes[graphs[0]])
        nodes = ptr[graphs, None] + np.arange(n)
        is_one_part = part[nodes][:, :, None] == part[nodes][:, None, :]
        matrix = is_one_part * share[nodes][:, :, None]
        _add_laplacian(matrix, adjacency[nodes.reshape(-1)], nodes)
        inverse = np.linalg.inv(matrix)
        own = np.diagonal(inverse, axis1=1, axis2=2)
        found = own[:, :, None] + own[:, None, :] - 2 * inverse
        found = np.where(is_one_part, np.maximum(found, 0), n)
        found[:, np.arange(n), np.arange(n)] = 0
        out[first_pair[graphs, None] + np.arange(n * n)] = found.reshape(len(graphs), -1)

    pieces = []
    for size in np.unique(sizes[sizes > 0]):
        of_size = np.flatnonzero(sizes == size)
        at_once = max(1, DENSE_ENTRIES // size**2)
        pieces += np.split(of_size, range(at_once, of_size.size, at_once))
    if len(pieces) == 1:
        of(pieces[0])  # the inversion itself uses all cores
    else:
        in_threads(of, pieces, "resistances")
    return torch.from_numpy(out).unsqueeze(1)


def _add_laplacian(matrix: Any, rows: sp.csr_matrix, nodes: np.ndarray) -> None:
    """Shapes: matrix (G, n, n), rows (G n) × N, nodes (G, n)."""
    n = nodes.shape[1]
    block = rows.tocoo()
    graph, row = np.divmod(block.row, n)
    matrix[graph, row, block.col - nodes[graph, 0]] -= 1.0
    degree = np.diff(rows.indptr).reshape(nodes.shape)
    matrix[:, np.arange(n), np.arange(n)] += degree
