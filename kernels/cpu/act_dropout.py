"""CPU, numba: ReLU with dropout, whose way back reads the output and draws nothing, and ELU.

ELU is made by vectors (vector_math.py) of a block of elements, after their draws. Nothing but a
bias or a dropout is torch's own part, or the hash of gbench/kernels/cpu/dropout.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.act_dropout import activated
from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.draws import draw, drop_rule, row_key
from gbench.kernels.cpu.dropout import dropout
from gbench.kernels.cpu.rows import array, compiled, count_chunks, run
from gbench.kernels.cpu.vector_math import elu
from gbench.kernels.cpu.vector_parts import elu_slope, kept, put
from gbench.kernels.cpu.vector_parts import first as part_of
from gbench.kernels.dropout import KEY_SPAN

LANES = (0,) * 16


def act_dropout(
    x: Tensor, bias: Tensor | None, seed: Tensor | None, act: str, rate: float
) -> Tensor:
    """The forward of gbench/kernels/act_dropout.py."""
    if act == "elu":
        out = torch.empty(x.shape, dtype=x.dtype)
        if not x.numel():  # a bias of no columns cannot be read
            return out
        row = array((x.new_zeros(1) if bias is None else bias).reshape(-1))
        drawn = (0 if seed is None else seed.item(), rate if seed is not None else 0.0)
        run(_elu, count_chunks(x.numel()), LANES, array(x), row, *drawn, array(out))
        return out
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
    if act == "elu":
        made = torch.empty(grad.shape, dtype=grad.dtype)
        drawn = (0 if seed is None else seed.item(), rate if seed is not None else 0.0)
        given = (array(grad), array(out), *drawn, array(made))
        run(_elu_grad, count_chunks(grad.numel()), LANES, *given)
        return made
    return grad.clone() if seed is None else dropout(grad, seed, rate)


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


@compiled
def _factors(seed: int, rate: float, block: int, count: int, factor: Any) -> None:
    """What `count` elements of a block of KEY_SPAN are multiplied by."""
    drops, limit, grow = drop_rule(rate)
    if not drops:
        factor[:] = 1
        return
    key, part = row_key(seed, block), factor[:count]
    for k in range(len(part)):
        part[k] = grow if draw(key, k) >= limit else 0


@compiled
def _elu(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    x: Any,
    bias: Any,
    seed: int,
    rate: float,
    out: Any,
) -> int:
    factor, biases = scratch(x, KEY_SPAN), scratch(x, KEY_SPAN + len(bias))
    for k in range(len(biases)):
        biases[k] = widen(bias[k % len(bias)])
    blocks = (x.size + KEY_SPAN - 1) // KEY_SPAN
    for block in range(blocks * first // num_chunks, blocks * last // num_chunks):
        start = block * KEY_SPAN
        length, shift = min(KEY_SPAN, x.size - start), start % len(bias)
        _factors(seed, rate, block, length, factor)
        for k in range(0, length, len(lanes)):
            count = min(len(lanes), length - k)
            value = part_of(lanes, x, start + k, count, 0.0)
            value += part_of(lanes, biases, shift + k, count, 0.0)
            put(kept(elu(value), part_of(lanes, factor, k, count, 0.0)), out, start + k, count)
    return 0


@compiled
def _elu_grad(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    grad: Any,
    y: Any,
    seed: int,
    rate: float,
    out: Any,
) -> int:
    factor = scratch(grad, KEY_SPAN)
    blocks = (grad.size + KEY_SPAN - 1) // KEY_SPAN
    for block in range(blocks * first // num_chunks, blocks * last // num_chunks):
        start = block * KEY_SPAN
        length = min(KEY_SPAN, grad.size - start)
        _factors(seed, rate, block, length, factor)
        for k in range(0, length, len(lanes)):
            count = min(len(lanes), length - k)
            given = part_of(lanes, grad, start + k, count, 0.0)
            given = kept(given, part_of(lanes, factor, k, count, 0.0))
            slope = elu_slope(part_of(lanes, y, start + k, count, 0.0), 1 - rate)
            put(given * slope, out, start + k, count)
    return 0
