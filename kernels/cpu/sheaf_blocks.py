"""CPU, numba: the rows' products, a handful of numbers each, in one walk."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, widen
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run


def sheaf_blocks(rowptr: Tensor, longest: int, maps: Tensor) -> Tensor:
    """The forward of gbench/kernels/sheaf_blocks.py."""
    wide = torch.promote_types(maps.dtype, torch.float32)  # the blocks' roots are taken
    out = torch.zeros(rowptr.numel() - 1, maps.size(1), maps.size(2), dtype=wide)
    chunks = count_chunks(maps.numel() * maps.size(2))
    run(_forward, chunks, array(rowptr), array(maps), array(out))
    return out


def sheaf_blocks_backward(grad: Tensor, rowptr: Tensor, longest: int, maps: Tensor) -> Tensor:
    """The gradient of gbench/kernels/sheaf_blocks.py."""
    out = torch.empty(maps.shape, dtype=maps.dtype)
    chunks = count_chunks(maps.numel() * maps.size(2))
    run(_backward, chunks, array(rowptr), array(maps), array(grad + grad.mT), array(out))
    return out


@compiled
def _forward(first: int, last: int, num_chunks: int, rowptr: Any, maps: Any, out: Any) -> int:
    stalk = maps.shape[1]
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[v], rowptr[v + 1]):
            for k in range(stalk):
                for p in range(stalk):
                    for q in range(stalk):
                        out[v, p, q] += widen(maps[e, k, p]) * widen(maps[e, k, q])
    return 0


@compiled
def _backward(
    first: int, last: int, num_chunks: int, rowptr: Any, maps: Any, both: Any, out: Any
) -> int:
    stalk = maps.shape[1]
    for v in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[v], rowptr[v + 1]):
            for p in range(stalk):
                for q in range(stalk):
                    total = both.dtype.type(0)
                    for k in range(stalk):
                        total += widen(maps[e, p, k]) * both[v, k, q]
                    out[e, p, q] = narrow(total, out)
    return 0
