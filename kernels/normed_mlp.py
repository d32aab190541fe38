"""Linear layers, each with batch norm, ReLU and dropout after it, in training, in half the memory.

    h_k = dropout(relu(norm_k(h_{k-1} W_kᵀ + b_k))),    h_0 = x

The rows go through in blocks, and the next product takes a block of h_k as soon as it is made: but
for the last none is ever whole. Backward makes each block again, from the products
u_k = h_{k-1} W_kᵀ that are kept beside x. What that costs is spared where fresh pages and the sums
of the biases' gradients were. In little memory there is nothing to spare: see `fits`.

Gradients: as of kernels/norm_act.py and a linear layer. b̄_k is exactly 0: the mean that a norm
takes away has b_k in it, so that b_k is not even added, and moves the running mean alone.

Bytes kept, float32: (N D_0 + Σ N D_k) · 4, where the separate operations keep h_k too.

Legend: N rows, K layers, D_k features after layer k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from gbench.kernels import torch_private
from gbench.kernels.library import ORDINARY
from gbench.kernels.norm_act import ONE_ROW, move, norm_act
from gbench.kernels.seeds import seed_on

MUCH = 1 << 22


class Stage(NamedTuple):
    """A linear layer's weight (D_k, D_{k-1}) and bias (D_k,), and what stands after it."""

    weight: Tensor
    bias: Tensor
    norm: nn.BatchNorm1d
    relu: bool
    dropout: float


class Rule(NamedTuple):
    """What of a stage is no tensor that has a gradient: `seed` where it drops."""

    eps: float
    relu: bool
    dropout: float
    seed: int


class Made(NamedTuple):
    """h_K (N, D_K), and a function that computes it again from what backward keeps anyway."""

    out: Tensor
    again: Callable[[], Tensor]


def reference(x: Tensor, stages: Sequence[Stage]) -> Tensor:
    """The specification."""
    for weight, bias, norm, relu, dropout in stages:
        x = norm_act(functional.linear(x, weight, bias), norm, relu=relu, dropout=dropout)
    return x


def fits(x: Tensor, stages: Sequence[Stage]) -> bool:
    """Whether the operation computes this: ordinary float32 or float64 on a CPU, in training.

    And much of it: where x fills a few pages, backward would make h_k again for nothing.
    """
    return (
        x.is_cpu
        and x.nbytes >= MUCH
        and x.dim() == 2
        and x.dtype in (torch.float32, torch.float64)
        and type(x) in ORDINARY
        and all(_is_plain(stage, x.dtype) for stage in stages)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch_private.is_traced()
        and not torch_private.is_jit_tracing()
    )


def _is_plain(stage: Stage, dtype: torch.dtype) -> bool:
    norm = stage.norm
    tensors = (stage.weight, stage.bias, norm.weight, norm.running_mean)
    return (
        norm.training
        and norm.momentum is not None
        and all(each is not None and each.dtype is dtype for each in tensors)
        and all(type(each) in ORDINARY for each in tensors)
    )


def normed_mlp(x: Tensor, stages: Sequence[Stage]) -> Made:
    """Apply the stages, whose running statistics move as in training.

    Shapes: x (N, D_0) → (N, D_K). `fits` says where it may be called.
    Raises ValueError on a single row.
    """
    if x.size(0) == 1:
        raise ValueError(ONE_ROW)
    rules = [
        Rule(s.norm.eps, s.relu, s.dropout, int(seed_on(x.device)) if s.dropout else 0)
        for s in stages
    ]
    tensors = [t for s in stages for t in (s.weight, s.bias, s.norm.weight, s.norm.bias)]
    out, last, *found = _NormedMLP.apply(x, rules, *tensors)  # type: ignore[no-untyped-call]
    for place, (_, bias, norm, *_) in enumerate(stages):
        mean, var = found[2 * place : 2 * place + 2]
        assert norm.running_mean is not None and norm.running_var is not None
        running = norm.running_mean, norm.running_var, norm.num_batches_tracked
        move(*running, mean, var, norm.momentum or 0.0, x, None, bias.detach())
    norm, (mean, var) = stages[-1].norm, found[-2:]
    gamma, beta = norm.weight.detach(), norm.bias.detach()

    def again() -> Tensor:
        from gbench.kernels.cpu import normed_mlp as cpu

        return cpu.values(cpu.Normed(last, gamma, beta, mean, var, rules[-1]))

    return Made(out, again)


class _NormedMLP(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rules: list[Rule], *tensors: Tensor) -> tuple[Tensor, ...]:
        from gbench.kernels.cpu import normed_mlp as cpu

        weights, gammas, betas = tensors[::4], tensors[2::4], tensors[3::4]
        out, products, moments = cpu.forward(x, weights, gammas, betas, rules)
        ctx.rules = rules
        ctx.save_for_backward(x, *weights, *gammas, *betas, *products, *moments)
        ctx.mark_non_differentiable(products[-1], *moments)
        ctx.set_materialize_grads(False)
        return out, products[-1], *moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *unused: None) -> tuple[Any, ...]:
        if grad is None:
            return (None,) * (2 + 4 * len(ctx.rules))
        with torch.autocast("cpu", enabled=False):  # backward() may have been called under it
            return _gradients(ctx, grad)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    from gbench.kernels.cpu import normed_mlp as cpu

    count = len(ctx.rules)
    x, *rest = ctx.saved_tensors
    weights, gammas, betas, products = (
        rest[place * count : (place + 1) * count] for place in range(4)
    )
    given = (x, weights, gammas, betas, products, rest[4 * count :], ctx.rules)
    grad_x, grads = cpu.backward(grad, *given, needs_x=ctx.needs_input_grad[0])
    flat = []
    for grad_weight, grad_gamma, grad_beta in grads:
        flat += [grad_weight, torch.zeros_like(grad_beta), grad_gamma, grad_beta]
    return grad_x, None, *flat
