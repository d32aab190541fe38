"""Scores of GATv2: of each entry and head, a product with an activation of its two ends.

    s_jih = ⟨a_h, σ(q_ih + k_jh + e_jih)⟩

(Brody, Alon and Yahav, ICLR 2022.) σ is leaky ReLU of slope 0.2 below 0, e a row for each entry or
nothing. Their softmax and the sum it weighs are edge_softmax's. Receivers and senders are
rows of two matrices of nodes, and both walks backward compute the sums inside again, so that of an
entry nothing but its H scores is stored.

Gradients, with t = s̄ σ'(q + k + e), a row for each entry, made where e wants a gradient:
q̄_i = a Σ_j t_ji    k̄_j = a Σ_i t_ji    ē = a t    ā = Σ_i q_i Σ_j t_ji + Σ_j k_j Σ_i t_ji + Σ e t

Bytes moved, float32, forward: E·H·F·4 gathered + N·H·F·4 + E·(H + 1)·4; backward twice as much.

Legend: N rows, M columns, E entries, H heads, F features per head.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph

SLOPE = 0.2


def reference(
    graph: CSR, query: Tensor, key: Tensor, weight: Tensor, edge: Tensor | None = None
) -> Tensor:
    """The specification: a tensor of size E × H × F."""
    inside_EHF = query[graph.row] + key[graph.col.long()]
    if edge is not None:
        inside_EHF = inside_EHF + edge
    return (weight * functional.leaky_relu(inside_EHF, SLOPE)).sum(2)


@library.operation("query", library.FULL)
def gatv2_score(
    graph: CSR, query: Tensor, key: Tensor, weight: Tensor, edge: Tensor | None = None
) -> Tensor:
    """⟨weight_h, leaky_relu(query_ih + key_jh + edge_jih)⟩ of each entry j → i and head h.

    Shapes: query (N, H, F), key (M, H, F), weight (H, F), edge (E, H, F) → (E, H).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    if query.dim() != 3:
        raise ValueError(
            f"query has shape {tuple(query.shape)}: it should be ({graph.num_rows}, H, F)"
        )
    check.features("query", query.flatten(1), graph.num_rows, graph.device)
    if query.dtype not in library.FULL:
        raise TypeError(f"query is {query.dtype}: pass {library.names_of(library.FULL)}")
    heads, width = query.shape[1:]
    check.beside("key", key, (graph.num_cols, heads, width), query)
    check.beside("weight", weight, (heads, width), query)
    if edge is not None:
        check.beside("edge", edge, (graph.num_entries, heads, width), query)
    if not library.has_kernel("gatv2_score", query):
        return reference(graph, query, key, weight, edge)
    out: Tensor = _SCORE(graph.arrays, graph.bound, query, key, weight, edge)
    return out


def _fake(
    graph: Graph, longest: int, query: Tensor, key: Tensor, weight: Tensor, edge: Tensor | None
) -> Tensor:
    return query.new_empty(graph[1].size(0), query.size(1))


_GIVEN = "Tensor[] graph, int longest, Tensor query, Tensor key, Tensor weight, Tensor? edge"
_SCORE = library.define(f"gatv2_score({_GIVEN}) -> Tensor", _fake, types=library.FULL)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    weight: Tensor,
    edge: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    of_edge = query.new_empty(0) if edge is None else query.new_empty(edge.shape)
    of_query, of_key, of_weight = (x.new_empty(x.shape) for x in (query, key, weight))
    return of_query, of_key, of_weight, of_edge


_BACKWARD = library.define(
    f"gatv2_score_backward(Tensor grad, {_GIVEN}) -> (Tensor, Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def gradients(
    query: Tensor,
    key: Tensor,
    weight: Tensor,
    edge: Tensor | None,
    sums: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients, of Σ t of each row, of each column and t itself: empty without e."""
    of_rows, of_columns, of_entries = sums
    # contiguous, so that the order of the sums is not that of memory
    of_weight = (query.contiguous() * of_rows).sum(0) + (key.contiguous() * of_columns).sum(0)
    if edge is not None:
        of_weight = of_weight + (edge.contiguous() * of_entries).sum(0)
        of_entries = weight * of_entries
    return weight * of_rows, weight * of_columns, of_weight, of_entries


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, *tensors = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    of_query, of_key, of_weight, of_edge = _BACKWARD(grad, ctx.graph, ctx.longest, *saved)
    return None, None, of_query, of_key, of_weight, None if saved[3] is None else of_edge


library.differentiate("gatv2_score", _save, _backward)
