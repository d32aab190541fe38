"""CUDA: tiles of consecutive nodes against the nodes of the graphs that they belong to.

A tile of queries may hold the end of one graph and the beginning of the next: it meets the keys
from the first of these graphs to the last, and a pair of two graphs counts nothing. So small graphs
fill tiles together and large ones meet themselves alone. Softmax is kept up while the keys pass
(Milakov & Gimelshein, 2018; Dao et al., "FlashAttention", NeurIPS 2022). Backward is one kernel for
queries, another for keys and values: each writes its own rows, and nothing is added by atomics.

That node_ptr rises from 0 to N is not checked: the host would have to wait for the device.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from gbench.kernels.cuda.draws import dropped, row_key
from gbench.kernels.cuda.rows import cdiv, kernel, launch, power_of_2, row_of, wide


def ragged_attention(
    ptr: Tensor, q: Tensor, k: Tensor, v: Tensor, seed: Tensor | None, rate: float
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/ragged_attention.py."""
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    out, log_sum = q.new_empty(q.shape), q.new_empty(q.shape[:2], dtype=wide(q.dtype))
    _launch(_forward, ptr, seed, rate, q, k, v, out, log_sum)
    return out, log_sum


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
    q, k, v, grad = q.contiguous(), k.contiguous(), v.contiguous(), grad.contiguous()
    delta = (grad.to(log_sum.dtype) * out.to(log_sum.dtype)).sum(2)
    grads = [q.new_empty(q.shape) for _ in range(3)]
    given = (q, k, v, grad, log_sum, delta)
    _launch(_backward_queries, ptr, seed, rate, *given, grads[0])
    _launch(_backward_keys, ptr, seed, rate, *given, grads[1], grads[2])
    return grads[0], grads[1], grads[2]


def _launch(function: Any, ptr: Tensor, seed: Tensor | None, rate: float, *args: Tensor) -> None:
    q = args[0]
    num_nodes, heads, width = q.shape
    features = max(16, power_of_2(width))
    # larger tiles do not fit in registers
    tile = 64 if features <= 32 and function is not _backward_keys else 32
    tile = 16 if q.dtype == torch.float64 else tile
    exact = torch.get_float32_matmul_precision() == "highest"
    if num_nodes and heads and width:
        launch(
            function,
            (cdiv(num_nodes, tile), heads),
            *args,
            ptr,
            seed,
            num_nodes,
            ptr.numel() - 1,
            ptr.numel().bit_length(),
            SCALE=width**-0.5,
            RATE=rate,
            LIMIT=int(rate * 2**32),
            HEADS=heads,
            WIDTH=width,
            FEATURES=features,
            TILE=tile,
            PRECISION="tf32x3" if exact else "tf32",
            num_warps=4 if function is _forward and features <= 32 else 8,
        )


@triton.jit
def _graph_of(
    ptr: tl.tensor,
    node: tl.tensor,
    here: tl.tensor,
    num_graphs: tl.tensor,
    search_steps: tl.tensor,
) -> tuple[tl.tensor, tl.tensor]:
    """Where each node's graph begins and ends; nowhere for a node that is not."""
    graph = row_of(ptr, tl.where(here, node, 0), num_graphs, search_steps)
    begin = tl.load(ptr + graph, mask=here, other=2147483647)
    return begin, tl.load(ptr + graph + 1, mask=here, other=0)


@triton.jit
def _tile(
    x: tl.tensor,
    node: tl.tensor,
    here: tl.tensor,
    feature: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """x[node, this program's head, feature], 0 where there is none."""
    place = (node.to(tl.int64) * HEADS + tl.program_id(1))[:, None] * WIDTH + feature[None, :]
    return tl.load(x + place, mask=here[:, None] & (feature < WIDTH)[None, :], other=0.0)


@triton.jit
def _put(
    value: tl.tensor,
    x: tl.tensor,
    node: tl.tensor,
    here: tl.tensor,
    feature: tl.tensor,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    place = (node.to(tl.int64) * HEADS + tl.program_id(1))[:, None] * WIDTH + feature[None, :]
    mask = here[:, None] & (feature < WIDTH)[None, :]
    tl.store(x + place, value.to(x.dtype.element_ty), mask=mask)


@triton.jit
def _product(a: tl.tensor, b: tl.tensor, x: tl.tensor, PRECISION: tl.constexpr) -> tl.tensor:
    """Multiply a with b in the type of x, its sums as wide as sums are made."""
    if x.dtype.element_ty == tl.float64:
        out = tl.sum(a[:, :, None] * b[None, :, :], 1)
    elif x.dtype.element_ty == tl.float32:
        out = tl.dot(a, b, input_precision=PRECISION)
    else:
        out = tl.dot(a.to(x.dtype.element_ty), b.to(x.dtype.element_ty))
    return out


@triton.jit
def _factors(
    weight: tl.tensor,
    seed: tl.tensor,
    query: tl.tensor,
    place: tl.tensor,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
) -> tl.tensor:
    """The weights after dropout; `place` (queries, keys) is the key's in its graph."""
    key = row_key(tl.load(seed), query.to(tl.int64) * HEADS + tl.program_id(1))
    return dropped(weight, key[:, None], place, RATE, LIMIT)


@kernel
def _forward(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    out: tl.tensor,
    log_sum: tl.tensor,
    ptr: tl.tensor,
    seed: tl.tensor,
    num_nodes: tl.tensor,
    num_graphs: tl.tensor,
    search_steps: tl.tensor,
    SCALE: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    FEATURES: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    kind = log_sum.dtype.element_ty
    query, feature = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, FEATURES)
    here = query < num_nodes
    begin, end = _graph_of(ptr, query, here, num_graphs, search_steps)
    asks = _tile(q, query, here, feature, HEADS, WIDTH)
    top = tl.full([TILE], float("-inf"), kind)
    total = tl.zeros([TILE], kind)
    sums = tl.zeros([TILE, FEATURES], kind)
    for start in range(tl.min(begin), tl.max(end), TILE):
        key = start + tl.arange(0, TILE)
        is_key = key < num_nodes
        is_pair = (key[None, :] >= begin[:, None]) & (key[None, :] < end[:, None])
        keys = _tile(k, key, is_key, feature, HEADS, WIDTH)
        score = _product(asks, tl.trans(keys), q, PRECISION).to(kind) * SCALE
        score = tl.where(is_pair, score, float("-inf"))
        most = tl.maximum(top, tl.max(score, 1), propagate_nan=tl.PropagateNan.ALL)
        base = tl.where(most == float("-inf"), 0.0, most)  # no pair so far
        weight = tl.where(is_pair, tl.exp(score - base[:, None]), 0.0)
        before = tl.exp(top - base)
        total = total * before + tl.sum(weight, 1)
        if seed is not None:
            place = key[None, :] - begin[:, None]
            weight = _factors(weight, seed, query, place, RATE, LIMIT, HEADS)
        values = _tile(v, key, is_key, feature, HEADS, WIDTH)
        sums = sums * before[:, None] + _product(weight, values, q, PRECISION).to(kind)
        top = most
    _put(sums / total[:, None], out, query, here, feature, HEADS, WIDTH)
    place = query.to(tl.int64) * HEADS + tl.program_id(1)
    tl.store(log_sum + place, top + tl.log(total), mask=here)


@triton.jit
def _shares(
    asks: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    arrives: tl.tensor,
    norm: tl.tensor,
    own: tl.tensor,
    is_pair: tl.tensor,
    seed: tl.tensor,
    query: tl.tensor,
    place: tl.tensor,
    q: tl.tensor,
    SCALE: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """The weights after dropout and the scores' gradients, both (queries, keys)."""
    score = _product(asks, tl.trans(keys), q, PRECISION).to(norm.dtype) * SCALE
    alpha = tl.where(is_pair, tl.exp(score - norm[:, None]), 0.0)
    dot = _product(arrives, tl.trans(values), q, PRECISION).to(norm.dtype)
    weight = alpha
    if seed is not None:
        weight = _factors(alpha, seed, query, place, RATE, LIMIT, HEADS)
        dot = _factors(dot, seed, query, place, RATE, LIMIT, HEADS)
    return weight, alpha * (dot - own[:, None]) * SCALE


@kernel
def _backward_queries(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    grad: tl.tensor,
    log_sum: tl.tensor,
    delta: tl.tensor,
    grad_q: tl.tensor,
    ptr: tl.tensor,
    seed: tl.tensor,
    num_nodes: tl.tensor,
    num_graphs: tl.tensor,
    search_steps: tl.tensor,
    SCALE: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    FEATURES: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    kind = log_sum.dtype.element_ty
    query, feature = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, FEATURES)
    here = query < num_nodes
    begin, end = _graph_of(ptr, query, here, num_graphs, search_steps)
    asks = _tile(q, query, here, feature, HEADS, WIDTH)
    arrives = _tile(grad, query, here, feature, HEADS, WIDTH)
    row = query.to(tl.int64) * HEADS + tl.program_id(1)
    norm = tl.load(log_sum + row, mask=here, other=0.0)
    own = tl.load(delta + row, mask=here, other=0.0)
    sums = tl.zeros([TILE, FEATURES], kind)
    for start in range(tl.min(begin), tl.max(end), TILE):
        key = start + tl.arange(0, TILE)
        is_key = key < num_nodes
        is_pair = (key[None, :] >= begin[:, None]) & (key[None, :] < end[:, None])
        keys = _tile(k, key, is_key, feature, HEADS, WIDTH)
        values = _tile(v, key, is_key, feature, HEADS, WIDTH)
        place = key[None, :] - begin[:, None]
        _, share = _shares(
            asks, keys, values, arrives, norm, own, is_pair, seed, query, place, q,
            SCALE, RATE, LIMIT, HEADS, PRECISION,
        )  # fmt: skip
        sums += _product(share, keys, q, PRECISION).to(kind)
    _put(sums, grad_q, query, here, feature, HEADS, WIDTH)


@kernel
def _backward_keys(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    grad: tl.tensor,
    log_sum: tl.tensor,
    delta: tl.tensor,
    grad_k: tl.tensor,
    grad_v: tl.tensor,
    ptr: tl.tensor,
    seed: tl.tensor,
    num_nodes: tl.tensor,
    num_graphs: tl.tensor,
    search_steps: tl.tensor,
    SCALE: tl.constexpr,
    RATE: tl.constexpr,
    LIMIT: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    FEATURES: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    kind = log_sum.dtype.element_ty
    key, feature = tl.program_id(0) * TILE + tl.arange(0, TILE), tl.arange(0, FEATURES)
    here = key < num_nodes
    begin, end = _graph_of(ptr, key, here, num_graphs, search_steps)
    keys = _tile(k, key, here, feature, HEADS, WIDTH)
    values = _tile(v, key, here, feature, HEADS, WIDTH)
    of_keys = tl.zeros([TILE, FEATURES], kind)
    of_values = tl.zeros([TILE, FEATURES], kind)
    for start in range(tl.min(begin), tl.max(end), TILE):
        query = start + tl.arange(0, TILE)
        is_query = query < num_nodes
        is_pair = (query[:, None] >= begin[None, :]) & (query[:, None] < end[None, :])
        asks = _tile(q, query, is_query, feature, HEADS, WIDTH)
        arrives = _tile(grad, query, is_query, feature, HEADS, WIDTH)
        row = query.to(tl.int64) * HEADS + tl.program_id(1)
        norm = tl.load(log_sum + row, mask=is_query, other=0.0)
        own = tl.load(delta + row, mask=is_query, other=0.0)
        place = (key - begin)[None, :]
        weight, share = _shares(
            asks, keys, values, arrives, norm, own, is_pair, seed, query, place, q,
            SCALE, RATE, LIMIT, HEADS, PRECISION,
        )  # fmt: skip
        of_keys += _product(tl.trans(share), asks, q, PRECISION).to(kind)
        of_values += _product(tl.trans(weight), arrives, q, PRECISION).to(kind)
    _put(of_keys, grad_k, key, here, feature, HEADS, WIDTH)
    _put(of_values, grad_v, key, here, feature, HEADS, WIDTH)
