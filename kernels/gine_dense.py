"""Add relu(neighbour + edge) over each node's in-neighbours: GINE where each edge has a vector.

    y_i = (1 + ε) x_i + Σ_{j→i} relu(x_j + e_ji)

(Hu et al., ICLR 2020.) Of edges that fall into few categories gine_aggregate keeps one row each;
here every entry has its own, such as a linear map of continuous edge features makes.

Gradients, by one walk over the transpose that computes the relu's mask m_ji again:
    x̄_j = (1 + ε) ȳ_j + Σ_{j→i} m_ji ȳ_i      e̅_ji = m_ji ȳ_i      ε̄ = Σ ⟨ȳ, x⟩

Bytes moved, float32: E·D·4 of edges, (E + N)·D·4 gathered and N·D·4 written forward; backward E·D·4
more, the edges' gradient. No message is stored: of size E × D there are e and e̅ alone.

Legend: N nodes, E entries, D dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph


def reference(graph: CSR, x: Tensor, edge: Tensor, eps: Tensor) -> Tensor:
    """The specification: one message per entry, in a tensor of size E × D."""
    message_ED = (x[graph.col] + edge).relu()
    return ((1 + eps) * x).index_add(0, graph.row, message_ED)


@library.operation("x")
def gine_dense(graph: CSR, x: Tensor, edge: Tensor, eps: Tensor) -> Tensor:
    """Add each node's messages from its in-neighbours to (1 + eps) times the node itself.

    Shapes: x (N, D), edge (E, D) in the order of graph.col, eps () → (N, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    check.square(graph)
    check.features("x", x, graph.num_rows, graph.device)
    check.beside("edge", edge, (graph.num_entries, x.size(1)), x)
    check.beside("eps", eps, (), x)
    if not library.has_kernel("gine_dense", x):
        return reference(graph, x, edge, eps)
    out: Tensor = _GINE(graph.arrays, graph.bound, x, edge, eps)
    return out


def _fake(graph: Graph, longest: int, x: Tensor, edge: Tensor, eps: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_GINE = library.define(
    "gine_dense(Tensor[] graph, int longest, Tensor x, Tensor edge, Tensor eps) -> Tensor", _fake
)


def _fake_backward(
    grad: Tensor, graph: Graph, longest: int, x: Tensor, edge: Tensor, eps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    x, edge, eps = (
        torch.empty_like(value, memory_format=torch.contiguous_format) for value in (x, edge, eps)
    )
    return x, edge, eps


_BACKWARD = library.define(
    "gine_dense_backward(Tensor grad, Tensor[] graph, int longest, Tensor x, Tensor edge, "
    "Tensor eps) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, *tensors = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, None, *_BACKWARD(grad, ctx.graph, ctx.longest, *ctx.saved_tensors)


library.differentiate("gine_dense", _save, _backward)
