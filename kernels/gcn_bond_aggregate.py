"""Add normalised relu(neighbour + bond) and a root term: the graph convolution of OGB's molecules.

    y_i = Σ_{j→i} (d_i d_j)^-1/2 relu(x_j + table[code_ji]) + relu(x_i + root) / d_i

with d = 1 + number of out-neighbours, as OGB's example counts them (on a molecule, whose bonds run
both ways, in and out are the same). As in `gine_aggregate`, an entry carries the number of its bond
combination and nothing of size E × D is read, written or kept.

Gradients, by one walk over the transpose that computes the relus' masks m again:
    x̄_j = d_j^-1/2 Σ_{j→i} d_i^-1/2 m_ji ȳ_i + m_j ȳ_j / d_j,  root̅ = Σ_j m_j ȳ_j / d_j,
    table̅[c] = Σ_{code_ji = c} (d_i d_j)^-1/2 m_ji ȳ_i

Bytes moved, float32: (E + N)·D·4 read + N·D·4 written forward, twice that backward.

Legend: N nodes, E entries, D dimensions, U rows in the table.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR


def reference(graph: CSR, x: Tensor, table: Tensor, edge_code: Tensor, root: Tensor) -> Tensor:
    """The specification: one message per entry, in a tensor of size E × D."""
    degree = (graph.out_degree + 1).to(x.dtype)[:, None]
    scale = degree.rsqrt()
    message_ED = scale[graph.col] * (x[graph.col] + table[edge_code.long()]).relu()
    out = (x + root).relu() / degree
    return out.index_add(0, graph.row, scale[graph.row] * message_ED)


@library.operation("x")
def gcn_bond_aggregate(
    graph: CSR, x: Tensor, table: Tensor, edge_code: Tensor, root: Tensor
) -> Tensor:
    """Add each node's normalised messages from its in-neighbours to the node's own.

    Shapes: x (N, D), table (U, D), edge_code (E,) integer in the order of graph.col, root (D,) →
    (N, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype, IndexError on a code outside
    the table.
    """
    check.square(graph)
    check.features("x", x, graph.num_rows, graph.device)
    check.integers("edge_code", edge_code, (graph.num_entries,), graph.device)
    check.beside("table", table, (-1, x.size(1)), x)
    check.beside("root", root, (x.size(1),), x)
    if not library.has_kernel("gcn_bond_aggregate", x):
        return reference(graph, x, table, edge_code, root)
    out: Tensor = _GCN_BOND(
        graph.rowptr,
        graph.col,
        graph.rowptr_t,
        graph.col_t,
        graph.perm_t,
        x,
        table,
        edge_code,
        root,
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
    root: Tensor,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_GCN_BOND = library.define(
    "gcn_bond_aggregate(Tensor rowptr, Tensor col, Tensor rowptr_t, Tensor col_t, Tensor perm_t, "
    "Tensor x, Tensor table, Tensor edge_code, Tensor root) -> Tensor",
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
    root: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    contiguous = torch.contiguous_format
    return (
        torch.empty_like(x, memory_format=contiguous),
        torch.empty_like(table, memory_format=contiguous),
        torch.empty_like(root, memory_format=contiguous),
    )


_BACKWARD = library.define(
    "gcn_bond_aggregate_backward(Tensor grad, Tensor rowptr_t, Tensor col_t, Tensor perm_t, "
    "Tensor x, Tensor table, Tensor edge_code, Tensor root) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[2:])


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    grad_x, grad_table, grad_root = _BACKWARD(grad, *ctx.saved_tensors)
    graph = (None,) * 5
    return *graph, grad_x, grad_table, None, grad_root


library.differentiate("gcn_bond_aggregate", _save, _backward)
