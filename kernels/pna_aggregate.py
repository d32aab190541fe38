"""Mean, maximum, minimum and standard deviation of each node's messages, in one walk of the graph.

    m_ij = x_j + e_ij       y_i = [mean_j m_ij, max_j m_ij, min_j m_ij, √(relu(E m² - (E m)²) + ε)]

The aggregators of principal neighbourhood aggregation (Corso et al., NeurIPS 2020); ε = 1e-5. The
edges' part e_ij is a row of a table, one per combination of an edge's categories, or of a matrix
with a row per entry. The moments are taken of m_ij minus the row's first message: their difference
then loses no digits where the mean is large. A node without in-neighbours gets 0.

What a layer adds for the receiver moves mean, maximum and minimum and leaves the deviation, and the
scalers of the degree are factors of a row: both are folded into the linear layer that reads y (see
gbench/models/pna.py), so that N × 4D numbers leave this operation and never 12 D.

Gradients, by a walk over the rows and one over the transpose that computes the messages again:
    m̄_ij = ȳ¹_i / d_i + [m_ij = max] ȳ²_i / n_i + [m_ij = min] ȳ³_i / l_i
         + ȳ⁴_i (m_ij - mean_i) / (d_i y⁴_i)
with n and l the numbers of entries that attain the maximum and the minimum: equal ones share.
Kept for it are the inputs and the output, nothing of size E × D.

Bytes moved, float32: (E + N)·D·4 read + 4·N·D·4 written forward, and 10·N·D·4 + E·D·32 from cache
backward.

Legend: N rows, M columns, E entries, D dimensions, U rows of a table.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph

EPS = 1e-5


def reference(
    graph: CSR, x: Tensor, edge: Tensor | None = None, edge_code: Tensor | None = None
) -> Tensor:
    """The specification: one message per entry, in a tensor of size E × D."""
    message_ED = x[graph.col.long()]
    if edge is not None:
        message_ED = message_ED + (edge if edge_code is None else edge[edge_code.long()])
    row_ED = graph.row[:, None].expand_as(message_ED)
    zeros = x.new_zeros(graph.num_rows, x.size(1))
    count = graph.in_degree.clamp(min=1).to(x.dtype)[:, None]
    mean = zeros.index_add(0, graph.row, message_ED) / count
    apart = message_ED - mean[graph.row]
    variance = zeros.index_add(0, graph.row, apart.square()) / count
    most, least = (
        torch.full_like(zeros, far).scatter_reduce(0, row_ED, message_ED, kind)
        for kind, far in (("amax", -torch.inf), ("amin", torch.inf))
    )
    out = torch.stack([mean, most, least, (variance + EPS).sqrt()], 1)
    return torch.where((graph.in_degree > 0)[:, None, None], out, 0)


@library.operation("x", library.FULL)
def pna_aggregate(
    graph: CSR, x: Tensor, edge: Tensor | None = None, edge_code: Tensor | None = None
) -> Tensor:
    """Mean, maximum, minimum and standard deviation of x_j + e_ij over each node's in-neighbours.

    `edge` is a table with `edge_code`, the row of each entry, and without it a row for each entry
    in the order of graph.col.

    Shapes: x (M, D), edge (U, D) or (E, D), edge_code (E,) integer → (N, 4, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype, IndexError on a code outside
    the table.
    """
    check.features("x", x, graph.num_cols, graph.device)
    if x.dtype not in library.FULL:
        raise TypeError(f"x is {x.dtype}: pass {library.names_of(library.FULL)}")
    if edge is not None:
        rows = graph.num_entries if edge_code is None else -1
        check.beside("edge", edge, (rows, x.size(1)), x)
    if edge_code is not None:
        if edge is None:
            raise ValueError("edge_code without edge: pass the table that it names rows of")
        check.integers("edge_code", edge_code, (graph.num_entries,), graph.device)
    if not library.has_kernel("pna_aggregate", x):
        return reference(graph, x, edge, edge_code)
    out: Tensor = _PNA(graph.arrays, graph.bound, x, edge, edge_code)
    return out


def _fake(
    graph: Graph, longest: int, x: Tensor, edge: Tensor | None, edge_code: Tensor | None
) -> Tensor:
    return x.new_empty(graph[0].size(0) - 1, 4, x.size(1))


_GIVEN = "Tensor[] graph, int longest, Tensor x, Tensor? edge, Tensor? edge_code"
_PNA = library.define(f"pna_aggregate({_GIVEN}) -> Tensor", _fake, types=library.FULL)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    out: Tensor,
) -> tuple[Tensor, Tensor]:
    contiguous = torch.contiguous_format
    of_edge = x.new_empty(0) if edge is None else torch.empty_like(edge, memory_format=contiguous)
    return torch.empty_like(x, memory_format=contiguous), of_edge


_BACKWARD = library.define(
    f"pna_aggregate_backward(Tensor grad, {_GIVEN}, Tensor out) -> (Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, *tensors = inputs
    ctx.save_for_backward(*tensors, output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    grad_x, grad_edge = _BACKWARD(grad, ctx.graph, ctx.longest, *saved)
    return None, None, grad_x, None if saved[1] is None else grad_edge, None


library.differentiate("pna_aggregate", _save, _backward)
