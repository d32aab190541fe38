"""CPU: maxima and sums by numba, exponentials by torch, whose are of vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen
from gbench.kernels.cpu.pair_conv import check_pairs
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset


def pair_softmax(ptr: Tensor, score: Tensor) -> Tensor:
    """The forward of gbench/kernels/pair_softmax.py."""
    check_pairs(ptr, score.size(0))
    wide = torch.promote_types(score.dtype, torch.float32)
    shape, chunks = tuple(score.shape), count_chunks(score.numel())
    exp = unset(shape, wide)
    run(_below, chunks, array(ptr), array(score), array(exp))
    exp.exp_()
    out = exp if wide is score.dtype else unset(shape, score.dtype)
    run(_divide, chunks, array(ptr), array(exp), array(out))
    return out


def pair_softmax_backward(grad: Tensor, ptr: Tensor, out: Tensor) -> Tensor:
    """The gradient of gbench/kernels/pair_softmax.py."""
    grad_score = unset(tuple(grad.shape), grad.dtype)
    given = (array(ptr), array(grad), array(out), array(grad_score))
    run(_backward, count_chunks(grad.numel()), *given)
    return grad_score


@compiled
def _below(first: int, last: int, num_chunks: int, ptr: Any, score: Any, out: Any) -> int:
    """How far each score lies below its row's largest."""
    width, top = score.shape[1], scratch(score, score.shape[1])
    for i in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        for f in range(width):
            top[f] = widen(score[ptr[i], f])
        for p in range(ptr[i], ptr[i + 1]):
            for f in range(width):
                value = widen(score[p, f])
                is_larger = (value > top[f]) | (value != value)  # a NaN wins and then stays
                top[f] = value if is_larger else top[f]
        for p in range(ptr[i], ptr[i + 1]):
            for f in range(width):
                out[p, f] = widen(score[p, f]) - top[f]
    return 0


@compiled
def _divide(first: int, last: int, num_chunks: int, ptr: Any, exp: Any, out: Any) -> int:
    width, total = exp.shape[1], scratch(exp, exp.shape[1])
    for i in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        total[:] = 0
        for p in range(ptr[i], ptr[i + 1]):
            for f in range(width):
                total[f] += exp[p, f]
        for p in range(ptr[i], ptr[i + 1]):
            for f in range(width):
                out[p, f] = narrow(exp[p, f] / total[f], out)
    return 0


@compiled
def _backward(
    first: int, last: int, num_chunks: int, ptr: Any, grad: Any, out: Any, grad_score: Any
) -> int:
    width, total = out.shape[1], scratch(out, out.shape[1])
    for i in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        total[:] = 0
        for p in range(ptr[i], ptr[i + 1]):
            for f in range(width):
                total[f] += widen(grad[p, f]) * widen(out[p, f])
        for p in range(ptr[i], ptr[i + 1]):
            for f in range(width):
                own = widen(out[p, f]) * (widen(grad[p, f]) - total[f])
                grad_score[p, f] = narrow(own, grad_score)
    return 0
