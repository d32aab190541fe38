"""CPU, numba: the walk of gine_aggregate, with a factor per entry and a relu on the node itself."""

from __future__ import annotations

from typing import Any

from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, in_float32, run


@in_float32
def gcn_bond_aggregate(
    rowptr: Tensor,
    col: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    root: Tensor,
) -> Tensor:
    """The forward of gbench/kernels/gcn_bond_aggregate.py."""
    out = x.new_empty(x.shape)
    bad = run(
        _forward,
        count_chunks((col.numel() + x.size(0)) * x.size(1)),
        array(rowptr),
        array(col),
        array(edge_code),
        array(_scale(rowptr_t, x)),
        array(x),
        array(table),
        array(root),
        array(out),
    )
    if bad:
        raise IndexError(
            f"edge_code[{bad - 1}] is {int(edge_code[bad - 1])}: the table has {table.size(0)} rows"
        )
    return out


@in_float32
def gcn_bond_aggregate_backward(
    grad: Tensor,
    rowptr_t: Tensor,
    col_t: Tensor,
    perm_t: Tensor,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    root: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_bond_aggregate.py."""
    # Private tables should cost less than the entries that they are filled from.
    limit = max(1, min(16, col_t.numel() // max(1, table.size(0))))
    chunks = count_chunks((col_t.numel() + x.size(0)) * x.size(1), limit)
    grad_x = x.new_empty(x.shape)
    tables = x.new_zeros(chunks, table.size(0) + 1, x.size(1))  # the last row is the root's
    run(
        _backward,
        chunks,
        array(rowptr_t),
        array(col_t),
        array(perm_t),
        array(edge_code),
        array(_scale(rowptr_t, x)),
        array(x),
        array(table),
        array(root),
        array(grad),
        array(grad_x),
        array(tables),
    )
    total = tables.sum(0)
    return grad_x, total[:-1].clone(), total[-1].clone()


def _scale(rowptr_t: Tensor, like: Tensor) -> Tensor:
    """d^-1/2 (N,)."""
    return (rowptr_t.diff() + 1).to(like.dtype).rsqrt_()


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    code: Any,
    scale: Any,
    x: Any,
    table: Any,
    root: Any,
    out: Any,
) -> int:
    """0, or 1 + the position of a code that is out of range."""
    zero = x.dtype.type(0)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        own = scale[i] * scale[i]
        for f in range(x.shape[1]):
            value = x[i, f] + root[f]
            out[i, f] = zero if value <= zero else own * value  # in this order a NaN stays one
        for e in range(rowptr[i], rowptr[i + 1]):
            j, c = uint64(col[e]), uint64(code[e])  # a negative code becomes a huge one
            if c >= uint64(table.shape[0]):
                return e + 1
            factor = scale[i] * scale[j]
            for f in range(x.shape[1]):
                value = x[j, f] + table[c, f]
                out[i, f] += zero if value <= zero else factor * value
    return 0


@compiled
def _backward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    code: Any,
    scale: Any,
    x: Any,
    table: Any,
    root: Any,
    grad: Any,
    grad_x: Any,
    tables: Any,
) -> int:
    zero = x.dtype.type(0)
    for chunk in range(first, last):
        grad_table = tables[chunk]
        grad_root = grad_table[-1]
        for j in range(
            chunk_start(rowptr_t, chunk, num_chunks), chunk_start(rowptr_t, chunk + 1, num_chunks)
        ):
            own = scale[j] * scale[j]
            for f in range(x.shape[1]):
                value = zero if x[j, f] + root[f] <= zero else own * grad[j, f]
                grad_x[j, f] = value
                grad_root[f] += value
            for t in range(rowptr_t[j], rowptr_t[j + 1]):
                i, c = uint64(col_t[t]), uint64(code[perm_t[t]])
                factor = scale[i] * scale[j]
                for f in range(x.shape[1]):
                    value = zero if x[j, f] + table[c, f] <= zero else factor * grad[i, f]
                    grad_x[j, f] += value
                    grad_table[c, f] += value
    return 0
