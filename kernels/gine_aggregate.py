"""Add relu(neighbour + bond) over each node's in-neighbours: the aggregation of GINE.

    y_i = (1 + ε) x_i + Σ_{j→i} relu(x_j + table[code_ji])

(Hu et al., ICLR 2020), with one row of the table per combination of a bond's categories (bonds.py).

Gradients, by one walk over the transpose that computes the relu's mask m_ji again:
    x̄_j = (1 + ε) ȳ_j + Σ_{j→i} m_ji ȳ_i      table̅[c] = Σ_{code_ji = c} m_ji ȳ_i      ε̄ = Σ ⟨ȳ, x⟩

Legend: N nodes, E entries, D dimensions, U rows in the table.
"""

from __future__ import annotations

from torch import Tensor

from gbench.kernels import bonds, check, library
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
    bonds.check_messages(graph, x, table, edge_code)
    check.beside("eps", eps, (), x)
    if not library.has_kernel("gine_aggregate", x):
        return reference(graph, x, table, edge_code, eps)
    out: Tensor = _GINE(graph.arrays, graph.bound, x, table, edge_code, eps)
    return out


_GINE = bonds.define("gine_aggregate", "eps")
