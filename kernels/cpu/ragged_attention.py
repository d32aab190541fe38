"""CPU, numba: graph by graph and head by head, keys and values as columns, a query at a time.

The innermost loops run over the nodes of the graph, four features at once: a score or weight that
is loaded serves four products. Chunks are of about equal Σ n².
"""

from __future__ import annotations

import math
from typing import Any

import numpy
import torch
from numba import int32, types, uint32
from numba.extending import overload
from torch import Tensor

from gbench.kernels.cpu.draws import draw, drop_rule, row_key
from gbench.kernels.cpu.rows import array, compiled, count_chunks, run
from gbench.kernels.cpu.segment_reduce import check_bounds

F32 = numpy.float32


def ragged_attention(
    ptr: Tensor, q: Tensor, k: Tensor, v: Tensor, seed: Tensor | None, rate: float
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/ragged_attention.py."""
    wide = torch.promote_types(q.dtype, torch.float32)
    given = [array(x.to(wide)) for x in (q, k, v)]
    bounds = array(ptr)
    check_bounds(bounds, q.size(0))
    out = torch.empty(q.shape, dtype=wide)
    log_sum = torch.empty(q.shape[:2], dtype=wide)
    starts = _starts(bounds, q.size(1), 2 * q.size(2))
    drops = 0 if seed is None else seed.item()
    run(_forward, len(starts) - 1, starts, bounds, *given, drops, rate, array(out), array(log_sum))
    return out.to(q.dtype), log_sum


def ragged_attention_backward(
    grad: Tensor,
    ptr: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seed: Tensor | None,
    out: Tensor,
    log_sum: Tensor,
    rate: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/ragged_attention.py."""
    wide = log_sum.dtype
    given = [array(x.to(wide)) for x in (q, k, v, out, grad)]
    bounds = array(ptr)
    grads = [torch.empty(q.shape, dtype=wide) for _ in range(3)]
    starts = _starts(bounds, q.size(1), 5 * q.size(2))
    drops = 0 if seed is None else seed.item()
    results = (array(x) for x in grads)
    given += [array(log_sum), drops, rate, *results]
    run(_backward, len(starts) - 1, starts, bounds, *given)
    grad_q, grad_k, grad_v = (x.to(q.dtype) for x in grads)
    return grad_q, grad_k, grad_v


def _starts(ptr: Any, heads: int, products: int) -> Any:
    """Where each chunk begins among the heads of the graphs, which are numbered graph by graph."""
    size = numpy.diff(ptr).astype(numpy.int64).repeat(heads)
    work = numpy.concatenate([[0], (size * size + 16 * size).cumsum()])
    chunks = count_chunks(int(work[-1]) * (products + 8) // 8)  # 8 products in one instruction
    cuts = numpy.searchsorted(work, work[-1] * numpy.arange(1, chunks) // chunks)
    return numpy.concatenate([[0], cuts, [size.size]])


def _exp(value: Any) -> Any:
    """exp(value), of what is not positive."""


@overload(_exp, inline="always")
def _overload_exp(value):  # type: ignore[no-untyped-def]
    return _fast_exp if value == types.float32 else _exact_exp


def _exact_exp(value):  # type: ignore[no-untyped-def]
    return math.exp(value)


def _fast_exp(value):  # type: ignore[no-untyped-def]
    """To 2e-7 of the value, in instructions of which LLVM makes vectors (see gcn_gated_sum.py)."""
    t = F32(-87) if value < F32(-87) else value
    n = numpy.floor(t * F32(1 / math.log(2)) + F32(0.5))
    r = (t - n * F32(0.693359375)) - n * F32(-2.12194440e-4)
    series = F32(1 / 5040) * r + F32(1 / 720)
    series = (series * r + F32(1 / 120)) * r + F32(1 / 24)
    series = (series * r + F32(1 / 6)) * r + F32(1 / 2)
    series = (series * r + F32(1)) * r + F32(1)
    exponent = uint32(int32(n) + int32(127)) << uint32(23)
    return series * numpy.uint32(exponent).view(numpy.float32)


@compiled
def _columns(x: Any, begin: int, end: int, h: int, out: Any) -> None:
    """The head's features as rows, padded with zeros to a multiple of four of them."""
    out[:, :] = 0
    for j in range(end - begin):
        for f in range(x.shape[2]):
            out[f, j] = x[begin + j, h, f]


@compiled
def _combine(factor: Any, columns: Any, out: Any) -> None:
    """out_j = Σ_f factor_f columns_fj."""
    for f in range(0, len(factor), 4):
        a, b, c, d = factor[f], factor[f + 1], factor[f + 2], factor[f + 3]
        s, t, u, w = columns[f], columns[f + 1], columns[f + 2], columns[f + 3]
        if f == 0:
            for j in range(len(out)):
                out[j] = a * s[j] + b * t[j] + c * u[j] + d * w[j]
        else:
            for j in range(len(out)):
                out[j] += a * s[j] + b * t[j] + c * u[j] + d * w[j]


@compiled
def _products(weight: Any, columns: Any, out: Any) -> None:
    """out_f = Σ_j weight_j columns_fj."""
    zero = out.dtype.type(0)
    for f in range(0, len(out), 4):
        a, b, c, d = zero, zero, zero, zero
        s, t, u, w = columns[f], columns[f + 1], columns[f + 2], columns[f + 3]
        for j in range(len(weight)):
            a += weight[j] * s[j]
            b += weight[j] * t[j]
            c += weight[j] * u[j]
            d += weight[j] * w[j]
        out[f], out[f + 1], out[f + 2], out[f + 3] = a, b, c, d


@compiled
def _add_outer(factor: Any, weight: Any, columns: Any) -> None:
    """columns_fj += factor_f weight_j."""
    for f in range(0, len(factor), 4):
        a, b, c, d = factor[f], factor[f + 1], factor[f + 2], factor[f + 3]
        s, t, u, w = columns[f], columns[f + 1], columns[f + 2], columns[f + 3]
        for j in range(len(weight)):
            one = weight[j]
            s[j] += a * one
            t[j] += b * one
            u[j] += c * one
            w[j] += d * one


@compiled
def _drop(seed: int, row: int, rate: float, weight: Any) -> None:
    _, limit, factor = drop_rule(rate)
    grow, zero, key = weight.dtype.type(factor), weight.dtype.type(0), row_key(seed, row)
    for j in range(len(weight)):
        weight[j] = weight[j] * grow if draw(key, j) >= limit else zero


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    starts: Any,
    ptr: Any,
    q: Any,
    k: Any,
    v: Any,
    seed: int,
    rate: float,
    out: Any,
    log_sum: Any,
) -> int:
    _, heads, width = q.shape
    kind, padded = q.dtype.type, (width + 3) // 4 * 4
    scale = kind(1 / math.sqrt(width))
    query, found = numpy.zeros((2, padded), q.dtype)
    for unit in range(starts[first], starts[last]):
        b, h = unit // heads, unit % heads
        begin, end = ptr[b], ptr[b + 1]
        size = end - begin
        keys, values = numpy.empty((2, padded, size), q.dtype)
        weight = numpy.empty(size, q.dtype)
        _columns(k, begin, end, h, keys)
        _columns(v, begin, end, h, values)
        for i in range(begin, end):
            for f in range(width):
                query[f] = q[i, h, f] * scale
            _combine(query, keys, weight)
            top = weight[0]
            for j in range(size):
                top = weight[j] if (weight[j] > top) | (weight[j] != weight[j]) else top
            total = kind(0)
            for j in range(size):
                weight[j] = _exp(weight[j] - top)
                total += weight[j]
            log_sum[i, h] = top + math.log(total)
            if rate > 0:
                _drop(seed, i * heads + h, rate, weight)
            _products(weight, values, found)
            for f in range(width):
                out[i, h, f] = found[f] / total
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    starts: Any,
    ptr: Any,
    q: Any,
    k: Any,
    v: Any,
    out: Any,
    grad: Any,
    log_sum: Any,
    seed: int,
    rate: float,
    grad_q: Any,
    grad_k: Any,
    grad_v: Any,
) -> int:
    _, heads, width = q.shape
    kind, padded = q.dtype.type, (width + 3) // 4 * 4
    scale = kind(1 / math.sqrt(width))
    query, arrives, found = numpy.zeros((3, padded), q.dtype)
    _, limit, factor = drop_rule(rate)
    grow, none = kind(factor), kind(0)
    for unit in range(starts[first], starts[last]):
        b, h = unit // heads, unit % heads
        begin, end = ptr[b], ptr[b + 1]
        size = end - begin
        keys, values, of_keys, of_values = numpy.empty((4, padded, size), q.dtype)
        alpha, weight, share = numpy.empty((3, size), q.dtype)
        _columns(k, begin, end, h, keys)
        _columns(v, begin, end, h, values)
        of_keys[:, :] = 0
        of_values[:, :] = 0
        for i in range(begin, end):
            own = none
            for f in range(width):
                query[f] = q[i, h, f] * scale
                arrives[f] = grad[i, h, f]
                own += grad[i, h, f] * out[i, h, f]
            _combine(query, keys, alpha)
            _combine(arrives, values, share)
            norm = log_sum[i, h]
            for j in range(size):
                alpha[j] = _exp(alpha[j] - norm)
            if rate > 0:
                key = row_key(seed, i * heads + h)
                for j in range(size):
                    m = grow if draw(key, j) >= limit else none
                    weight[j] = alpha[j] * m
                    share[j] = alpha[j] * (m * share[j] - own)
            else:
                for j in range(size):
                    weight[j] = alpha[j]
                    share[j] = alpha[j] * (share[j] - own)
            _products(share, keys, found)
            for f in range(width):
                grad_q[i, h, f] = found[f] * scale
            _add_outer(query, share, of_keys)
            _add_outer(arrives, weight, of_values)
        for j in range(size):
            for f in range(width):
                grad_k[begin + j, h, f] = of_keys[f, j]
                grad_v[begin + j, h, f] = of_values[f, j]
    return 0
