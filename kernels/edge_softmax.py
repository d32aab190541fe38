"""Softmax over each node's incoming entries, and the sum of its in-neighbours so weighted.

    y_ih = Σ_{j→i} m_jih α_jih x_jh,    α_jih = exp(s_jih) / Σ_{k→i} exp(s_kih)

The aggregation of graph attention, for H heads. A node without in-neighbours gets 0. The factors m
of the weights are 1 where none are given; dropout of the weights gives 0 and 1 / (1 - rate). The
weights α are not kept: each is exp(s - λ_ih) again in backward, from one logarithm of a sum λ per
node and head.

Gradients, none for m:
x̄_jh = Σ_{j→i} m_jih α_jih ȳ_ih      s̄_jih = α_jih (m_jih ⟨ȳ_ih, x_jh⟩ - ⟨ȳ_ih, y_ih⟩)

Bytes moved, forward, float32: E·H·F·4 gathered + N·H·F·4 written + E·(H + 1)·4, and E·H·4 of
factors; backward gathers twice as much. Nothing of size E × F is stored; on the CPU the weights,
E × H, are for as long as backward takes.

Legend: N rows, M columns, E entries, H heads, F features per head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph


def reference(graph: CSR, score: Tensor, x: Tensor, factor: Tensor | None = None) -> Tensor:
    """The specification: subtract each row's maximum, exponentiate, divide by the sum, add up."""
    row_EH = graph.row[:, None].expand_as(score)
    top_NH = score.new_full((graph.num_rows, score.size(1)), -torch.inf)
    top_NH = top_NH.scatter_reduce(0, row_EH, score.detach(), "amax")
    weight_EH = (score - top_NH[graph.row]).exp()
    total_NH = torch.zeros_like(top_NH).index_add(0, graph.row, weight_EH)
    alpha_EH = weight_EH / total_NH[graph.row]
    alpha_EH = alpha_EH if factor is None else alpha_EH * factor.to(alpha_EH.dtype)
    out = x.new_zeros(graph.num_rows, *x.shape[1:])
    return out.index_add(0, graph.row, alpha_EH[:, :, None] * x[graph.col])


@library.operation("x")
def edge_softmax(graph: CSR, score: Tensor, x: Tensor, factor: Tensor | None = None) -> Tensor:
    """Sum each node's in-neighbours, weighted by the softmax of their entries' scores.

    Each weight is multiplied by its `factor`, which gets no gradient.

    Shapes: score (E, H), x (M, H, F), factor (E, H) → (N, H, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype and for a factor that wants a
    gradient.
    """
    if x.dim() != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}: it should be ({graph.num_cols}, H, F)")
    check.features("x", x.flatten(1), graph.num_cols, graph.device)
    check.beside("score", score, (graph.num_entries, x.size(1)), x)
    if factor is not None:
        if factor.requires_grad:
            raise ValueError("factor requires a gradient, and gets none: pass factor.detach()")
        check.beside("factor", factor, (graph.num_entries, x.size(1)), x)
    if not library.has_kernel("edge_softmax", x):
        return reference(graph, score, x, factor)
    out: Tensor
    out, _ = _EDGE_SOFTMAX(graph.arrays, graph.bound, score, x, factor)
    return out


def _fake(
    graph: Graph, longest: int, score: Tensor, x: Tensor, factor: Tensor | None
) -> tuple[Tensor, Tensor]:
    wide = library.wide(x.dtype)
    rows = graph[0].size(0) - 1
    return (
        x.new_empty(rows, x.size(1), x.size(2)),
        x.new_empty((rows, x.size(1)), dtype=wide),
    )


_EDGE_SOFTMAX = library.define(
    "edge_softmax(Tensor[] graph, int longest, Tensor score, Tensor x, Tensor? factor) "
    "-> (Tensor, Tensor)",
    _fake,
)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    score: Tensor,
    x: Tensor,
    factor: Tensor | None,
    out: Tensor,
    log_sum: Tensor,
) -> tuple[Tensor, Tensor]:
    contiguous = torch.contiguous_format
    return (
        torch.empty_like(score, memory_format=contiguous),
        torch.empty_like(x, memory_format=contiguous),
    )


_BACKWARD = library.define(
    "edge_softmax_backward(Tensor grad, Tensor[] graph, int longest, Tensor score, Tensor x, "
    "Tensor? factor, Tensor out, Tensor log_sum) -> (Tensor, Tensor)",
    _fake_backward,
    {"log_sum": library.wide},
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.graph, ctx.longest, *tensors = inputs
    ctx.save_for_backward(*tensors, *output)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    return None, None, *_BACKWARD(grad, ctx.graph, ctx.longest, *ctx.saved_tensors), None


library.differentiate("edge_softmax", _save, _backward)
