"""The normalised adjacency of a graph whose edges have weights, as values of its entries.

    S = D^-1/2 (A + I) D^-1/2,   A_ij = w_ji,   D_ii = 1 + Σ_{j→i} w_ji

(Kipf & Welling, ICLR 2017.) `value_e` = D_i^-1/2 w_ji D_j^-1/2 stands where w_ji stood and `own_i`
= D_i^-1 is the diagonal that the self-loops add, so that one hop is a weighted sum and one product:
S x = spmm(graph, x, value) + own ⊙ x. Both are a few operations on E numbers, through which
gradients reach the weights; nothing of size E × F exists. A loop that the graph has is one more
entry, as it is without weights. A degree of 0 or less has no root: its row and column are 0 or NaN.

Legend: N nodes, E entries, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR
from gbench.kernels.spmm import spmm


class Values(NamedTuple):
    """S by its entries. Shapes: value (E,) in the order of graph.col, own (N,)."""

    value: Tensor
    own: Tensor


def gcn_values(graph: CSR, weight: Tensor) -> Values:
    """The entries of S, in the type of `weight`, sums and roots in float32 at least.

    Shapes: weight (E,) → value (E,), own (N,).
    Raises ValueError or TypeError on a wrong shape, device or dtype and where N ≠ M.
    """
    check.square(graph)
    check.features("weight", weight[:, None], graph.num_entries, graph.device)
    wide = weight.to(library.wide(weight.dtype))
    degree = 1 + spmm(graph, wide.new_ones(graph.num_cols, 1), wide).squeeze(1)
    root = degree.rsqrt()
    root = torch.where(root.isinf(), 0, root)
    rows = torch.repeat_interleave(root, graph.in_degree, output_size=graph.num_entries)
    value = rows * wide * root.index_select(0, graph.col)
    return Values(value.to(weight.dtype), (root * root).to(weight.dtype))


def gcn_rows(graph: CSR, nodes: Tensor) -> tuple[CSR, Tensor]:
    """Some rows of S without edge weights: a graph of T rows, loops included, and its values.

    Shapes: nodes (T,) → T × N, value float32 of each entry.
    Raises ValueError where N ≠ M.
    """
    check.square(graph)
    row, entry = graph.entries_of(nodes)
    source = torch.cat([graph.col[entry].long(), nodes])
    target = torch.cat([row, torch.arange(nodes.numel(), device=row.device)])
    part, _ = CSR.from_edge_index(torch.stack([source, target]), nodes.numel(), graph.num_cols)
    root = (graph.in_degree + 1).float().rsqrt()
    return part, root[nodes][part.row] * root[part.col]


def hops_of(graph: CSR, x: Tensor, values: Values, hops: int) -> Tensor:
    """S^hops x. Shapes: x (N, F) → (N, F)."""
    value, own = values.value.to(x.dtype), values.own.to(x.dtype)[:, None]
    for _ in range(hops):
        x = torch.addcmul(spmm(graph, x, value), own, x)
    return x
