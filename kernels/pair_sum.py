"""Sum what a receiver's pairs say, each weighted by head.

    y_i = Σ_j α_ij e_ij      over all nodes j of i's graph, α a number for each of H heads

Gradient: ᾱ_ij = ȳ_i · e_ij by head, ē_ij = α_ij ȳ_i.

Bytes moved, float32: P·(D + H)·4 forward, twice that backward. No product of P·D is kept.

Legend: N nodes, P = Σ n² pairs, D features, H heads of D / H features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.pairs import Pairs


def reference(pairs: Pairs, weight: Tensor, e: Tensor) -> Tensor:
    """The specification: a message for each pair."""
    heads = weight.size(1)
    message = weight[:, :, None] * e.view(-1, heads, e.size(1) // heads)
    out = e.new_zeros(pairs.num_nodes, e.size(1))
    return out.index_add(0, pairs.receivers(e.size(0)), message.flatten(1))


@library.operation("e")
def pair_sum(pairs: Pairs, weight: Tensor, e: Tensor) -> Tensor:
    """Sum α_ij e_ij over each graph's nodes j.

    Shapes: weight (P, H), e (P, D), H a divisor of D → (N, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    pairs.check("e", e)
    check.features("e", e, e.size(0), pairs.device)
    check.features("weight", weight, e.size(0), pairs.device)
    check.beside("weight", weight, (-1, -1), e)
    if weight.size(1) == 0 or e.size(1) % weight.size(1):
        raise ValueError(f"weight has {weight.size(1)} columns: they should divide {e.size(1)}")
    if not library.has_kernel("pair_sum", e):
        return reference(pairs, weight, e)
    out: Tensor = _PAIR_SUM(pairs.ptr, weight, e)
    return out


def _fake(ptr: Tensor, weight: Tensor, e: Tensor) -> Tensor:
    return e.new_empty(ptr.size(0) - 1, e.size(1))


_PAIR_SUM = library.define("pair_sum(Tensor ptr, Tensor weight, Tensor e) -> Tensor", _fake)


def _fake_backward(grad: Tensor, ptr: Tensor, weight: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    weight, e = (torch.empty_like(v, memory_format=torch.contiguous_format) for v in (weight, e))
    return weight, e


_BACKWARD = library.define(
    "pair_sum_backward(Tensor grad, Tensor ptr, Tensor weight, Tensor e) -> (Tensor, Tensor)",
    _fake_backward,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, *_BACKWARD(grad, *ctx.saved_tensors)


library.differentiate("pair_sum", _save, _backward)
