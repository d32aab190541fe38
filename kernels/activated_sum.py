"""Add an activation of receiver, sender and edge over each node's in-neighbours.

    y_i = Σ_{j→i} c_j σ(q_i + k_j + e_ij)

The aggregation of SIR-GCN (Lim et al., TMLR 2025), whose linear layer follows it: σ is leaky ReLU
of a given slope, of 0 ReLU, or GELU; c, constants of the senders, are 1 where none are given. The
edges' part is a row of a table, one per combination of an edge's categories, or of a matrix with a
row per entry, or nothing.

Gradients, by a walk over the rows and one over the transpose that compute the sums inside again:
    ē_ij = c_j σ'(q_i + k_j + e_ij) ⊙ ȳ_i      q̄_i = Σ_j ē_ij      k̄_j = Σ_i ē_ij

Nothing of size E × D is kept, nor made where the edges' part is a table.

Bytes moved, float32: (E + 2 N)·D·4 forward, the gathered E·D·4 from cache in a batch of molecules;
about twice that backward.

Legend: N rows, M columns, E entries, D dimensions, U rows of a table.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph

ACTIVATIONS = ("relu", "gelu")


def reference(
    graph: CSR,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None = None,
    edge_code: Tensor | None = None,
    scale: Tensor | None = None,
    act: str = "relu",
    slope: float = 0.0,
) -> Tensor:
    """The specification: one message per entry, in a tensor of size E × D."""
    col = graph.col.long()
    inside_ED = query[graph.row] + key[col]
    if edge is not None:
        inside_ED = inside_ED + (edge if edge_code is None else edge[edge_code.long()])
    if act == "gelu":
        message_ED = functional.gelu(inside_ED)
    else:
        message_ED = functional.leaky_relu(inside_ED, slope)
    if scale is not None:
        message_ED = message_ED * scale.to(message_ED.dtype)[col][:, None]
    return torch.zeros_like(query).index_add(0, graph.row, message_ED)


@library.operation("query", library.FULL)
def activated_sum(
    graph: CSR,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None = None,
    edge_code: Tensor | None = None,
    *,
    scale: Tensor | None = None,
    act: str = "relu",
    slope: float = 0.0,
) -> Tensor:
    """Sum σ(query_i + key_j + e_ij) over each node's in-neighbours, times the sender's `scale`.

    `edge` is a table with `edge_code`, the row of each entry, and without it a row for each entry
    in the order of graph.col. `act` is relu, with the `slope` below zero, or gelu. `scale` gets no
    gradient.

    Shapes: query (N, D), key (M, D), edge (U, D) or (E, D), edge_code (E,) integer, scale (M,) →
    (N, D).
    Raises ValueError or TypeError on a wrong shape, device, dtype or activation and for a scale
    that wants a gradient, IndexError on a code outside the table.
    """
    check.features("query", query, graph.num_rows, graph.device)
    if query.dtype not in library.FULL:
        raise TypeError(f"query is {query.dtype}: pass {library.names_of(library.FULL)}")
    width = query.size(1)
    check.beside("key", key, (graph.num_cols, width), query)
    check.choice("act", act, ACTIVATIONS)
    if edge is not None:
        rows = graph.num_entries if edge_code is None else -1
        check.beside("edge", edge, (rows, width), query)
    if edge_code is not None:
        if edge is None:
            raise ValueError("edge_code without edge: pass the table that it names rows of")
        check.integers("edge_code", edge_code, (graph.num_entries,), graph.device)
    if scale is not None:
        if scale.requires_grad:
            raise ValueError("scale requires a gradient, and gets none: pass scale.detach()")
        check.beside("scale", scale, (graph.num_cols,), query)
    given = (query, key, edge, edge_code, scale, act, slope)
    if not library.has_kernel("activated_sum", query):
        return reference(graph, *given)
    out: Tensor = _SUM(graph.arrays, graph.bound, *given)
    return out


def _fake(
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    scale: Tensor | None,
    act: str,
    slope: float,
) -> Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


_GIVEN = (
    "Tensor[] graph, int longest, Tensor query, Tensor key, Tensor? edge, Tensor? edge_code, "
    "Tensor? scale, str act, float slope"
)
_SUM = library.define(f"activated_sum({_GIVEN}) -> Tensor", _fake, types=library.FULL)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    scale: Tensor | None,
    act: str,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    contiguous = torch.contiguous_format
    of_edge = query.new_empty(0)
    if edge is not None:
        of_edge = torch.empty_like(edge, memory_format=contiguous)
    of_query, of_key = (torch.empty_like(x, memory_format=contiguous) for x in (query, key))
    return of_query, of_key, of_edge


_BACKWARD = library.define(
    f"activated_sum_backward(Tensor grad, {_GIVEN}) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, *tensors, ctx.act, ctx.slope = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    given = (grad, ctx.graph, ctx.longest, *saved, ctx.act, ctx.slope)
    of_query, of_key, of_edge = _BACKWARD(*given)
    of_edge = None if saved[2] is None else of_edge
    return None, None, of_query, of_key, of_edge, None, None, None, None


library.differentiate("activated_sum", _save, _backward)
