"""The simple undirected graph that a graph's edges make."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from gbench.kernels.csr import CSR


def simple(graph: CSR) -> sp.csr_matrix:
    """1 where an edge joins two nodes in either direction, rows sorted. Shapes: N × N float64."""
    num_nodes = graph.num_rows
    ends = graph.edge_index.numpy()
    ends = ends[:, ends[0] != ends[1]]
    codes = np.unique(
        np.concatenate([ends[0] * num_nodes + ends[1], ends[1] * num_nodes + ends[0]])
    )
    row, col = codes // num_nodes, codes % num_nodes
    return sp.csr_matrix((np.ones(codes.size), (row, col)), (num_nodes, num_nodes))
