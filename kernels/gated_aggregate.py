"""The gated sum over in-neighbours of GatedGCN, and the new state of each edge.

    s_ij = e_ij + r_i + c_j       y_i = Σ_j σ(s_ij) ⊙ v_j / (Σ_j σ(s_ij) + ε),    ε = 1e-6

over the in-neighbours j of i (Bresson & Laurent, 2017, as Dwivedi et al., JMLR 2023, have it), σ
the logistic function. s is an output as well: the next layer's edges are made of it. A node without
in-neighbours gets 0.

Gradients, with t_i = ȳ_i / (Σ_j σ_ij + ε):
    s̄_ij ← s̄_ij + σ_ij (1 - σ_ij) ⊙ t_i ⊙ (v_j - y_i) = ē_ij
    r̄_i = Σ_j ē_ij      c̄_j = Σ_i ē_ij      v̄_j = Σ_i σ_ij ⊙ t_i

Kept for it are s, v and y: gates and messages are computed again.

Bytes moved, float32: E·D·4 read and as many written + E·D·8 from cache, forward; backward reads s
three times and s̄ once, and writes ē, which the second walk reads.

Legend: N rows, M columns, E entries, D dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph

EPS = 1e-6


def reference_of_both(
    graph: CSR, edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """The specification: gates and messages of size E × D; y and s."""
    col = graph.col.long()
    state = edge + receiver[graph.row] + sender[col]
    gate = state.sigmoid()
    total = torch.zeros_like(receiver).index_add(0, graph.row, gate * value[col])
    return total / (torch.zeros_like(receiver).index_add(0, graph.row, gate) + EPS), state


def reference(graph: CSR, edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor) -> Tensor:
    """Y alone."""
    return reference_of_both(graph, edge, receiver, sender, value)[0]


@library.operation("edge", library.FULL)
def gated_aggregate(
    graph: CSR, edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Average each node's in-neighbours by gates of the edges' states; and these states.

    Shapes: edge (E, D) in the order of graph.col, receiver (N, D), sender (M, D), value (M, D) →
    (N, D) and (E, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    check.features("edge", edge, graph.num_entries, graph.device)
    if edge.dtype not in library.FULL:
        raise TypeError(f"edge is {edge.dtype}: pass {library.names_of(library.FULL)}")
    width = edge.size(1)
    check.beside("receiver", receiver, (graph.num_rows, width), edge)
    check.beside("sender", sender, (graph.num_cols, width), edge)
    check.beside("value", value, (graph.num_cols, width), edge)
    if not library.has_kernel("gated_aggregate", edge):
        return reference_of_both(graph, edge, receiver, sender, value)
    out: tuple[Tensor, Tensor] = _GATED(graph.arrays, graph.bound, edge, receiver, sender, value)
    return out


def _fake(
    graph: Graph, longest: int, edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    contiguous = torch.contiguous_format
    return (
        torch.empty_like(receiver, memory_format=contiguous),
        torch.empty_like(edge, memory_format=contiguous),
    )


_GATED = library.define(
    "gated_aggregate(Tensor[] graph, int longest, Tensor edge, Tensor receiver, Tensor sender, "
    "Tensor value) -> (Tensor, Tensor)",
    _fake,
    types=library.FULL,
)


def _fake_backward(
    grad: Tensor,
    grad_state: Tensor | None,
    graph: Graph,
    longest: int,
    value: Tensor,
    out: Tensor,
    state: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    contiguous = torch.contiguous_format
    edge, receiver, sender, of_value = (
        torch.empty_like(x, memory_format=contiguous) for x in (state, out, value, value)
    )
    return edge, receiver, sender, of_value


_BACKWARD = library.define(
    "gated_aggregate_backward(Tensor grad, Tensor? grad_state, Tensor[] graph, int longest, "
    "Tensor value, Tensor out, Tensor state) -> (Tensor, Tensor, Tensor, Tensor)",
    _fake_backward,
    types=library.FULL,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.graph, ctx.longest, *_, value = inputs
    ctx.save_for_backward(value, *output)


def _backward(ctx: Any, grad: Tensor | None, grad_state: Tensor | None) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    if grad is None:
        grad = torch.zeros_like(saved[1])
    return None, None, *_BACKWARD(grad, grad_state, ctx.graph, ctx.longest, *saved)


library.differentiate("gated_aggregate", _save, _backward)
