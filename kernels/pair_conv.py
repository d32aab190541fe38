"""Sum over all nodes of a graph, each weighted by what its pair with the receiver says.

    y_i = Σ_j drop(ψ_ij) ⊙ x_j      over all n nodes j of i's graph; with `mean` divided by n

ψ has a number for each feature (a depthwise convolution whose kernel is a function of the pair), or
for each of H heads of D / H consecutive features (attention).

Gradient, D the dropout's mask: ψ̄_ij = D ⊙ ȳ_i ⊙ x_j (summed over a head's features),
x̄_j = Σ_i D ⊙ ψ_ij ⊙ ȳ_i; the draws are those of gbench/kernels/norm_act.py, made again backward.

Bytes moved, float32: P·H·4 forward, P·H·8 backward; x and y are small beside them and stay in
cache. As tensor operations there are three tensors of P·D more in each direction, two of them kept;
padded to the longest graph each of them is 2.4 times as large on ZINC.

Legend: N nodes, P = Σ n² pairs, D features, H heads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels import check, library
from gbench.kernels.norm_act import keep_mask
from gbench.kernels.pairs import Pairs
from gbench.kernels.seeds import seed_on


def reference(
    pairs: Pairs,
    psi: Tensor,
    x: Tensor,
    mean: bool = False,
    rate: float = 0.0,
    seed: Tensor | None = None,
) -> Tensor:
    """The specification: a message for each pair."""
    if seed is not None and rate:
        psi = psi * keep_mask(seed, psi.size(0), psi.size(1), rate) / (1 - rate)
    receiver, sender = pairs.receivers(psi.size(0)), pairs.senders(psi.size(0))
    heads = psi.size(1)
    message = psi[:, :, None] * x.view(-1, heads, x.size(1) // heads)[sender]
    out = torch.zeros_like(x).index_add(0, receiver, message.flatten(1))
    return out / pairs.sizes[:, None] if mean else out


@library.operation("psi")
def pair_conv(
    pairs: Pairs, psi: Tensor, x: Tensor, *, mean: bool = False, dropout: float = 0.0
) -> Tensor:
    """Sum ψ_ij x_j over each graph's nodes j, or average; drop a share of ψ.

    Shapes: psi (P, H), x (N, D), H a divisor of D → (N, D).
    Raises ValueError or TypeError on a wrong shape, device, dtype or rate.
    """
    pairs.check("psi", psi)
    check.features("psi", psi, psi.size(0), pairs.device)
    check.features("x", x, pairs.num_nodes, pairs.device)
    check.beside("x", x, (-1, -1), psi)
    if psi.size(1) == 0 or x.size(1) % psi.size(1):
        raise ValueError(f"psi has {psi.size(1)} columns: they should divide x's {x.size(1)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: pass 0 or more, less than 1")
    seed = seed_on(psi.device) if dropout else None
    if not library.has_kernel("pair_conv", psi):
        return reference(pairs, psi, x, mean, dropout, seed)
    out: Tensor = _PAIR_CONV(*pairs, psi, x, seed, mean, dropout)
    return out


def _fake(
    ptr: Tensor,
    start: Tensor,
    node_ptr: Tensor,
    psi: Tensor,
    x: Tensor,
    seed: Tensor | None,
    mean: bool,
    rate: float,
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_GIVEN = (
    "Tensor ptr, Tensor start, Tensor node_ptr, Tensor psi, Tensor x, Tensor? seed, bool mean, "
    "float rate"
)
_PAIR_CONV = library.define(f"pair_conv({_GIVEN}) -> Tensor", _fake)


def _fake_backward(
    grad: Tensor,
    ptr: Tensor,
    start: Tensor,
    node_ptr: Tensor,
    psi: Tensor,
    x: Tensor,
    seed: Tensor | None,
    mean: bool,
    rate: float,
) -> tuple[Tensor, Tensor]:
    return (
        torch.empty_like(psi, memory_format=torch.contiguous_format),
        torch.empty_like(x, memory_format=torch.contiguous_format),
    )


_BACKWARD = library.define(
    f"pair_conv_backward(Tensor grad, {_GIVEN}) -> (Tensor, Tensor)", _fake_backward
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.mean, ctx.rate = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    grad_psi, grad_x = _BACKWARD(grad, *ctx.saved_tensors, ctx.mean, ctx.rate)
    return None, None, None, grad_psi, grad_x, None, None, None


library.differentiate("pair_conv", _save, _backward)
