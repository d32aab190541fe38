"""An MLP on what a layer norm gives, added to what the norm took: the halves of mixers' blocks.

    y = x + drop(W' drop(act(W drop(norm(x)) + b)) + b')       act = GELU (the exact one) or ReLU

`norm` is over the features. W acts on the features too or, with `across`, on the rows of each
group, feature by feature: y = x + (MLP(norm(x)ᵀ))ᵀ, the token mixing of MLP-Mixer (Tolstikhin et
al., NeurIPS 2021).

On a CPU these are torch's operations one after the other. On a GPU one launch computes y and two
its gradients, where torch launches 8 and some 15; what is between the layers, 4 times as wide as x
or more, stays in registers and is computed again in backward.

Bytes moved on a GPU, float32: x read and y written forward; x and ȳ read twice, x̄ written backward.

Legend: B groups of P rows, D features, K of rows or features what W mixes, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gbench.kernels import check, library
from gbench.kernels.dropout import dropout as dropped
from gbench.kernels.dropout import reference as dropped_by
from gbench.kernels.linear import linear
from gbench.kernels.seeds import seed_on

PARAMETERS = ("scale", "shift", "weight", "bias", "weight_out", "bias_out")
WIDE = dict.fromkeys((*PARAMETERS, "stats"), library.wide)
TYPES = (torch.float32, torch.bfloat16)
MOST_MIXED = 128  # what the registers of a program hold
MOST_FEATURES = 512
KEEP = (0.0, 0.0, 0.0)


def reference(
    seeds: Sequence[Tensor],
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    weight_out: Tensor,
    bias_out: Tensor,
    across: bool,
    relu: bool,
    rates: Sequence[float],
    eps: float,
) -> Tensor:
    """The specification."""
    drops = [_with_seed(seed, rate) for seed, rate in zip(seeds, rates, strict=False)]
    given = (scale, shift, weight, bias, weight_out, bias_out)
    return _composed(x, *given, across, relu, drops or [_kept] * 3, eps)


def _composed(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    weight_out: Tensor,
    bias_out: Tensor,
    across: bool,
    relu: bool,
    drops: Sequence[Callable[[Tensor], Tensor]],
    eps: float,
) -> Tensor:
    """By torch's operations, with three ways to drop."""
    y = F.layer_norm(x, (x.size(-1),), scale, shift, eps)
    y = linear(drops[0](y.transpose(1, 2) if across else y), weight, bias)
    y = linear(drops[1](y.relu() if relu else F.gelu(y)), weight_out, bias_out)
    y = drops[2](y)
    return x + (y.transpose(1, 2) if across else y)


def _kept(x: Tensor) -> Tensor:
    return x


def _with_seed(seed: Tensor, rate: float) -> Callable[[Tensor], Tensor]:
    return lambda x: dropped_by(x, seed, rate) if rate else x


def _drawn(rate: float) -> Callable[[Tensor], Tensor]:
    return (lambda x: dropped(x, rate)) if rate else _kept


def residual_mlp(
    x: Tensor,
    norm: nn.LayerNorm,
    first: nn.Linear,
    second: nn.Linear,
    *,
    across: bool = False,
    relu: bool = False,
    rates: tuple[float, float, float] = KEEP,
) -> Tensor:
    """Add second(act(first(norm(x)))) to x, mixing features or, `across`, the rows of a group.

    `rates` are those of dropout on what enters `first`, on what enters `second` and on what leaves
    it; in training, which `norm` tells.

    Shapes: x (B, P, D); first K → H, second H → K, where K is D or, across, P → (B, P, D).
    Raises ValueError or TypeError on a wrong shape or device.
    """
    given = (norm.weight, norm.bias, first.weight, first.bias, second.weight, second.bias)
    rates = rates if norm.training else KEEP
    if not (library.has_kernel("residual_mlp", x) and _fits(x, first, across)):
        drops = [_drawn(rate) for rate in rates]
        return _composed(x, *given, across, relu, drops, norm.eps)
    mixed, hidden, width = x.size(1 if across else 2), first.out_features, x.size(2)
    sides: tuple[tuple[int, ...], ...] = ((width,), (width,), (hidden, mixed), (hidden,))
    shapes = (*sides, (mixed, hidden), (mixed,))
    for name, parameter, shape in zip(PARAMETERS, given, shapes, strict=True):
        check.parameter(name, parameter, shape, x.device)
    seeds = tuple(seed_on(x.device) for _ in rates) if any(rates) else ()
    out: Tensor = _on_device(x, norm.eps, seeds, given, across, relu, rates)
    return out


@library.operation("x", TYPES)
def _on_device(
    x: Tensor,
    eps: float,
    seeds: tuple[Tensor, ...],
    given: tuple[Tensor, ...],
    across: bool,
    relu: bool,
    rates: tuple[float, float, float],
) -> Tensor:
    # Parameters stay float32 where the features are bfloat16: products round them, in registers.
    wide = library.wide(x.dtype)
    given = tuple(value if value.dtype is wide else value.to(wide) for value in given)
    out, _ = _MLP(seeds, x, *given, across, relu, rates, eps)
    result: Tensor = out
    return result


def _fits(x: Tensor, first: nn.Linear, across: bool) -> bool:
    """Whether a program's registers hold what is mixed, in a type that tensor cores multiply."""
    small = first.in_features <= MOST_MIXED and x.size(-1) <= MOST_FEATURES
    if across:  # a tile of all features gives the norm's statistics
        small = small and first.in_features * x.size(-1) <= 8192
    return small and (x.dtype in TYPES or x.dtype == torch.float16)


def _fake(
    seeds: Sequence[Tensor],
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    weight_out: Tensor,
    bias_out: Tensor,
    across: bool,
    relu: bool,
    rates: Sequence[float],
    eps: float,
) -> tuple[Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, scale.new_empty(2, x.size(0) * x.size(1))


_MLP = library.define(
    "residual_mlp(Tensor[] seeds, Tensor x, Tensor scale, Tensor shift, Tensor weight, "
    "Tensor bias, Tensor weight_out, Tensor bias_out, bool across, bool relu, float[] rates, "
    "float eps) -> (Tensor, Tensor)",
    _fake,
    WIDE,
    TYPES,
)


def _fake_backward(
    grad: Tensor,
    seeds: Sequence[Tensor],
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    weight_out: Tensor,
    bias_out: Tensor,
    stats: Tensor,
    across: bool,
    relu: bool,
    rates: Sequence[float],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    one, two, three = torch.empty_like(scale), torch.empty_like(shift), torch.empty_like(weight)
    four, five = torch.empty_like(bias), torch.empty_like(weight_out)
    return like, one, two, three, four, five, torch.empty_like(bias_out)


_BACKWARD = library.define(
    "residual_mlp_backward(Tensor grad, Tensor[] seeds, Tensor x, Tensor scale, Tensor shift, "
    "Tensor weight, Tensor bias, Tensor weight_out, Tensor bias_out, Tensor stats, bool across, "
    "bool relu, float[] rates) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _fake_backward,
    WIDE,
    TYPES,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.seeds, *tensors, ctx.across, ctx.relu, ctx.rates, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*tensors, output[1])


def _backward(ctx: Any, grad: Tensor, *unused: Tensor) -> tuple[Any, ...]:
    given = (*ctx.saved_tensors, ctx.across, ctx.relu, ctx.rates)
    return None, *_BACKWARD(grad, ctx.seeds, *given), None, None, None, None


library.differentiate("residual_mlp", _save, _backward)
