"""Add relu(neighbour + bond) over each node's in-neighbours: the aggregation of GINE.

    y_i = (1 + ε) x_i + Σ_{j→i} relu(x_j + table[code_ji])

(Hu et al., ICLR 2020). A bond's embedding depends only on its categories, so the layer's bond
tables are summed once into one row per combination of categories, and an entry carries the row's
number: nothing of size E × D is read, written or kept.

Gradients, by one walk over the transpose that computes the relu's mask m_ji again:
    x̄_j = (1 + ε) ȳ_j + Σ_{j→i} m_ji ȳ_i      table̅[c] = Σ_{code_ji = c} m_ji ȳ_i      ε̄ = Σ ⟨ȳ, x⟩

Bytes moved, float32: (E + N)·D·4 read + N·D·4 written forward, twice that backward; the table stays
in cache. The gathered E·D·4 come from cache too when a batch of molecules fits in it.

Legend: N nodes, E entries, D dimensions, U rows in the table.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR


def reference(graph: CSR, x: Tensor, table: Tensor, edge_code: Tensor, eps: Tensor) -> Tensor:
    """The specification: one message per entry, in a tensor of size E × D."""
    message_ED = (x[graph.col] + table[edge_code.long()]).relu()
    return ((1 + eps) * x).index_add(0, graph.row, message_ED)


@library.operation("x")
def gine_aggregate(graph: CSR, x: Tensor, table: Tensor, edge_code: Tensor, eps: Tensor) -> Tensor:
    """Add each node's messages from its in-neighbours to (1 + eps) times the node itself.

    Shapes: x (N, D), table (U, D), edge_code (E,) integer in the order of graph.col, eps () →
    (N, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype, IndexError on a code outside
    the table.
    """
    check.square(graph)
    check.features("x", x, graph.num_rows, graph.device)
    check.integers("edge_code", edge_code, (graph.num_entries,), graph.device)
    check.beside("table", table, (-1, x.size(1)), x)
    check.beside("eps", eps, (), x)
    if not library.has_kernel("gine_aggregate", x):
        return reference(graph, x, table, edge_code, eps)
    out: Tensor = _GINE(
        graph.rowptr,
        graph.col,
        graph.rowptr_t,
        graph.col_t,
        graph.perm_t,
        x,
        table,
        edge_code,
        eps,
    )
    return out


def _fake(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_GINE = library.define(
    "gine_aggregate(Tensor rowptr, Tensor col, Tensor rowptr_t, Tensor col_t, Tensor perm_t, "
    "Tensor x, Tensor table, Tensor edge_code, Tensor eps) -> Tensor",
    _fake,
)


def _fake_backward(
    grad: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    contiguous = torch.contiguous_format
    return (
        torch.empty_like(x, memory_format=contiguous),
        torch.empty_like(table, memory_format=contiguous),
        torch.empty_like(eps),
    )


_BACKWARD = library.define(
    "gine_aggregate_backward(Tensor grad, Tensor rowptr_t, Tensor col_t, Tensor perm_t, "
    "Tensor x, Tensor table, Tensor edge_code, Tensor eps) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[2:])


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    grad_x, grad_table, grad_eps = _BACKWARD(grad, *ctx.saved_tensors)
    graph = (None,) * 5
    return *graph, grad_x, grad_table, None, grad_eps


library.differentiate("gine_aggregate", _save, _backward)
