"""CPU, numba: one walk over the pairs in each direction, in the order in which they lie.

Backward takes a receiver after the other, whose pairs stand side by side: the senders' sums, which
it adds to each time, are as many as a graph has nodes and stay in cache.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.draws import draw, drop_rule, row_key
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset


def pair_conv(
    ptr: Tensor,
    start: Tensor,
    node_ptr: Tensor,
    psi: Tensor,
    x: Tensor,
    seed: Tensor | None,
    mean: bool,
    rate: float,
) -> Tensor:
    """The forward of gbench/kernels/pair_conv.py."""
    check_pairs(ptr, psi.size(0))
    out = torch.empty(x.shape, dtype=x.dtype)
    given = (array(ptr), array(start), array(psi), array(x))
    draws = (0 if seed is None else int(seed.item()), rate)
    chunks = count_chunks(psi.size(0) * x.size(1))
    run(_forward, chunks, *given, *draws, mean, array(out))
    return out


def pair_conv_backward(
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
    """The gradients of gbench/kernels/pair_conv.py."""
    grad_psi = unset(tuple(psi.shape), psi.dtype)
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    given = (array(node_ptr), array(ptr), array(psi), array(x))
    draws = (0 if seed is None else int(seed.item()), rate)
    chunks = count_chunks(psi.size(0) * x.size(1))
    run(_backward, chunks, *given, *draws, mean, array(grad), array(grad_psi), array(grad_x))
    return grad_psi, grad_x


def check_pairs(ptr: Tensor, num_pairs: int) -> None:
    """Raise ValueError unless there are as many pairs as ptr says."""
    if int(ptr[-1]) != num_pairs:
        raise ValueError(
            f"there are {num_pairs} rows of pairs: the graphs' nodes make {int(ptr[-1])} pairs"
        )


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    ptr: Any,
    start: Any,
    psi: Any,
    x: Any,
    seed: int,
    rate: float,
    mean: bool,
    out: Any,
) -> int:
    heads, width, zero = psi.shape[1], x.shape[1], zero_of(x)
    size = width // heads
    drops, limit, grow = drop_rule(rate)
    grow, row, weight = type(zero)(grow), scratch(x, width), scratch(x, heads)
    for i in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        count = ptr[i + 1] - ptr[i]
        row[:] = 0
        for k in range(count):
            p, j = uint64(ptr[i] + k), uint64(start[i] + k)
            if drops:
                key = row_key(seed, p)
                for h in range(heads):
                    weight[h] = widen(psi[p, h]) * grow if draw(key, h) >= limit else zero
            elif size > 1:
                for h in range(heads):
                    weight[h] = widen(psi[p, h])
            if size == 1 and not drops:
                for f in range(width):
                    row[f] += widen(psi[p, f]) * widen(x[j, f])
            elif size == 1:
                for f in range(width):
                    row[f] += weight[f] * widen(x[j, f])
            else:
                for h in range(heads):
                    own = weight[h]
                    for f in range(h * size, (h + 1) * size):
                        row[f] += own * widen(x[j, f])
        factor = type(zero)(1 / count if mean else 1)
        for f in range(width):
            out[i, f] = narrow(row[f] * factor, out)
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    node_ptr: Any,
    ptr: Any,
    psi: Any,
    x: Any,
    seed: int,
    rate: float,
    mean: bool,
    grad: Any,
    grad_psi: Any,
    grad_x: Any,
) -> int:
    """A chunk is of whole graphs."""
    heads, width, zero = psi.shape[1], x.shape[1], zero_of(x)
    size = width // heads
    drops, limit, grow = drop_rule(rate)
    grow, weight, told = type(zero)(grow), scratch(x, heads), scratch(x, width)
    for b in range(
        chunk_start(node_ptr, first, num_chunks), chunk_start(node_ptr, last, num_chunks)
    ):
        begin, count = node_ptr[b], node_ptr[b + 1] - node_ptr[b]
        sums = scratch(x, (count, width))
        sums[:] = 0
        factor = type(zero)(1 / count if mean else 1) if count else zero
        for i in range(begin, begin + count):
            for f in range(width):
                told[f] = widen(grad[i, f]) * factor
            for k in range(count):
                p, j = uint64(ptr[i] + k), uint64(begin + k)
                if size == 1 and not drops:
                    for f in range(width):
                        grad_psi[p, f] = narrow(told[f] * widen(x[j, f]), grad_psi)
                        sums[k, f] += widen(psi[p, f]) * told[f]
                    continue
                for h in range(heads):
                    weight[h] = grow
                if drops:
                    key = row_key(seed, p)
                    for h in range(heads):
                        weight[h] = grow if draw(key, h) >= limit else zero
                if size == 1:
                    for f in range(width):
                        grad_psi[p, f] = narrow(weight[f] * (told[f] * widen(x[j, f])), grad_psi)
                        sums[k, f] += weight[f] * widen(psi[p, f]) * told[f]
                    continue
                for h in range(heads):
                    own, total = weight[h] * widen(psi[p, h]), zero
                    for f in range(h * size, (h + 1) * size):
                        total += told[f] * widen(x[j, f])
                        sums[k, f] += own * told[f]
                    grad_psi[p, h] = narrow(weight[h] * total, grad_psi)
        for k in range(count):
            for f in range(width):
                grad_x[begin + k, f] = narrow(sums[k, f], grad_x)
    return 0
