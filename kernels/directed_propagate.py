"""Sum each node's in-neighbours, both sides scaled by powers of their numbers of edges.

    y_i = r_i^a Σ_{j→i} c_j^b x_j,    r_i entries of row i,  c_j entries of column j,  0^a = 0

A row of a graph is a node that receives. On `batch.graph` node i so sums over its predecessors, r
is the in-degree and c the out-degree. On its transpose `batch.graph.t` node i sums over its
successors, r is the out-degree and c the in-degree: with A_ij = 1 for an edge i → j, as Rossi et
al. (LoG 2023) write it, this is D_out^a A D_in^b x, and on `batch.graph` D_in^a Aᵀ D_out^b x. No
self-loop is added; a and b of -1/2 are Dir-GCN's, of -1/4 FaberNet's, and (-1, 0) is a mean.

Gradient: the same over the transpose with a and b exchanged. Nothing is kept for it.

Bytes moved, float32: E·F·4 gathered + N·F·4 written + E·4 of indices. Degrees are read from the row
pointers; nothing of size E × F is stored, and on CUDA nothing of size E.

Legend: N rows, M columns, E entries, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph


def powers(degree: Tensor, exponent: float, like: Tensor) -> Tensor:
    """degree^exponent, and 0 for a degree of 0, in like's type and in float32 at least."""
    size = degree.to(library.wide(like.dtype))
    return torch.where(size > 0, size**exponent, 0)


def reference(graph: CSR, x: Tensor, a: float = -0.5, b: float = -0.5) -> Tensor:
    """The specification: scale, sum, scale."""
    outer, inner = powers(graph.in_degree, a, x)[:, None], powers(graph.out_degree, b, x)[:, None]
    message_EF = (inner.to(x.dtype) * x)[graph.col]
    total = x.new_zeros(graph.num_rows, x.size(1)).index_add(0, graph.row, message_EF)
    return outer.to(x.dtype) * total


@library.operation("x")
def directed_propagate(graph: CSR, x: Tensor, a: float = -0.5, b: float = -0.5) -> Tensor:
    """Sum over each row's entries, rows scaled by their length^a and columns by theirs^b.

    Shapes: x (M, F) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    check.features("x", x, graph.num_cols, graph.device)
    if not library.has_kernel("directed_propagate", x):
        return reference(graph, x, a, b)
    out: Tensor = _PROPAGATE(graph.arrays, graph.bound, x, float(a), float(b))
    return out


def _fake(graph: Graph, longest: int, x: Tensor, a: float, b: float) -> Tensor:
    return x.new_empty(graph[0].size(0) - 1, x.size(1))


_PROPAGATE = library.define(
    "directed_propagate(Tensor[] graph, int longest, Tensor x, float a, float b) -> Tensor", _fake
)


def _fake_backward(grad: Tensor, graph: Graph, longest: int, a: float, b: float) -> Tensor:
    return grad.new_empty(graph[2].size(0) - 1, grad.size(1))


_BACKWARD = library.define(
    "directed_propagate_backward(Tensor grad, Tensor[] graph, int longest, float a, float b) "
    "-> Tensor",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, _, ctx.a, ctx.b = inputs


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, None, _BACKWARD(grad, ctx.graph, ctx.longest, ctx.a, ctx.b), None, None


library.differentiate("directed_propagate", _save, _backward)
