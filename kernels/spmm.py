"""Sum, average or max the features of each node's in-neighbours.

    sum   y_i = Σ_{j→i} w_ji x_j          mean  the same, divided by the number of in-neighbours
    max   y_i = max_{j→i} x_j             a node without in-neighbours gets 0

Gradient of the features: the same sum over the transpose, x̄_j = Σ_{j→i} w_ji ȳ_i. Gradient of the
weights: one dot product per entry, w̄_ji = ⟨ȳ_i, x_j⟩. Among equal maxima the gradient is shared
equally, so relabelling nodes relabels gradients.

Bytes moved, forward, float32: E·F·4 gathered + N·F·4 written + E·4 of indices (+ E·4 of weights).
Nothing of size E × F is stored in either direction.

Legend: N rows, M columns, E entries, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, UNKNOWN, Graph

REDUCTIONS = ("sum", "mean", "max")


def reference(graph: CSR, x: Tensor, weight: Tensor | None = None, reduce: str = "sum") -> Tensor:
    """The specification: gather one row per entry, scatter it to the entry's row."""
    message_EF = x[graph.col] if weight is None else weight[:, None] * x[graph.col]
    row_EF = graph.row[:, None].expand_as(message_EF)
    if reduce == "max":
        # From -inf, not from 0: scatter_reduce's backward counts a starting 0 as one more tie.
        out = x.new_full((graph.num_rows, x.size(1)), -torch.inf)
        out = out.scatter_reduce(0, row_EF, message_EF, "amax")
        return torch.where(graph.in_degree[:, None] > 0, out, 0)
    out = x.new_zeros(graph.num_rows, x.size(1))
    return out.scatter_reduce(0, row_EF, message_EF, reduce, include_self=False)


@library.operation("x")
def spmm(graph: CSR, x: Tensor, weight: Tensor | None = None, reduce: str = "sum") -> Tensor:
    """Reduce the rows of x that each row of the graph names: `reduce` is sum, mean or max.

    Shapes: x (M, F), weight (E,) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device, dtype or reduction.
    """
    check.choice("reduce", reduce, REDUCTIONS)
    check.features("x", x, graph.num_cols, graph.device)
    if weight is not None:
        if reduce == "max":
            raise ValueError("reduce='max' takes no weight")
        check.beside("weight", weight, (graph.num_entries,), x)
    if not library.has_kernel("spmm", x):
        return reference(graph, x, weight, reduce)
    out: Tensor = _SPMM(graph.arrays, graph.bound, x, weight, reduce)
    return out


def gathered_sum(ptr: Tensor, order: Tensor, x: Tensor, longest: int | None) -> Tensor:
    """Σ of the rows of x that order[ptr[b]:ptr[b + 1]] names, for each b: no gradient of its own.

    Shapes: ptr (B + 1,) int32, order (E,) int32, x (M, F) → (B, F).
    """
    graph = (ptr, order, ptr, order, order)  # the last three are for gradients
    out: Tensor = _SPMM(graph, UNKNOWN if longest is None else longest, x, None, "sum")
    return out


def _fake(graph: Graph, longest: int, x: Tensor, weight: Tensor | None, reduce: str) -> Tensor:
    return x.new_empty(graph[0].size(0) - 1, x.size(1))


_SPMM = library.define(
    "spmm(Tensor[] graph, int longest, Tensor x, Tensor? weight, str reduce) -> Tensor", _fake
)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor | None,
    weight: Tensor | None,
    out: Tensor | None,
    reduce: str,
    needs_x: bool,
    needs_weight: bool,
) -> tuple[Tensor, Tensor]:
    _, col, rowptr_t, *_ = graph
    return (
        grad.new_empty(rowptr_t.size(0) - 1 if needs_x else 0, grad.size(1)),
        grad.new_empty(col.size(0) if needs_weight else 0),
    )


_BACKWARD = library.define(
    "spmm_backward(Tensor grad, Tensor[] graph, int longest, Tensor? x, Tensor? weight, "
    "Tensor? out, str reduce, bool needs_x, bool needs_weight) -> (Tensor, Tensor)",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, x, weight, ctx.reduce = inputs
    is_max = ctx.reduce == "max"
    # a plain sum keeps neither side alive
    keeps_x = is_max or (weight is not None and weight.requires_grad)
    ctx.save_for_backward(x if keeps_x else None, weight, output if is_max else None)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    needs_x, needs_weight = ctx.needs_input_grad[2:4]
    given = (*ctx.saved_tensors, ctx.reduce, needs_x, needs_weight)
    grad_x, grad_weight = _BACKWARD(grad, ctx.graph, ctx.longest, *given)
    return None, None, grad_x if needs_x else None, grad_weight if needs_weight else None, None


library.differentiate("spmm", _save, _backward)
