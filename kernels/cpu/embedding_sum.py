"""CPU: numba checks the codes and adds up the gradient, embedding_bag adds up the rows.

embedding_bag keeps a row's sum in registers over its K lookups: 1.7 times as fast as a numba loop.
Its own backward sorts the lookups and takes several times as long as adding into a small table.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bag import bag_sum
from gbench.kernels.cpu.rows import array, compiled, count_chunks, in_float32, run


def embedding_sum(codes: Tensor, table: Tensor, offsets: Tensor) -> Tensor:
    """The forward of gbench/kernels/embedding_sum.py."""
    num_rows, num_features = codes.shape
    lookups = torch.empty(codes.shape, dtype=torch.int32)
    chunks = count_chunks(codes.numel())
    bad = run(_lookups, chunks, array(codes), array(offsets), table.size(0), array(lookups))
    if bad:
        row, feature = divmod(bad - 1, num_features)
        begin, end = [*offsets.tolist(), table.size(0)][feature : feature + 2]
        raise IndexError(
            f"codes[{row}, {feature}] is {int(codes[row, feature])}: "
            f"feature {feature} has categories 0..{end - begin - 1}"
        )
    rowptr = torch.arange(num_rows + 1, dtype=torch.int32).mul_(num_features)
    return bag_sum(rowptr, lookups.view(-1), table)


@in_float32
def embedding_sum_backward(grad: Tensor, codes: Tensor, offsets: Tensor, num_rows: int) -> Tensor:
    """The gradients of gbench/kernels/embedding_sum.py."""
    # Private tables should cost less than the rows that they are filled from.
    limit = max(1, min(16, codes.size(0) // max(1, num_rows)))
    chunks = count_chunks(codes.numel() * grad.size(1), limit)
    tables = grad.new_zeros(chunks, num_rows, grad.size(1))
    run(_backward, chunks, array(codes), array(offsets), array(grad), array(tables))
    return tables.sum(0) if chunks > 1 else tables[0]


@compiled
def _lookups(
    first: int, last: int, num_chunks: int, codes: Any, offsets: Any, size: int, lookups: Any
) -> int:
    """Table rows of all codes; 0, or 1 + the position of a code that is out of range."""
    num_rows, num_features = codes.shape
    for i in range(num_rows * first // num_chunks, num_rows * last // num_chunks):
        for k in range(num_features):
            end = offsets[k + 1] if k + 1 < num_features else size
            if uint64(codes[i, k]) >= uint64(end - offsets[k]):  # a negative code is a huge one
                return int(i * num_features + k + 1)
            lookups[i, k] = codes[i, k] + offsets[k]
    return 0


@compiled
def _backward(
    first: int, last: int, num_chunks: int, codes: Any, offsets: Any, grad: Any, tables: Any
) -> int:
    num_rows, num_features = codes.shape
    for chunk in range(first, last):
        table = tables[chunk]
        for i in range(num_rows * chunk // num_chunks, num_rows * (chunk + 1) // num_chunks):
            for k in range(num_features):
                row = uint64(codes[i, k]) + uint64(offsets[k])
                for f in range(grad.shape[1]):
                    table[row, f] += grad[i, f]
    return 0
