"""A linear layer of features that are stored by their non-zeros, which may be dropped on the way.

    y = drop(X) W + b,    X (N, I) with values v_e in the places of a pattern

Dropping zeros changes nothing, so that only the stored values have a draw, that of
gbench/kernels/dropout.py at their place. Gradients: W̄ = drop(X)ᵀ ȳ with the same draws, b̄ the sum
of ȳ over the rows, none for the values. Nothing is kept but the arguments.

Where the values want a gradient it is the composition of its parts.

Bytes moved on CUDA, float32: E·O·4 gathered + N·O·4 written + E·8, and as many backward.

Legend: N rows, I features, O outputs, E stored values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.csr import CSR, Graph
from gbench.kernels.dropout import reference as dropout_reference
from gbench.kernels.spmm import reference as spmm_reference
from gbench.kernels.spmm import spmm


def reference(
    pattern: CSR,
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    rate: float,
) -> Tensor:
    """The specification."""
    values = values if seed is None else dropout_reference(values, seed, rate)
    out = spmm_reference(pattern, weight, values)
    return out if bias is None else out + bias


@library.operation("weight")
def sparse_linear(
    pattern: CSR,
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    seed: Tensor | None = None,
    rate: float = 0.0,
    *,
    longest_row: int | None = None,
) -> Tensor:
    """The product of sparse features and `weight`, plus the bias.

    With a `seed` the values are dropped by it, with probability `rate`. No row of the pattern has
    more than `longest_row` entries (None: as many as any row or column may have).

    Shapes: values (E,), weight (I, O), bias (O,), seed () int64 → (N, O).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    if values.requires_grad:
        if seed is not None:
            values = torch.ops.gbench.dropout(values, seed, rate)
        out = spmm(pattern, weight, values)
        return out if bias is None else out + bias
    check.features("weight", weight, pattern.num_cols, pattern.device)
    check.beside("values", values, (pattern.num_entries,), weight)
    if bias is not None:
        check.beside("bias", bias, (weight.size(1),), weight)
    longest = pattern.bound if longest_row is None else longest_row
    given = (pattern.arrays, longest, pattern.bound, values, weight, bias, seed, rate)
    result: Tensor = _SPARSE_LINEAR(*given)
    return result


def _fake(
    graph: Graph,
    longest: int,
    longest_t: int,
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    rate: float,
) -> Tensor:
    return weight.new_empty(graph[0].size(0) - 1, weight.size(1))


_SPARSE_LINEAR = library.define(
    "sparse_linear(Tensor[] graph, int longest, int longest_t, Tensor values, Tensor weight, "
    "Tensor? bias, Tensor? seed, float rate) -> Tensor",
    _fake,
)


def _fake_backward(
    grad: Tensor, graph: Graph, longest_t: int, values: Tensor, seed: Tensor | None, rate: float
) -> Tensor:
    return grad.new_empty(graph[2].size(0) - 1, grad.size(1))


_BACKWARD = library.define(
    "sparse_linear_backward(Tensor grad, Tensor[] graph, int longest_t, Tensor values, "
    "Tensor? seed, float rate) -> Tensor",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.graph, _, ctx.longest_t, values, _, _, seed, ctx.rate = inputs
    ctx.save_for_backward(values, seed)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    needs_weight, needs_bias = ctx.needs_input_grad[4:6]
    given = (grad, ctx.graph, ctx.longest_t, *ctx.saved_tensors, ctx.rate)
    grad_weight = _BACKWARD(*given) if needs_weight else None
    grad_bias = grad.sum(0) if needs_bias else None
    return None, None, None, None, grad_weight, grad_bias, None, None


library.differentiate("sparse_linear", _save, _backward)
