"""CPU, numba: one walk that draws and multiplies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, widen, zero_of
from gbench.kernels.cpu.draws import draw, drop_rule, row_key
from gbench.kernels.cpu.rows import array, compiled, count_chunks, run
from gbench.kernels.dropout import KEY_SPAN


def dropout(x: Tensor, seed: Tensor, rate: float) -> Tensor:
    """The forward of gbench/kernels/dropout.py, and with the output's gradient the backward."""
    out = torch.empty(x.shape, dtype=x.dtype)
    flat, chunks = array(x).reshape(-1), count_chunks(x.numel())
    run(drop_each, chunks, flat, seed.item(), rate, array(out).reshape(-1))
    return out


@compiled
def drop_each(
    first: int, last: int, num_chunks: int, x: Any, seed: int, rate: float, out: Any
) -> int:
    """What dropout makes of all elements of x."""
    zero = zero_of(x)
    _, limit, factor = drop_rule(rate)
    grow = type(zero)(factor)
    blocks = (len(x) + KEY_SPAN - 1) // KEY_SPAN
    for block in range(blocks * first // num_chunks, blocks * last // num_chunks):
        key, start = row_key(seed, block), block * KEY_SPAN
        part, result = x[start : start + KEY_SPAN], out[start : start + KEY_SPAN]
        for k in range(len(part)):
            kept = draw(key, k) >= limit
            result[k] = narrow(widen(part[k]) * grow if kept else zero, out)
    return 0
