"""What GRIT makes of a pair: a gate and a shift of what its two nodes say, and a ReLU.

    y_ij = relu(ρ((q_i + k_j) ⊙ w_ij) + b_ij),    ρ(t) = sign(t) √|t|,    e = [w | b]

Gradient, with g = ȳ where y > 0, u = g ρ'(t), ρ'(t) = 1 / (2 √|t|) and 0 at t = 0:
    b̄ = g,  w̄_ij = u_ij ⊙ (q_i + k_j),  q̄_i = Σ_j u_ij ⊙ w_ij,  k̄_j = Σ_i u_ij ⊙ w_ij

Only e is kept. As tensor operations it is ten of them and twelve tensors of P·D.

Bytes moved, float32: P·D·12 forward, P·D·28 backward.

Legend: N nodes, P = Σ n² pairs, D features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.pairs import Pairs


def reference(pairs: Pairs, q: Tensor, k: Tensor, e: Tensor) -> Tensor:
    """The specification."""
    gate, shift = e.chunk(2, 1)
    t = (q[pairs.receivers(e.size(0))] + k[pairs.senders(e.size(0))]) * gate
    safe = torch.where(t == 0, 1, t)
    root = torch.where(t == 0, 0, safe.sign() * safe.abs().sqrt())
    return (root + shift).relu()


@library.operation("e")
def pair_gate(pairs: Pairs, q: Tensor, k: Tensor, e: Tensor) -> Tensor:
    """Gate q_i + k_j by the first half of e_ij and shift its signed root by the second.

    Shapes: q, k (N, D), e (P, 2 D) → (P, D).
    Raises ValueError or TypeError on a wrong shape, device or dtype.
    """
    pairs.check("e", e)
    check.features("e", e, e.size(0), pairs.device)
    for name, value in (("q", q), ("k", k)):
        check.features(name, value, pairs.num_nodes, pairs.device)
        check.beside(name, value, (-1, e.size(1) // 2), e)
    if e.size(1) % 2:
        raise ValueError(f"e has {e.size(1)} columns: they should be twice those of q and k")
    if not library.has_kernel("pair_gate", e):
        return reference(pairs, q, k, e)
    out: Tensor = _PAIR_GATE(*pairs, q, k, e)
    return out


def _fake(ptr: Tensor, start: Tensor, node_ptr: Tensor, q: Tensor, k: Tensor, e: Tensor) -> Tensor:
    return e.new_empty(e.size(0), q.size(1))


_GIVEN = "Tensor ptr, Tensor start, Tensor node_ptr, Tensor q, Tensor k, Tensor e"
_PAIR_GATE = library.define(f"pair_gate({_GIVEN}) -> Tensor", _fake)


def _fake_backward(
    grad: Tensor, ptr: Tensor, start: Tensor, node_ptr: Tensor, q: Tensor, k: Tensor, e: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, e = (torch.empty_like(v, memory_format=torch.contiguous_format) for v in (q, k, e))
    return q, k, e


_BACKWARD = library.define(
    f"pair_gate_backward(Tensor grad, {_GIVEN}) -> (Tensor, Tensor, Tensor)", _fake_backward
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return None, None, None, *_BACKWARD(grad, *ctx.saved_tensors)


library.differentiate("pair_gate", _save, _backward)
