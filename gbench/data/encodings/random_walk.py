"""Random-walk structural encoding: how likely a walk is back at its node after 1, 2, ... steps.

Legend: N nodes, E edges, K steps, W nodes walked from at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gbench.kernels import spmm
from gbench.kernels.cpu.rows import array, compiled
from gbench.kernels.csr import CSR
from gbench.parallel import gathered, in_threads

NODES_AT_ONCE = 4096  # a piece of work among many graphs, and never less than 1/64 of all nodes
MAX_BYTES = 1 << 28  # of the matrices for one graph, about


def return_probabilities(graph: CSR, node_ptr: Tensor, *, steps: int) -> Tensor:
    """diag(P^k) for k = 1..K, where P = D^-1 A moves along a random one of a node's out-edges.

    Dwivedi et al., "Graph Neural Networks with Learnable Structural and Positional
    Representations" (ICLR 2022). A node without out-edges has zeros. No power of P is formed: walks
    are followed from some nodes at a time, which takes O(N) memory per thread among many graphs and
    256 MiB for one graph, and at worst, where all nodes are within reach, N E K operations. Where
    every edge has its reverse, D P^a is symmetric and half of them do:
    (P^(a+b))_ii = Σ_j (P^a)_ij (P^b)_ij d_i / d_j.

    Shapes: graph N × N, the union of all graphs; node_ptr (B + 1,) → (N, K) float32.
    """
    num_nodes = graph.num_rows
    out = torch.zeros(num_nodes, steps)
    is_symmetric = torch.equal(graph.rowptr, graph.rowptr_t) and torch.equal(graph.col, graph.col_t)
    if node_ptr.numel() == 2:
        # Walks soon reach all of one graph: 15 s of CPU on Coauthor CS, where lists take over 50.
        size = min(256, max(8, MAX_BYTES // (16 * num_nodes)))
        pieces = list(torch.arange(num_nodes).split(size))
        with ThreadPoolExecutor(1) as pool:  # the products themselves use all cores
            gathered(pool, lambda nodes: _dense(graph, nodes, is_symmetric, out), pieces, "walks")
        return out
    kernel = _from_both_ends if is_symmetric else _from_one_end
    rowptr, col, rows = array(graph.rowptr_t), array(graph.col_t), array(out)
    size = max(NODES_AT_ONCE, num_nodes // 64)
    bounds = [*range(0, num_nodes, size), num_nodes]
    in_threads(lambda piece: kernel(*piece, rowptr, col, rows), [*pairwise(bounds)], "walks")
    return out


def _dense(graph: CSR, nodes: Tensor, is_symmetric: bool, out: Tensor) -> None:
    """Walk from `nodes` (W,): column w of an N × W matrix says where a walk from node w may be."""
    degree = graph.out_degree.clamp(min=1).float().unsqueeze(1)
    here = torch.zeros(graph.num_rows, nodes.numel())
    columns = torch.arange(nodes.numel())
    here[nodes, columns] = 1
    for k in range(0, out.size(1), 2 if is_symmetric else 1):
        scaled = here / degree
        there = spmm(graph, scaled)
        if is_symmetric:
            own = degree[nodes, 0]
            out[nodes, k] = (scaled * there).sum(0) * own
            if k + 1 < out.size(1):
                out[nodes, k + 1] = (there * there / degree).sum(0) * own
        else:
            out[nodes, k] = there[nodes, columns]
        here = there


@compiled
def _from_both_ends(first: int, last: int, rowptr: Any, col: Any, out: Any) -> None:
    num_nodes, steps = len(rowptr) - 1, out.shape[1]
    here, there = np.zeros(num_nodes), np.zeros(num_nodes)
    at, to = np.empty(num_nodes, np.int32), np.empty(num_nodes, np.int32)
    for i in range(first, last):
        here[i], at[0], count = 1.0, i, 1
        degree = rowptr[i + 1] - rowptr[i]
        for k in range(0, steps, 2):
            reached = _push(rowptr, col, here, at, count, there, to)
            odd = even = 0.0
            for n in range(reached):
                j = to[n]
                weight = there[j] / (rowptr[j + 1] - rowptr[j])
                odd += here[j] * weight
                even += there[j] * weight
            out[i, k] = odd * degree
            if k + 1 < steps:
                out[i, k + 1] = even * degree
            for n in range(count):
                here[at[n]] = 0.0
            here, there, at, to, count = there, here, to, at, reached
        for n in range(count):
            here[at[n]] = 0.0


@compiled
def _from_one_end(first: int, last: int, rowptr: Any, col: Any, out: Any) -> None:
    num_nodes, steps = len(rowptr) - 1, out.shape[1]
    here, there = np.zeros(num_nodes), np.zeros(num_nodes)
    at, to = np.empty(num_nodes, np.int32), np.empty(num_nodes, np.int32)
    for i in range(first, last):
        here[i], at[0], count = 1.0, i, 1
        for k in range(steps):
            reached = _push(rowptr, col, here, at, count, there, to)
            out[i, k] = there[i]
            for n in range(count):
                here[at[n]] = 0.0
            here, there, at, to, count = there, here, to, at, reached
        for n in range(count):
            here[at[n]] = 0.0


@compiled
def _push(rowptr: Any, col: Any, here: Any, at: Any, count: int, there: Any, to: Any) -> int:
    """One step: there = here P, whose non-zeros are listed in `to`; returns their number."""
    reached = 0
    for n in range(count):
        j = at[n]
        begin, end = rowptr[j], rowptr[j + 1]
        for e in range(begin, end):
            t = col[e]
            if there[t] == 0.0:
                to[reached] = t
                reached += 1
            there[t] += here[j] / (end - begin)
    return reached
