"""CPU: ReLU with dropout in one walk of numba, whose way back reads the output and draws nothing.

Other activations are torch's own parts, and the hash of gbench/kernels/cpu/dropout.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.act_dropout import activated
from gbench.kernels.cpu.bfloat16 import narrow, widen, zero_of
from gbench.kernels.cpu.draws import draw, drop_rule, row_key
from gbench.kernels.cpu.dropout import dropout
from gbench.kernels.cpu.rows import array, compiled, count_chunks, run
from gbench.kernels.dropout import KEY_SPAN


def act_dropout(
    x: Tensor, bias: Tensor | None, seed: Tensor | None, act: str, rate: float
) -> Tensor:
    """The forward of gbench/kernels/act_dropout.py."""
    if seed is None or act != "relu":
        y = activated(x.clone() if bias is None else x + bias, act).contiguous()
        return y if seed is None else dropout(y, seed, rate)
    x = x if bias is None else x + bias
    out = torch.empty(x.shape, dtype=x.dtype)
    flat = array(x).reshape(-1), array(out).reshape(-1)
    run(_relu_dropout, count_chunks(x.numel()), *flat, seed.item(), rate)
    return out


def act_dropout_backward(
    grad: Tensor, out: Tensor, seed: Tensor | None, act: str, rate: float
) -> Tensor:
    """The gradient of gbench/kernels/act_dropout.py."""
    if act == "relu":
        made = torch.empty(grad.shape, dtype=grad.dtype)
        flat = [array(each).reshape(-1) for each in (grad, out, made)]
        run(_relu_grad, count_chunks(grad.numel()), *flat, rate)
        return made
    grad = grad.contiguous() if seed is None else dropout(grad, seed, rate)
    return grad.clone() if act == "none" else grad * torch.where(out <= 0, out * (1 - rate) + 1, 1)


@compiled
def _relu_dropout(
    first: int, last: int, num_chunks: int, x: Any, out: Any, seed: int, rate: float
) -> int:
    zero = zero_of(x)
    _, limit, factor = drop_rule(rate)
    grow = type(zero)(factor)
    blocks = (len(x) + KEY_SPAN - 1) // KEY_SPAN
    for block in range(blocks * first // num_chunks, blocks * last // num_chunks):
        key, start = row_key(seed, block), block * KEY_SPAN
        part, result = x[start : start + KEY_SPAN], out[start : start + KEY_SPAN]
        for k in range(len(part)):
            value = widen(part[k])
            is_out = (draw(key, k) < limit) | (value < zero)  # a NaN is not below 0
            result[k] = narrow(zero if is_out else value * grow, out)
    return 0


@compiled
def _relu_grad(
    first: int, last: int, num_chunks: int, grad: Any, y: Any, out: Any, rate: float
) -> int:
    """Where y is above 0 its element was kept and positive.

    Over slices, from 0 on: an index that may be negative is a branch, and LLVM makes no vectors.
    """
    zero = zero_of(grad)
    grow = type(zero)(1 / (1 - rate))
    begin, end = len(y) * first // num_chunks, len(y) * last // num_chunks
    given, made, result = grad[begin:end], y[begin:end], out[begin:end]
    for k in range(len(given)):
        value = widen(given[k]) * grow
        result[k] = narrow(zero if widen(made[k]) <= zero else value, out)
    return 0
