"""Propagate features with the symmetrically normalised adjacency of a graph convolution, K times.

    y = dropout(relu(S^K x + b)),   S = D^-1/2 (A + I) D^-1/2,   D_ii = 1 + in-neighbours of i

(Kipf & Welling, ICLR 2017; with K > 1 the whole of SGC, Wu et al., ICML 2019.) Edges with weights
have the degrees and the walk of gcn_values.py. Without them
rows are scaled by D^-1/2 before and after a plain sum, and between two hops the two
scalings are one multiplication by D^-1. Two buffers take turns, whatever K is; bias, ReLU and
dropout (the draws of gbench/kernels/dropout.py) are applied where the last hop writes.

Gradient: with z̄ what act_dropout (ReLU alone: ȳ where y > 0) makes of ȳ, the sum of z̄ over the
nodes for b, and for x the same K hops of z̄ over the transpose, with the same D: on the CPU where z̄
lies, if that is not ȳ itself. Nothing but y is kept, and that only for ReLU.

Bytes moved per hop, float32: E·F·4 gathered + about 3·N·F·4 + E·4 of indices. Extra memory beside
the result: on the CPU two panels N × P per thread, P = 8, 16 or 32 (from F = 64 on, at most F / 2);
on CUDA one N × F.

Legend: N nodes, E entries, F features, K hops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.act_dropout import act_dropout, before_act
from gbench.kernels.csr import CSR, Graph
from gbench.kernels.dropout import dropout
from gbench.kernels.gcn_values import gcn_values, hops_of
from gbench.kernels.seeds import seed_on


def reference(
    graph: CSR,
    x: Tensor,
    hops: int = 1,
    *,
    bias: Tensor | None = None,
    relu: bool = False,
    edge_weight: Tensor | None = None,
) -> Tensor:
    """The specification: add self-loops, scale both sides, `hops` times."""
    weight = x.new_ones(graph.num_entries) if edge_weight is None else edge_weight
    degree = x.new_ones(graph.num_rows).index_add(0, graph.row, weight)
    scale = degree.rsqrt()[:, None]
    for _ in range(hops):
        x = scale * x
        x = scale * x.index_add(0, graph.row, weight[:, None] * x[graph.col])
    x = x if bias is None else x + bias
    return x.relu() if relu else x


@library.operation("x")
def gcn_propagate(
    graph: CSR,
    x: Tensor,
    hops: int = 1,
    *,
    bias: Tensor | None = None,
    relu: bool = False,
    rate: float = 0.0,
    edge_weight: Tensor | None = None,
) -> Tensor:
    """Average each node with its in-neighbours, `hops` times, weighted by their degrees.

    What comes out is dropped with probability `rate`.

    One self-loop is added to each node, besides those that the graph has. With `edge_weight` A
    holds weights, the added loops have 1, and a degree is 1 + Σ_{j→i} w_ji; weights get a gradient.

    Shapes: x (N, F), bias (F,), edge_weight (E,) in the order of graph.col → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype and on negative hops.
    """
    check.square(graph)
    check.features("x", x, graph.num_rows, graph.device)
    if bias is not None:
        check.beside("bias", bias, (x.size(1),), x)
    if hops < 0:
        raise ValueError(f"hops={hops}: pass 0 or more")
    if edge_weight is not None:
        check.beside("edge_weight", edge_weight, (graph.num_entries,), x)
        x, hops = hops_of(graph, x, gcn_values(graph, edge_weight), hops), 0
    if hops == 0:
        return act_dropout(x, bias, act="relu" if relu else "none", rate=rate)
    if not library.has_kernel("gcn_propagate", x):
        out = reference(graph, x, hops, bias=bias, relu=relu)
        return dropout(out, rate) if rate else out
    seed = seed_on(x.device) if rate else None
    result: Tensor = _PROPAGATE(graph.arrays, graph.bound, x, bias, seed, hops, relu, rate)
    return result


def _fake(
    graph: Graph,
    longest: int,
    x: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    hops: int,
    relu: bool,
    rate: float,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_PROPAGATE = library.define(
    "gcn_propagate(Tensor[] graph, int longest, Tensor x, Tensor? bias, Tensor? seed, int hops, "
    "bool relu, float rate) -> Tensor",
    _fake,
)


def before_all(grad: Tensor, out: Tensor | None, seed: Tensor | None, rate: float) -> Tensor:
    """z̄, of ȳ and y: memory of its own where there is y, which is of ReLU, dropout or both.

    Without ReLU y is None, and the draws are made again.
    """
    if seed is not None:
        act = "none" if out is None else "relu"
        return before_act(grad, grad if out is None else out, seed, act, rate)
    if out is None:
        return grad
    masked: Tensor = torch.ops.aten.threshold_backward(grad, out, 0)  # relu's own
    return masked


def _fake_backward(
    grad: Tensor,
    out: Tensor | None,
    seed: Tensor | None,
    graph: Graph,
    longest: int,
    hops: int,
    rate: float,
    has_bias: bool,
) -> tuple[Tensor, Tensor]:
    grad_x = torch.empty_like(grad, memory_format=torch.contiguous_format)
    return grad_x, grad.new_empty(grad.size(1) if has_bias else 0)


_BACKWARD = library.define(
    "gcn_propagate_backward(Tensor grad, Tensor? out, Tensor? seed, Tensor[] graph, int longest, "
    "int hops, float rate, bool has_bias) -> (Tensor, Tensor)",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, ctx.longest, _, _, seed, ctx.hops, relu, ctx.rate = inputs
    ctx.save_for_backward(output if relu else None, seed)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    out, seed = ctx.saved_tensors
    needs_x, needs_bias = ctx.needs_input_grad[2:4]
    if not needs_x:
        grad_bias = before_all(grad, out, seed, ctx.rate).sum(0)
        return None, None, None, grad_bias, None, None, None, None
    walk = (ctx.graph, ctx.longest, ctx.hops)
    grad_x, grad_bias = _BACKWARD(grad, out, seed, *walk, ctx.rate, needs_bias)
    return None, None, grad_x, grad_bias if needs_bias else None, None, None, None, None


library.differentiate("gcn_propagate", _save, _backward)
