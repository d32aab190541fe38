"""Graph diffusion: edges to those that random walks from a node mostly end at.

Gasteiger, Weißenberger and Günnemann, "Diffusion Improves Graph Learning" (NeurIPS 2019), with
personalised PageRank and the k largest entries of each node:

    S = α Σ_{t ≥ 0} (1 - α)^t T^t,    T = D^-1/2 (A + I) D^-1/2

Since S_ij = (d_i / d_j)^1/2 π_i(j) for the walk of D^-1 (A + I), it is found by local pushes,
within ε (d_i d_j)^1/2 on an undirected graph (gbench/data/big/ppr.py).
"""

from __future__ import annotations

import torch

from gbench.data.big.ppr import personalised
from gbench.data.source import Graph
from gbench.errors import UserError
from gbench.kernels import CSR


def rewire(graph: Graph, *, alpha: float, k: int, epsilon: float, weights: bool) -> Graph:
    """The graph with an edge j → i for each of the k others j with the largest S_ij.

    With `weights` these are the edges' weights, divided so that those into each node sum to 1. An
    edge of A counts once however often it is listed; what edges carried is dropped.

    Raises UserError for options outside of their limits.
    """
    for name, value, fits in (
        ("alpha", alpha, 0 < alpha < 1),
        ("epsilon", epsilon, 0 < epsilon < 1),
        ("k", k, k >= 1),
    ):
        if not fits:
            allowed = "at least 1" if name == "k" else "above 0 and below 1"
            raise UserError(f"transform.{name}={value}: allowed is a number {allowed}")
    number = graph.x.size(0)
    loops = torch.arange(number).expand(2, -1)
    looped, _ = CSR.from_edge_index(torch.cat([graph.edge_index, loops], 1).unique(dim=1), number)
    degree = looped.in_degree.double()
    arrays = (looped.rowptr.numpy(), looped.col.numpy())
    # by S_ij the order of a node's entries is not that of π_i: all of them are looked at
    ptr, node, value = personalised(*arrays, range(number), alpha, epsilon, number)
    target = torch.arange(number).repeat_interleave(torch.from_numpy(ptr).diff())
    source = torch.from_numpy(node).long()
    s = torch.from_numpy(value) * (degree[target] / degree[source]).sqrt()
    other = source != target
    source, target, s = source[other], target[other], s[other]
    order = torch.argsort(s, descending=True, stable=True)
    order = order[torch.argsort(target[order], stable=True)]
    source, target, s = source[order], target[order], s[order]
    sizes = torch.bincount(target, minlength=number)
    rank = torch.arange(len(target)) - (sizes.cumsum(0) - sizes)[target]
    kept = rank < k
    source, target, s = source[kept], target[kept], s[kept]
    total = torch.zeros(number, dtype=torch.float64).index_add_(0, target, s)
    return graph._replace(
        edge_index=torch.stack([source, target]),
        edge_weight=(s / total[target]).float() if weights else None,
        edge_attr=None,
        edge_numbers=None,
    )
