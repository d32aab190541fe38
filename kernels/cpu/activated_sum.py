"""CPU, numba: one walk over the rows forward; one of the rows and one of the transpose backward."""

from __future__ import annotations

import math
from typing import Any

import numpy
import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run
from gbench.kernels.cpu.tables import private_tables, table_chunks, total_table
from gbench.kernels.csr import Graph


def activated_sum(
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    scale: Tensor | None,
    act: str,
    slope: float,
) -> Tensor:
    """The forward of gbench/kernels/activated_sum.py."""
    rowptr, col, *_ = graph
    if edge is not None and edge_code is not None and edge_code.numel():
        low, high = (int(end) for end in edge_code.aminmax())
        if low < 0 or high >= edge.size(0):
            bad = int(((edge_code < 0) | (edge_code >= edge.size(0))).nonzero()[0])
            raise IndexError(
                f"edge_code[{bad}] is {int(edge_code[bad])}: the table has {edge.size(0)} rows"
            )
    out = torch.empty(query.shape, dtype=query.dtype)
    given = _arrays(query, key, edge, edge_code, scale)
    chunks = count_chunks(_work(col, query, act))
    run(_forward, chunks, array(rowptr), array(col), *given, _gelu(act), slope, array(out))
    return out


def activated_sum_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    scale: Tensor | None,
    act: str,
    slope: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/activated_sum.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    given = (*_arrays(query, key, edge, edge_code, scale), _gelu(act), slope, array(grad))
    work = _work(col, query, act)
    grad_query, grad_key = (torch.empty(x.shape, dtype=x.dtype) for x in (query, key))
    grad_edge, rows, tables, chunks = query.new_empty(0), None, None, count_chunks(work)
    if edge is not None and edge_code is None:
        grad_edge = torch.empty(edge.shape, dtype=edge.dtype)
        rows = array(grad_edge)
    run(_rows, chunks, array(rowptr), array(col), *given, array(grad_query), rows)
    if edge is not None and edge_code is not None:
        chunks = table_chunks(work, col.numel(), edge.size(0))
        tables = private_tables(chunks, edge.size(0), query)
    walk = (array(rowptr_t), array(col_t), array(perm_t))
    run(_columns, chunks, *walk, *given, array(grad_key), tables)
    if tables is not None:
        grad_edge = total_table(tables).to(query.dtype)
    return grad_query, grad_key, grad_edge


def _arrays(*tensors: Tensor | None) -> tuple[Any, ...]:
    return tuple(None if tensor is None else array(tensor) for tensor in tensors)


def _gelu(act: str) -> Any:
    """None, by whose type numba leaves out the other branch, for a ReLU."""
    return True if act == "gelu" else None


def _work(col: Tensor, query: Tensor, act: str) -> int:
    return (col.numel() * (16 if act == "gelu" else 1) + query.size(0)) * query.size(1)


@compiled
def _row(code: Any, entry: Any) -> Any:
    return uint64(entry) if code is None else uint64(code[entry])


@compiled
def _inside(query: Any, key: Any, edge: Any, i: Any, j: Any, c: Any, f: Any) -> Any:
    both = query[i, f] + key[j, f]
    return both if edge is None else both + edge[c, f]


@compiled
def _factor(scale: Any, j: Any, one: Any) -> Any:
    return one if scale is None else scale[j]


@compiled
def _act(z: Any, gelu: Any, slope: Any) -> Any:
    kind = type(z)
    if gelu is None:
        return slope * z if z <= kind(0) else z
    return z * kind(0.5) * (kind(1) + kind(math.erf(z * kind(math.sqrt(0.5)))))


@compiled
def _rise(z: Any, gelu: Any, slope: Any) -> Any:
    """The activation's slope at z."""
    kind = type(z)
    if gelu is None:
        return slope if z <= kind(0) else kind(1)
    below = kind(0.5) * (kind(1) + kind(math.erf(z * kind(math.sqrt(0.5)))))
    bell = kind(math.exp(kind(-0.5) * z * z)) * kind(1 / math.sqrt(2 * math.pi))
    return below + z * bell


@compiled
def _forward(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    query: Any,
    key: Any,
    edge: Any,
    code: Any,
    scale: Any,
    gelu: Any,
    slope: float,
    out: Any,
) -> int:
    width, kind = query.shape[1], query.dtype.type
    total = numpy.empty(width, query.dtype)
    below, one = kind(slope), kind(1)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        total[:] = 0
        for entry in range(rowptr[i], rowptr[i + 1]):
            j, c = uint64(col[entry]), _row(code, entry)
            factor = _factor(scale, j, one)
            for f in range(width):
                z = _inside(query, key, edge, i, j, c, f)
                total[f] += factor * _act(z, gelu, below)
        for f in range(width):
            out[i, f] = total[f]
    return 0


@compiled
def _rows(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    query: Any,
    key: Any,
    edge: Any,
    code: Any,
    scale: Any,
    gelu: Any,
    slope: float,
    grad: Any,
    grad_query: Any,
    grad_rows: Any,
) -> int:
    """The gradients of the receivers and of a row for each entry."""
    width, kind = query.shape[1], query.dtype.type
    total = numpy.empty(width, query.dtype)
    below, one = kind(slope), kind(1)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        total[:] = 0
        for entry in range(rowptr[i], rowptr[i + 1]):
            j, c = uint64(col[entry]), _row(code, entry)
            factor = _factor(scale, j, one)
            for f in range(width):
                z = _inside(query, key, edge, i, j, c, f)
                part = factor * _rise(z, gelu, below) * grad[i, f]
                if grad_rows is not None:
                    grad_rows[entry, f] = part
                total[f] += part
        for f in range(width):
            grad_query[i, f] = total[f]
    return 0


@compiled
def _columns(
    first: int,
    last: int,
    num_chunks: int,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    query: Any,
    key: Any,
    edge: Any,
    code: Any,
    scale: Any,
    gelu: Any,
    slope: float,
    grad: Any,
    grad_key: Any,
    tables: Any,
) -> int:
    """The gradients of the senders and of a table."""
    width, kind = key.shape[1], key.dtype.type
    total = numpy.empty(width, key.dtype)
    below, one = kind(slope), kind(1)
    for chunk in range(first, last):
        for j in range(
            chunk_start(rowptr_t, chunk, num_chunks), chunk_start(rowptr_t, chunk + 1, num_chunks)
        ):
            total[:] = 0
            factor = _factor(scale, j, one)
            for t in range(rowptr_t[j], rowptr_t[j + 1]):
                i, c = uint64(col_t[t]), _row(code, perm_t[t])
                for f in range(width):
                    z = _inside(query, key, edge, i, j, c, f)
                    part = factor * _rise(z, gelu, below) * grad[i, f]
                    if tables is not None:
                        tables[chunk, c, f] += part
                    total[f] += part
            for f in range(width):
                grad_key[j, f] = total[f]
    return 0
