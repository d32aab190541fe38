"""What stands between two layers: a norm, ReLU, dropout, each where it is asked for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gbench.kernels.act_dropout import act_dropout
from gbench.kernels.linear import linear as product
from gbench.kernels.norm_act import norm_act as fused
from gbench.kernels.normed_mlp import Stage
from gbench.kernels.torch_private import has_hooks


class NormAct(nn.Module):
    """dropout(relu(norm(x))), a batch norm's statistics taken over all nodes (or graphs).

    `norm` is none, batch or layer, or true for batch. With a residual that is added to it. Of a
    batch in a frame only the first `rows` count, and later rows are 0 after a batch norm (see
    gbench/data/padding.py).

    Shapes: x (N, F), residual (N, F), rows () int64 → (N, F).
    """

    norm: nn.BatchNorm1d | nn.LayerNorm | None

    def __init__(self, dim: int, *, norm: bool | str, relu: bool, dropout: float) -> None:
        super().__init__()
        if norm == "layer":
            self.norm = nn.LayerNorm(dim)
        else:
            self.norm = nn.BatchNorm1d(dim) if norm in (True, "batch") else None
        self.relu = relu
        self.dropout = dropout

    def forward(
        self, x: Tensor, residual: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        if residual is not None and not _adds(x, residual):
            normalised: Tensor = self(x, rows=rows)
            return residual + normalised
        if isinstance(self.norm, nn.BatchNorm1d):
            return fused(
                x,
                self.norm,
                relu=self.relu,
                dropout=self.dropout,
                residual=residual,
                rows=rows,
            )
        if self.norm is not None:
            x = self.norm(x)
        rate = self.dropout if self.training else 0.0
        x = act_dropout(x, act="relu" if self.relu else "none", rate=rate)
        return x if residual is None else residual + x


def _adds(x: Tensor, residual: Tensor) -> bool:
    """Whether the norm may add the residual.

    Not where autocast left one of them wider: the sum is as wide then. Nor of bfloat16 on a CPU,
    where no launch is saved and each part is rounded, as torch's operations do.
    """
    return x.dtype is residual.dtype and (x.is_cuda or x.dtype is not torch.bfloat16)


def stages_of(*pairs: tuple[nn.Module, nn.Module]) -> list[Stage]:
    """Linears with what follows each, as gbench/kernels/normed_mlp.py takes them.

    None at all where one of them is something else, or has hooks that a call would run.
    """
    found = []
    for linear, norm_act in pairs:
        assert isinstance(linear, nn.Linear) and isinstance(norm_act, NormAct)
        norm = norm_act.norm
        if not isinstance(norm, nn.BatchNorm1d) or linear.bias is None:
            return []
        if has_hooks((linear, norm_act)):
            return []
        found.append(Stage(linear.weight, linear.bias, norm, norm_act.relu, norm_act.dropout))
    return found


def linear_norm_act(
    linear: nn.Module, norm_act: nn.Module, x: Tensor, rows: Tensor | None = None
) -> Tensor:
    """norm_act(linear(x)); on a GPU the norm takes the bias, whose gradient it knows to be 0.

    Its own sum over the batch would be a launch, and no more than what rounding left. Modules that
    have hooks are called.
    """
    assert isinstance(linear, nn.Linear) and isinstance(norm_act, NormAct)
    norm, called = norm_act.norm, not x.is_cuda or has_hooks((linear, norm_act))
    if not isinstance(norm, nn.BatchNorm1d) or linear.bias is None or called:
        out: Tensor = norm_act(linear(x), rows=rows)
        return out
    x, relu, drops = product(x, linear.weight), norm_act.relu, norm_act.dropout
    bias = linear.bias
    return fused(x, norm, relu=relu, dropout=drops, rows=rows, before=bias)
