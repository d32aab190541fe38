"""DAGNN's sum over K hops of propagation, in which each node weighs each hop by a learned gate.

    y_i = Σ_{k=0..K} σ(⟨w, H_k,i⟩ + b) H_k,i,    H_k = S^k x,    S = D^-1/2 (A + I) D^-1/2

(Liu et al., KDD 2020; D_ii = 1 + number of in-neighbours of i.) The products ⟨w, H_k,i⟩ are
S^k (x w), so that x w is propagated as one more feature beside x and no hop has a product with w.

Gradients, with s̄_k = ⟨ȳ, H_k⟩ σ' for each node: x̄ = Σ_k (S^k)ᵀ (σ ȳ) + u wᵀ, u = Σ_k (S^k)ᵀ s̄_k and
w̄ = xᵀ u = Σ_k H_kᵀ s̄_k, b̄ the sum of s̄: one walk from hop K to 0 with, again, one more feature.

Where the first T nodes alone are asked about, H_k is made of those alone that they depend on: all
within K - k edges of them, if the graph has its nodes in the order of that distance.

Extra memory: two buffers N × (F + 1) (of panels, see cpu/panels.py) take turns, and their sum is a
third. In training all H_k of the T nodes are kept, (K + 1)·T·(F + 1)·4 bytes: 1 MB for Cora's 7
classes, K = 10 and T = N. To compute them again would make a step three walks of K hops where it
has two, for little memory: F is the number of classes. A step takes half the peak of stacking all
hops.

Bytes moved per hop, float32: E·F·4 gathered + about 5·N·F·4 + E·4 of indices.

Legend: N nodes, E entries, F features, K hops, T nodes that are asked about, M ≤ N of which they
depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph
from gbench.kernels.gcn_propagate import reference as propagate
from gbench.kernels.panel_width import padded


def reference(
    graph: CSR, x: Tensor, weight: Tensor, bias: Tensor, hops: int, reach: Sequence[int] = ()
) -> Tensor:
    """The specification: gate, add, propagate."""
    if reach:  # what lies beyond is of no account
        x = functional.pad(x, (0, 0, 0, graph.num_rows - x.size(0)))
        return reference(graph, x, weight, bias, hops)[: reach[0]]
    out = torch.zeros_like(x)
    for hop in range(hops + 1):
        hidden = propagate(graph, x, hop)
        out = out + (hidden @ weight + bias).sigmoid()[:, None] * hidden
    return out


@library.operation("x")
def gcn_gated_sum(
    graph: CSR, x: Tensor, weight: Tensor, bias: Tensor, hops: int, reach: Sequence[int] = ()
) -> Tensor:
    """Sum the features propagated 0, 1, … `hops` times, each node's hops weighted by a gate.

    With `reach`, K + 1 counts, of the first T = reach[0] nodes alone: no node but the first
    reach[d] is within d edges of them, going against the edges' direction. x has M = reach[K] rows.

    Shapes: x (N, F), weight (F,), bias () → (N, F); x (M, F) → (T, F) with `reach`.
    Raises ValueError or TypeError on a wrong shape, device or dtype and on negative hops.
    """
    check.square(graph)
    check.features("x", x, reach[-1] if reach else graph.num_rows, graph.device)
    check.beside("weight", weight, (x.size(1),), x)
    check.beside("bias", bias, (), x)
    if hops < 0:
        raise ValueError(f"hops={hops}: pass 0 or more")
    if reach and len(reach) != hops + 1:
        raise ValueError(f"reach has {len(reach)} counts: pass {hops + 1} for {hops} hops")
    if reach and not (reach[-1] <= graph.num_rows and sorted(reach) == [*reach]):
        raise ValueError(f"reach={[*reach]}: pass counts that do not fall, of the graph's nodes")
    if not library.has_kernel("gcn_gated_sum", x):
        return reference(graph, x, weight, bias, hops, reach)
    if reach and not x.is_cpu:
        x = functional.pad(x, (0, 0, 0, graph.num_rows - x.size(0)))
        return gcn_gated_sum(graph, x, weight, bias, hops)[: reach[0]]
    keeps = torch.is_grad_enabled() and (
        x.requires_grad or weight.requires_grad or bias.requires_grad
    )
    out: Tensor
    out, _ = _GATED_SUM(graph.arrays, graph.bound, x, weight, bias, hops, [*reach], keeps)
    return out


def _fake(
    graph: Graph,
    longest: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    hops: int,
    reach: Sequence[int],
    keeps: bool,
) -> tuple[Tensor, Tensor]:
    rows = reach[0] if reach else x.size(0)
    kept = (hops + 1) * rows * padded(x.size(1) + 1) if keeps else 0
    return x.new_empty(rows, x.size(1)), x.new_empty(kept, dtype=library.wide(x.dtype))


_GATED_SUM = library.define(
    "gcn_gated_sum(Tensor[] graph, int longest, Tensor x, Tensor weight, Tensor bias, int hops, "
    "int[] reach, bool keeps) -> (Tensor, Tensor)",
    _fake,
)


def _fake_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    hops: int,
    reach: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(x, memory_format=torch.contiguous_format),
        torch.empty_like(weight, memory_format=torch.contiguous_format),
        torch.empty_like(bias),
    )


_BACKWARD = library.define(
    "gcn_gated_sum_backward(Tensor grad, Tensor[] graph, int longest, Tensor x, Tensor hidden, "
    "Tensor weight, Tensor bias, int hops, int[] reach) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
    {"hidden": library.wide},
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.graph, ctx.longest, x, weight, bias, ctx.hops, ctx.reach, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x, output[1], weight, bias)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
    grads = _BACKWARD(grad, ctx.graph, ctx.longest, *ctx.saved_tensors, ctx.hops, ctx.reach)
    return None, None, *grads, None, None, None


library.differentiate("gcn_gated_sum", _save, _backward)
