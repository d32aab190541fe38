"""Add normalised relu(neighbour + bond) and a root term: the graph convolution of OGB's molecules.

    y_i = Σ_{j→i} (d_i d_j)^-1/2 relu(x_j + table[code_ji]) + relu(x_i + root) / d_i

with d = 1 + number of out-neighbours, as OGB's example counts them (on a molecule, whose bonds run
both ways, in and out are the same). As in gine_aggregate, the table has one row per combination of
a bond's categories (bonds.py).

Gradients, by one walk over the transpose that computes the relus' masks m again:
    x̄_j = d_j^-1/2 Σ_{j→i} d_i^-1/2 m_ji ȳ_i + m_j ȳ_j / d_j,  root̅ = Σ_j m_j ȳ_j / d_j,
    table̅[c] = Σ_{code_ji = c} (d_i d_j)^-1/2 m_ji ȳ_i

Legend: N nodes, E entries, D dimensions, U rows in the table.
"""

from __future__ import annotations

from torch import Tensor

from gbench.kernels import bonds, check, library
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
    bonds.check_messages(graph, x, table, edge_code)
    check.beside("root", root, (x.size(1),), x)
    if not library.has_kernel("gcn_bond_aggregate", x):
        return reference(graph, x, table, edge_code, root)
    out: Tensor = _GCN_BOND(graph.arrays, graph.bound, x, table, edge_code, root)
    return out


_GCN_BOND = bonds.define("gcn_bond_aggregate", "root")
