"""Propagate features with the symmetrically normalised adjacency of a graph convolution, K times.

    y = (D^-1/2 (A + I) D^-1/2)^K x,   D_ii = 1 + number of in-neighbours of i

(Kipf & Welling, ICLR 2017; with K > 1 the whole of SGC, Wu et al., ICML 2019). No edge weight
exists: rows are scaled by D^-1/2 before and after a plain sum, and between two hops the two
scalings are one multiplication by D^-1. Two buffers take turns, whatever K is.

Gradient: the same over the transpose, with the same D, so nothing of the features is kept.

Bytes moved per hop, float32: E·F·4 gathered + about 5·N·F·4 + E·4 of indices.

Legend: N nodes, E entries, F features, K hops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR


def reference(graph: CSR, x: Tensor, hops: int = 1) -> Tensor:
    """The specification: add self-loops, scale both sides, `hops` times."""
    scale = (graph.in_degree + 1).to(x.dtype).rsqrt()[:, None]
    for _ in range(hops):
        x = scale * x
        x = scale * x.index_add(0, graph.row, x[graph.col])
    return x


def gcn_propagate(graph: CSR, x: Tensor, hops: int = 1) -> Tensor:
    """Average each node with its in-neighbours, `hops` times, weighted by their degrees.

    One self-loop is added to each node, besides those that the graph has.

    Shapes: x (N, F) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype and on negative hops.
    """
    check.square(graph)
    check.features("x", x, graph.num_rows, graph.device)
    if hops < 0:
        raise ValueError(f"hops={hops}: pass 0 or more")
    if hops == 0:
        return x
    if x.is_cuda and not library.has_cuda("gcn_propagate"):
        return reference(graph, x, hops)
    out: Tensor = _PROPAGATE(graph.rowptr, graph.col, graph.rowptr_t, graph.col_t, x, hops, False)
    return out


def _fake(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    x: Tensor,
    hops: int,
    transposed: bool,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_PROPAGATE = library.define(
    "gcn_propagate(Tensor rowptr, Tensor col, Tensor rowptr_t, Tensor col_t, "
    "Tensor x, int hops, bool transposed) -> Tensor",
    _fake,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *graph, _, ctx.hops, ctx.transposed = inputs
    ctx.save_for_backward(*graph)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    grad_x = _PROPAGATE(*ctx.saved_tensors, grad, ctx.hops, not ctx.transposed)
    graph = (None,) * 4
    return *graph, grad_x, None, None


library.differentiate("gcn_propagate", _save, _backward)
