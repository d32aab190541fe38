"""CPU, numba: the Laplacian's kernels with both scalings, and a walk for what goes through them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, widen, zero_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run
from gbench.kernels.cpu.sheaf_laplacian import applied, maps_gradient


def scaled_sheaf_laplacian(
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
    weight: Tensor | None,
    degree: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The forward of gbench/kernels/scaled_sheaf_laplacian.py, with r."""
    wide = torch.promote_types(x.dtype, torch.float32)
    root = torch.empty((x.size(0), maps.size(1) if maps.dim() == 2 else 1), dtype=wide)
    if degree is not None:
        root.copy_(degree.detach()[:, None])
    else:
        parts = array(maps if weight is None else weight[:, None])
        run(_squares, count_chunks(parts.size), array(rowptr), parts, array(root))
    root.add_(1).rsqrt_()
    return applied((rowptr, col, reverse), maps, weight, root, x), root


def scaled_sheaf_laplacian_backward(
    grad: Tensor,
    rowptr: Tensor,
    col: Tensor,
    reverse: Tensor,
    longest: int,
    maps: Tensor,
    x: Tensor,
    weight: Tensor | None,
    degree: Tensor | None,
    out: Tensor,
    root: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/scaled_sheaf_laplacian.py."""
    graph = (rowptr, col, reverse)
    grad_x = applied(graph, maps, weight, root, grad)
    grad_maps = maps_gradient(graph, maps, weight, root, x, grad)
    grad_weight = x.new_empty(0 if weight is None else weight.size(0))
    size = torch.empty_like(root)
    signals = (array(grad), array(out), array(x), array(grad_x))
    run(_through_root, count_chunks(2 * x.numel()), *signals, array(root), array(size))
    if degree is not None:
        return grad_maps, grad_x, grad_weight, size.sum(1).to(degree.dtype)
    chunks, ends = count_chunks(maps.numel()), (array(rowptr), array(size))
    if weight is None:
        run(_to_maps, chunks, *ends, array(maps), array(grad_maps))
    else:
        values = (array(maps), array(weight), array(grad_maps), array(grad_weight))
        run(_to_weights, chunks, *ends, *values)
    return grad_maps, grad_x, grad_weight, x.new_empty(0)


@compiled
def _squares(first: int, last: int, num_chunks: int, rowptr: Any, parts: Any, out: Any) -> int:
    """The sum of each row's squares."""
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for p in range(out.shape[1]):
            total = zero_of(parts)
            for e in range(rowptr[v], rowptr[v + 1]):
                total += widen(parts[e, p]) * widen(parts[e, p])
            out[v, p] = total
    return 0


@compiled
def _through_root(
    first: int,
    last: int,
    num_chunks: int,
    grad: Any,
    out: Any,
    x: Any,
    grad_x: Any,
    root: Any,
    size: Any,
) -> int:
    """The gradient for 1 + size, each channel's own or the sum over all."""
    rows, stalk, width = x.shape
    for v in range(rows * first // num_chunks, rows * last // num_chunks):
        size[v] = 0
        for p in range(stalk):
            total = zero_of(x)
            for f in range(width):
                total += widen(grad[v, p, f]) * widen(out[v, p, f])
                total += widen(grad_x[v, p, f]) * widen(x[v, p, f])
            k = min(p, root.shape[1] - 1)
            size[v, k] -= total * root[v, k] * root[v, k] / 2
    return 0


@compiled
def _to_maps(
    first: int, last: int, num_chunks: int, rowptr: Any, size: Any, maps: Any, grad_maps: Any
) -> int:
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[v], rowptr[v + 1]):
            for p in range(maps.shape[1]):
                slope = widen(grad_maps[e, p]) + 2 * size[v, p] * widen(maps[e, p])
                grad_maps[e, p] = narrow(slope, grad_maps)
    return 0


@compiled
def _to_weights(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    size: Any,
    maps: Any,
    weight: Any,
    grad_maps: Any,
    grad_weight: Any,
) -> int:
    """From the gradient of maps times weights, in place, to those of both."""
    stalk = maps.shape[1]
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[v], rowptr[v + 1]):
            factor = widen(weight[e])
            total = 2 * size[v, 0] * factor
            for p in range(stalk):
                for q in range(stalk):
                    slope = widen(grad_maps[e, p, q])
                    total += slope * widen(maps[e, p, q])
                    grad_maps[e, p, q] = narrow(slope * factor, grad_maps)
            grad_weight[e] = narrow(total, grad_weight)
    return 0
