"""Batch norm, ReLU, dropout and a residual in one operation.

    z = γ (x - μ) / √(σ² + ε) + β        μ, σ² over the N rows (training) or the running ones
    y = dropout(relu(z)) + residual

In a padded batch N is the number of leading rows that count, which the device knows.

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

from typing import Any

import torch
from torch import Tensor, nn

from gbench.kernels import check, library
from gbench.kernels.seeds import seed_on
from gbench.kernels.torch_private import SHORTCUTS

WORD = 0xFFFFFFFF
ONE_ROW = "batch norm in training needs more than one row"
WIDE = dict.fromkeys(("weight", "bias", "mean", "var", "before"), library.wide)


def reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    residual: Tensor | None,
    seed: Tensor | None,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
    rows: Tensor | None = None,
    before: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The specification: the output and the statistics that it was normalised by."""
    x = x if before is None else x + before
    if training:
        valid = x if rows is None else x[:rows]
        mean, var = valid.mean(0), valid.var(0, unbiased=False)
    y = weight * (x - mean) / (var + eps).sqrt() + bias
    y = y.relu() if relu else y
    if dropout:
        assert seed is not None
        y = y * keep_mask(seed, x.size(0), x.size(1), dropout) / (1 - dropout)
    y = y if residual is None else y + residual
    if rows is not None:
        y = torch.where((torch.arange(x.size(0), device=x.device) < rows)[:, None], y, 0)
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
    rows: Tensor | None = None,
    before: Tensor | None = None,
) -> Tensor:
    """Apply `norm`, ReLU and dropout to x and add the residual, as the separate modules would.

    `norm` owns the parameters, the running statistics and the mode: in training it normalises by
    the batch and updates its running statistics, and dropout acts; in evaluation neither does.

    Of a padded batch only the first `rows` rows count, at least 2 in training: the statistics are
    theirs, and later rows' outputs and gradients are 0. On a GPU the host does not learn how many.

    `before` is added to each row first: the bias of a linear layer, which the batch's mean takes
    away again, so that in training it moves the running mean alone and its gradient is exactly 0.

    Shapes: x (N, F), residual (N, F), rows () int64, before (F,) → (N, F).
    Raises ValueError or TypeError on a wrong shape, device or dtype, on a single row in training
    and on a norm without parameters or running statistics.
    """
    weight, bias, mean, var = norm.weight, norm.bias, norm.running_mean, norm.running_var
    if not norm.affine or mean is None or var is None or norm.momentum is None:
        raise ValueError("norm needs affine=True, track_running_stats=True and a momentum")
    check.features("x", x, x.size(0), weight.device)
    num_rows, features = x.shape
    if features != norm.num_features:
        raise ValueError(f"x has {features} features but norm has {norm.num_features}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: pass 0 or more, less than 1")
    if residual is not None:
        check.beside("residual", residual, (num_rows, features), x)
    if rows is not None:
        check.integers("rows", rows, (), x.device)
    training = norm.training and num_rows > 0
    if training and num_rows == 1:
        raise ValueError(ONE_ROW)
    seed = seed_on(x.device) if training and dropout else None
    # Statistics and parameters stay float32 where the features are bfloat16, as in torch.
    wide = library.wide(x.dtype)
    given = [v if v.dtype is wide else v.to(wide) for v in (weight, bias, mean, var)]
    if before is not None:
        check.beside("before", before, (features,), weight)
        before = before if before.dtype is wide else before.to(wide)
    options = (norm.eps, relu, dropout if training else 0.0)
    out: Tensor
    has_op = library.has_kernel("norm_act", x)
    writes = WRITES and not torch.compiler.is_compiling() and mean.dtype is var.dtype is wide
    if training and writes and has_op:
        steps = norm.num_batches_tracked
        tensors = (x, *given, steps, residual, seed, rows, before)
        out, _, _ = _NORM_ACT_(*tensors, norm.momentum, *options)
        return out
    if has_op:
        outs = _NORM_ACT(*(x, *given, residual, seed, rows, before), training, *options)
    else:
        composed: Any = reference
        outs = composed(x, *given, residual, seed, training, *options, rows, before)
    out, batch_mean, batch_var = outs
    if training:
        before = before if has_op else None  # else it is in the mean already
        found = (batch_mean, batch_var, norm.momentum, x, rows, before)
        move(mean, var, norm.num_batches_tracked, *found)
    return out


def move(
    mean: Tensor,
    var: Tensor,
    steps: Tensor | None,
    batch_mean: Tensor,
    batch_var: Tensor,
    momentum: float,
    x: Tensor,
    rows: Tensor | None,
    before: Tensor | None,
) -> None:
    """Move the running statistics towards the batch's, of variances that of the population."""
    count = x.size(0) if rows is None else rows.double()
    batch_mean = batch_mean if before is None else batch_mean + before
    mean.lerp_(batch_mean.to(mean.dtype), momentum)
    var.lerp_((batch_var * (count / (count - 1))).to(var.dtype), momentum)
    if steps is not None:
        steps.add_(1)


def _fake(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    residual: Tensor | None,
    seed: Tensor | None,
    rows: Tensor | None,
    before: Tensor | None,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(mean), torch.empty_like(var)


_NORM_ACT = library.define(
    "norm_act(Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor var, Tensor? residual, "
    "Tensor? seed, Tensor? rows, Tensor? before, bool training, float eps, bool relu, "
    "float dropout) -> (Tensor, Tensor, Tensor)",
    _fake,
    WIDE,
)


def _fake_writing(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    steps: Tensor | None,
    residual: Tensor | None,
    seed: Tensor | None,
    rows: Tensor | None,
    before: Tensor | None,
    momentum: float,
    eps: float,
    relu: bool,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    return like, torch.empty_like(mean), torch.empty_like(var)


# In training, with the running statistics moved in the same walk.
_NORM_ACT_ = library.define(
    "norm_act_(Tensor x, Tensor weight, Tensor bias, Tensor(a!) mean, Tensor(b!) var, "
    "Tensor(c!)? steps, Tensor? residual, Tensor? seed, Tensor? rows, Tensor? before, "
    "float momentum, float eps, bool relu, float dropout) -> (Tensor, Tensor, Tensor)",
    _fake_writing,
    WIDE,
)


def _fake_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    seed: Tensor | None,
    rows: Tensor | None,
    before: Tensor | None,
    training: bool,
    eps: float,
    relu: bool,
    dropout: float,
    needs_residual: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    like = torch.empty_like(x, memory_format=torch.contiguous_format)
    of_residual = x.new_empty(x.shape if needs_residual else 0)
    of_before = weight.new_empty(0 if before is None else weight.size(0))
    return like, torch.empty_like(weight), torch.empty_like(bias), of_residual, of_before


_BACKWARD = library.define(
    "norm_act_backward(Tensor grad, Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor var, "
    "Tensor? seed, Tensor? rows, Tensor? before, bool training, float eps, bool relu, "
    "float dropout, bool needs_residual) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    _fake_backward,
    WIDE,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, _, _, _, seed, rows, before, *ctx.options = inputs
    _keep(ctx, (x, weight, bias), output, (seed, rows, before))


def _save_writing(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, _, _, _, _, seed, rows, before, _, *options = inputs
    ctx.options = [True, *options]
    _keep(ctx, (x, weight, bias), output, (seed, rows, before))


def _keep(
    ctx: Any,
    inputs: tuple[Tensor, ...],
    output: tuple[Tensor, ...],
    rest: tuple[Tensor | None, ...],
) -> None:
    _, mean, var = output
    ctx.mark_non_differentiable(mean, var)
    ctx.save_for_backward(*inputs, mean, var, *rest)


def _backward(ctx: Any, grad: Tensor, *unused: None) -> tuple[Any, ...]:
    *grads, of_residual, of_before = _gradients(ctx, grad, ctx.needs_input_grad[5])
    return *grads, None, None, of_residual, None, None, of_before, *(None,) * 4


def _backward_writing(ctx: Any, grad: Tensor, *unused: None) -> tuple[Any, ...]:
    *grads, of_residual, of_before = _gradients(ctx, grad, ctx.needs_input_grad[6])
    return *grads, None, None, None, of_residual, None, None, of_before, *(None,) * 4


def _gradients(ctx: Any, grad: Tensor, needs_residual: bool) -> tuple[Any, ...]:
    """Of x, weight, bias, the residual (the output's own where all rows count) and `before`."""
    saved = ctx.saved_tensors  # asked for once, as activation checkpointing wants it
    *_, rows, before = saved
    is_written = needs_residual and rows is not None
    given = (grad, *saved, *ctx.options, is_written)
    *grads, written, of_before = _BACKWARD(*given)
    of_residual = written if is_written else grad if needs_residual else None
    return *grads, of_residual, None if before is None else of_before


library.differentiate("norm_act", _save, _backward)
# What writes to its arguments gets a gradient by torch's private names alone.
WRITES = SHORTCUTS
if WRITES:
    library.differentiate("norm_act_", _save_writing, _backward_writing)
