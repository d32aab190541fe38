"""Graph attention as of GAT: scores of nodes, their softmax over each node's entries, the sum.

    y_ih = Σ_{j→i or j = i} m_jih α_jih x_jh
    α_jih the softmax over j of leaky_relu(⟨a_h, x_ih⟩ + ⟨a'_h, x_jh⟩)

(Veličković et al., ICLR 2018, slope 0.2 below 0.) Each node receives from itself, once, whether the
graph has that entry or not. With a rate the weights are dropped: the factors m are 0 or
1 / (1 - rate), drawn as gbench/kernels/dropout.py draws for a matrix (E + N) × H, the nodes' own
last. Row i of x is node i as a receiver, so that there are at least N.

Nothing of size E is kept: scores are sums of two numbers per node and head, and draws are hashed
again. On the CPU weights and gradients of scores, (E + N) × H each, stand while backward takes.

Gradients, with p_i = ⟨a_h, x_ih⟩, q_j = ⟨a'_h, x_jh⟩ and s̄ as in edge_softmax, times the slope:
p̄_i = Σ_j s̄_ji    q̄_j = Σ_i s̄_ji    x̄_j = Σ_i m α ȳ_i + p̄_j a + q̄_j a'
ā = Σ_i p̄_i x_i    ā' = Σ_j q̄_j x_j

Bytes moved, float32: forward E·H·F·4 gathered + 2·N·H·F·4 + E·(H + 1)·4; backward three
times as much.

Legend: N rows, M columns, E entries, H heads, F features per head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph
from gbench.kernels.dropout import reference as dropout_reference
from gbench.kernels.seeds import seed_on

SLOPE = 0.2


def reference(
    graph: CSR, x: Tensor, own: Tensor, other: Tensor, seed: Tensor | None, rate: float
) -> Tensor:
    """The specification."""
    nodes = torch.arange(graph.num_rows, device=x.device)
    row, col = torch.cat([graph.row, nodes]), torch.cat([graph.col.long(), nodes])
    score = F.leaky_relu((x * own).sum(2)[row] + (x * other).sum(2)[col], SLOPE)
    is_repeated = (row == col) & (torch.arange(len(row), device=x.device) < graph.num_entries)
    score = score.masked_fill(is_repeated[:, None], -torch.inf)
    row_EH = row[:, None].expand_as(score)
    top = score.new_full((len(nodes), score.size(1)), -torch.inf)
    top = top.scatter_reduce(0, row_EH, score.detach(), "amax")
    weight = (score - top[row]).exp()
    alpha = weight / torch.zeros_like(top).index_add(0, row, weight)[row]
    if seed is not None:
        alpha = alpha * dropout_reference(torch.ones_like(alpha), seed, rate)
    out = x.new_zeros(len(nodes), *x.shape[1:])
    return out.index_add(0, row, alpha[:, :, None] * x[col])


@library.operation("x")
def gat_attention(graph: CSR, x: Tensor, own: Tensor, other: Tensor, rate: float = 0.0) -> Tensor:
    """Sum each node's in-neighbours and itself by attention, of which a share `rate` is dropped.

    Shapes: x (M, H, F), own (H, F), other (H, F) → (N, H, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    if x.dim() != 3 or graph.num_cols < graph.num_rows:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: it should be ({graph.num_cols}, H, F), with a row for "
            f"each of {graph.num_rows} receivers"
        )
    check.features("x", x.flatten(1), graph.num_cols, graph.device)
    check.beside("own", own, (x.size(1), x.size(2)), x)
    check.beside("other", other, (x.size(1), x.size(2)), x)
    seed = seed_on(x.device) if rate else None
    out: Tensor
    out, *_ = _ATTENTION(graph.arrays, graph.bound, x, own, other, seed, rate)
    return out


def _fake(
    graph: Graph,
    longest: int,
    x: Tensor,
    own: Tensor,
    other: Tensor,
    seed: Tensor | None,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    rows, wide = graph[0].size(0) - 1, library.wide(x.dtype)
    return (
        x.new_empty(rows, x.size(1), x.size(2)),
        x.new_empty((2, x.size(0), x.size(1)), dtype=wide),
        x.new_empty((rows, x.size(1)), dtype=wide),
    )


_ATTENTION = library.define(
    "gat_attention(Tensor[] graph, int longest, Tensor x, Tensor own, Tensor other, Tensor? seed, "
    "float rate) -> (Tensor, Tensor, Tensor)",
    _fake,
)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    own: Tensor,
    other: Tensor,
    seed: Tensor | None,
    scores: Tensor,
    log_sum: Tensor,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), own.new_empty(own.shape), other.new_empty(other.shape)


_BACKWARD = library.define(
    "gat_attention_backward(Tensor grad, Tensor[] graph, int longest, Tensor x, Tensor own, "
    "Tensor other, Tensor? seed, Tensor scores, Tensor log_sum, float rate) "
    "-> (Tensor, Tensor, Tensor)",
    _fake_backward,
    {"scores": library.wide, "log_sum": library.wide},
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.graph, ctx.longest, *tensors, ctx.rate = inputs
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*tensors, *output[1:])


def _backward(ctx: Any, grad: Tensor, *unused: Tensor) -> tuple[Any, ...]:
    grads = _BACKWARD(grad, ctx.graph, ctx.longest, *ctx.saved_tensors, ctx.rate)
    return None, None, *grads, None, None


library.differentiate("gat_attention", _save, _backward)
