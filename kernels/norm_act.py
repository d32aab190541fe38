"""Batch norm, ReLU, dropout and a residual in one operation.

    z = γ (x - μ) / √(σ² + ε) + β        μ, σ² over the N rows (training) or the running ones
    y = dropout(relu(z)) + residual

Bytes moved: N·F·4 times three forward (x read twice, y written) and five backward (ȳ and x read
twice, x̄ written). x alone is kept for backward: the ReLU's mask is computed again from x, the
dropout's from a counter.

Variance: sums of x minus a mean of the first rows, so that it stays exact when the mean is large,
where Σx² - (Σx)²/N does not; parts are merged as by Chan, Golub and LeVeque (1979).

Dropout: element (i, f) is kept when a 32-bit hash of (seed, i, f) is at least 2³² times the rate:
the same mask forward and backward, on any number of threads, with nothing stored. The seed comes
from torch's generator, so torch.manual_seed governs it.

Legend: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gbench.kernels import check, library
from gbench.kernels.seeds import seed_on

WORD = 0xFFFFFFFF
WIDE = dict.fromkeys(("weight", "bias", "mean", "var"), library.wide)


def reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    residual: Tensor | None,
    seed: Tensor,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The specification: the output and the statistics that it was normalised by."""
    if training:
        mean, var = x.mean(0), x.var(0, unbiased=False)
    y = weight * (x - mean) / (var + eps).sqrt() + bias
    y = y.relu() if relu else y
    if dropout:
        y = y * keep_mask(seed, x.size(0), x.size(1), dropout) / (1 - dropout)
    y = y if residual is None else y + residual
    return y.to(x.dtype), mean.detach(), var.detach()


def keep_mask(seed: Tensor, num_rows: int, num_features: int, dropout: float) -> Tensor:
    """Which elements dropout keeps, bool (N, F): the hash, in 64-bit integers cut to 32 bits."""
    row = torch.arange(num_rows, device=seed.device)
    feature = torch.arange(num_features, device=seed.device)
    key_N = _mix(_mix((row + seed) & WORD) ^ (seed >> 32 & WORD))
    return _mix((key_N[:, None] + feature * 0x9E3779B9) & WORD) >= int(dropout * 2**32)


def _mix(word: Tensor) -> Tensor:
    """A bijection of 32-bit words with low bias (C. Wellons' lowbias32)."""
    word = (word ^ word >> 16) * 0x7FEB352D & WORD
    word = (word ^ word >> 15) * 0x846CA68B & WORD
    return word ^ word >> 16


@library.operation("x")
def norm_act(
    x: Tensor,
    norm: nn.BatchNorm1d,
    *,
    relu: bool = True,
    dropout: float = 0.0,
    residual: Tensor | None = None,
) -> Tensor:
    """Apply `norm`, ReLU and dropout to x and add the residual, as the separate modules would.

    `norm` owns the parameters, the running statistics and the mode: in training it normalises by
    the batch and updates its running statistics, and dropout acts; in evaluation neither does.

    Shapes: x (N, F), residual (N, F) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype, on a single row in training
    and on a norm without parameters or running statistics.
    """
    weight, bias, mean, var = norm.weight, norm.bias, norm.running_mean, norm.running_var
    if not norm.affine or mean is None or var is None or norm.momentum is None:
        raise ValueError("norm needs affine=True, track_running_stats=True and a momentum")
    check.features("x", x, x.size(0), weight.device)
    rows, features = x.shape
    if features != norm.num_features:
        raise ValueError(f"x has {features} features but norm has {norm.num_features}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: pass 0 or more, less than 1")
    if residual is not None:
        check.beside("residual", residual, (rows, features), x)
    training = norm.training and rows > 0
    if training and rows == 1:
        raise ValueError("batch norm in training needs more than one row")
    if training and dropout:
        seed = seed_on(x.device)
    else:
        seed = torch.zeros((), dtype=torch.int64, device=x.device)
    # Statistics and parameters stay float32 where the features are bfloat16, as in torch.
    wide = library.wide(x.dtype)
    given = [v if v.dtype is wide else v.to(wide) for v in (weight, bias, mean, var)]
    options = (training, norm.eps, relu, dropout if training else 0.0)
    has_op = library.has_kernel("norm_act", x)
    op: Callable[..., Any] = _NORM_ACT if has_op else reference
    out, batch_mean, batch_var = op(x, *given, residual, seed, *options)
    if training:
        mean.lerp_(batch_mean.to(mean.dtype), norm.momentum)
        var.lerp_((batch_var * (rows / (rows - 1))).to(var.dtype), norm.momentum)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
    result: Tensor = out
    return result


def _fake(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    residual: Tensor | None,
    seed: Tensor,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(mean), torch.empty_like(var)


_NORM_ACT = library.define(
    "norm_act(Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor var, Tensor? residual, "
    "Tensor seed, bool training, float eps, bool relu, float dropout) -> (Tensor, Tensor, Tensor)",
    _fake,
    WIDE,
)


def _fake_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    seed: Tensor,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(weight), torch.empty_like(bias)


_BACKWARD = library.define(
    "norm_act_backward(Tensor grad, Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor var, "
    "Tensor seed, bool training, float eps, bool relu, float dropout) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
    WIDE,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, _, _, _, seed, *ctx.options = inputs
    _, mean, var = output
    ctx.mark_non_differentiable(mean, var)
    ctx.save_for_backward(x, weight, bias, mean, var, seed)


def _backward(ctx: Any, grad: Tensor, *unused: Tensor) -> tuple[Any, ...]:
    grad_x, grad_weight, grad_bias = _BACKWARD(grad, *ctx.saved_tensors, *ctx.options)
    grad_residual = grad if ctx.needs_input_grad[5] else None
    return grad_x, grad_weight, grad_bias, None, None, grad_residual, *(None,) * 5


library.differentiate("norm_act", _save, _backward)
