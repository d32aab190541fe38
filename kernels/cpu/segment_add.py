"""CPU, numba: one walk over the rows, where indexing and adding would be two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, widen
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run
from gbench.kernels.cpu.segment_reduce import check_bounds, segment_reduce
from gbench.kernels.csr import UNKNOWN


def segment_add(ptr: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """The forward of gbench/kernels/segment_add.py."""
    out = torch.empty(x.shape, dtype=x.dtype)
    bounds = array(ptr)
    check_bounds(bounds, x.size(0))
    run(_add, count_chunks(x.numel()), bounds, array(x), array(v), array(out))
    return out


def segment_add_backward(grad: Tensor, ptr: Tensor) -> Tensor:
    """The gradient of v: see gbench/kernels/segment_add.py."""
    return segment_reduce(ptr, UNKNOWN, grad, "sum")


@compiled
def _add(first: int, last: int, num_chunks: int, ptr: Any, x: Any, v: Any, out: Any) -> int:
    width = x.shape[1]
    for b in range(chunk_start(ptr, first, num_chunks), chunk_start(ptr, last, num_chunks)):
        for i in range(ptr[b], ptr[b + 1]):
            for f in range(width):
                out[i, f] = narrow(widen(x[i, f]) + widen(v[b, f]), out)
    return 0
