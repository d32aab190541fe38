"""CPU, numba: one walk over the rows forward; one of the rows and one of the transpose backward.

As in bonds.py a row of up to three entries, as an atom's, takes one walk over the features whose
sums stay in registers.
"""

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
from gbench.kernels.pna_aggregate import EPS


def pna_aggregate(
    graph: Graph, longest: int, x: Tensor, edge: Tensor | None, edge_code: Tensor | None
) -> Tensor:
    """The forward of gbench/kernels/pna_aggregate.py."""
    rowptr, col, *_ = graph
    if edge is not None and edge_code is not None and edge_code.numel():
        low, high = (int(end) for end in edge_code.aminmax())
        if low < 0 or high >= edge.size(0):
            bad = int(((edge_code < 0) | (edge_code >= edge.size(0))).nonzero()[0])
            raise IndexError(
                f"edge_code[{bad}] is {int(edge_code[bad])}: the table has {edge.size(0)} rows"
            )
    out = torch.empty(rowptr.numel() - 1, 4, x.size(1), dtype=x.dtype)
    chunks = count_chunks((col.numel() + 4 * out.size(0)) * x.size(1))
    run(_forward, chunks, array(rowptr), array(col), *_arrays(x, edge, edge_code), array(out))
    return out


def pna_aggregate_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    x: Tensor,
    edge: Tensor | None,
    edge_code: Tensor | None,
    out: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/pna_aggregate.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    given, width = _arrays(x, edge, edge_code), x.size(1)
    work = (col.numel() + 4 * out.size(0)) * width
    part, outs = torch.empty(out.shape, dtype=out.dtype), array(out)
    shares = (outs, array(grad), array(part))
    run(_shares, count_chunks(work), array(rowptr), array(col), *given, *shares)
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    grad_edge = x.new_empty(0)
    chunks, tables, rows = count_chunks(work), None, None
    if edge is not None and edge_code is not None:
        chunks = table_chunks(work, col.numel(), edge.size(0))
        tables = private_tables(chunks, edge.size(0), x)
    elif edge is not None:
        grad_edge = torch.empty(edge.shape, dtype=edge.dtype)
        rows = array(grad_edge)
    walk = (array(rowptr_t), array(col_t), array(perm_t))
    run(_collect, chunks, *walk, *given, outs, array(part), array(grad_x), tables, rows)
    return grad_x, grad_edge if tables is None else total_table(tables).to(x.dtype)


def _arrays(x: Tensor, edge: Tensor | None, edge_code: Tensor | None) -> tuple[Any, Any, Any]:
    return (
        array(x),
        None if edge is None else array(edge),
        None if edge_code is None else array(edge_code),
    )


@compiled
def _row(code: Any, entry: Any) -> Any:
    return uint64(entry) if code is None else uint64(code[entry])


@compiled
def _message(x: Any, edge: Any, j: Any, c: Any, f: Any) -> Any:
    return x[j, f] if edge is None else x[j, f] + edge[c, f]


@compiled
def _larger(value: Any, top: Any) -> Any:
    return value if (value > top) | (value != value) else top  # a NaN wins and then stays


@compiled
def _smaller(value: Any, low: Any) -> Any:
    return value if (value < low) | (value != value) else low


@compiled
def _put(
    out: Any, i: Any, f: Any, first: Any, once: Any, twice: Any, top: Any, low: Any, per: Any
) -> None:
    """`once` and `twice`: the sums of what is over `first`, and of its squares."""
    over = once * per
    variance = twice * per - over * over
    kind = type(first)
    variance = kind(0) if variance <= kind(0) else variance  # in this order a NaN stays one
    out[i, 0, f] = first + over
    out[i, 1, f] = top
    out[i, 2, f] = low
    out[i, 3, f] = math.sqrt(variance + kind(EPS))


@compiled
def _forward(
    begin_chunk: int,
    end_chunk: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    x: Any,
    edge: Any,
    code: Any,
    out: Any,
) -> int:
    width, kind = x.shape[1], x.dtype.type
    first, once, twice, top, low = numpy.empty((5, width), x.dtype)
    for i in range(
        chunk_start(rowptr, begin_chunk, num_chunks), chunk_start(rowptr, end_chunk, num_chunks)
    ):
        begin, end = rowptr[i], rowptr[i + 1]
        count = end - begin
        per = kind(1) / kind(max(1, count))
        if count == 0:
            out[i, :, :] = 0
        elif count == 1:
            j, c = uint64(col[begin]), _row(code, begin)
            for f in range(width):
                a = _message(x, edge, j, c, f)
                nothing = a - a  # 0, or NaN of what is none
                _put(out, i, f, a, nothing, nothing, a, a, per)
        elif count == 2:
            j, c = uint64(col[begin]), _row(code, begin)
            k, d = uint64(col[begin + 1]), _row(code, begin + 1)
            for f in range(width):
                a, b = _message(x, edge, j, c, f), _message(x, edge, k, d, f)
                over = b - a
                _put(out, i, f, a, over, over * over, _larger(b, a), _smaller(b, a), per)
        elif count == 3:
            j, c = uint64(col[begin]), _row(code, begin)
            k, d = uint64(col[begin + 1]), _row(code, begin + 1)
            m, e = uint64(col[begin + 2]), _row(code, begin + 2)
            for f in range(width):
                a, b = _message(x, edge, j, c, f), _message(x, edge, k, d, f)
                g = _message(x, edge, m, e, f)
                u, v = b - a, g - a
                most, least = _larger(g, _larger(b, a)), _smaller(g, _smaller(b, a))
                _put(out, i, f, a, u + v, u * u + v * v, most, least, per)
        else:
            j, c = uint64(col[begin]), _row(code, begin)
            for f in range(width):
                a = _message(x, edge, j, c, f)
                first[f] = a
                top[f] = a
                low[f] = a
                once[f] = 0
                twice[f] = 0
            for entry in range(begin + 1, end):
                j, c = uint64(col[entry]), _row(code, entry)
                for f in range(width):
                    a = _message(x, edge, j, c, f)
                    over = a - first[f]
                    once[f] += over
                    twice[f] += over * over
                    top[f] = _larger(a, top[f])
                    low[f] = _smaller(a, low[f])
            for f in range(width):
                _put(out, i, f, first[f], once[f], twice[f], top[f], low[f], per)
    return 0


@compiled
def _shares(
    begin_chunk: int,
    end_chunk: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    x: Any,
    edge: Any,
    code: Any,
    out: Any,
    grad: Any,
    part: Any,
) -> int:
    """What an entry of each row gets.

    Of the mean, of the maximum and the minimum where it attains them, and of the deviation for each
    unit that it is over the mean.
    """
    width, kind = x.shape[1], x.dtype.type
    most, least = numpy.empty((2, width), x.dtype)
    one, none = kind(1), kind(0)
    for i in range(
        chunk_start(rowptr, begin_chunk, num_chunks), chunk_start(rowptr, end_chunk, num_chunks)
    ):
        begin, end = rowptr[i], rowptr[i + 1]
        if begin == end:
            continue
        per = one / kind(end - begin)
        if end - begin == 1:
            for f in range(width):
                part[i, 0, f] = grad[i, 0, f]
                part[i, 1, f] = grad[i, 1, f]
                part[i, 2, f] = grad[i, 2, f]
                part[i, 3, f] = grad[i, 3, f] / out[i, 3, f]
            continue
        most[:] = 0
        least[:] = 0
        for entry in range(begin, end):
            j, c = uint64(col[entry]), _row(code, entry)
            for f in range(width):
                a = _message(x, edge, j, c, f)
                most[f] += one if a == out[i, 1, f] else none
                least[f] += one if a == out[i, 2, f] else none
        for f in range(width):
            part[i, 0, f] = grad[i, 0, f] * per
            part[i, 1, f] = grad[i, 1, f] / most[f]
            part[i, 2, f] = grad[i, 2, f] / least[f]
            part[i, 3, f] = grad[i, 3, f] * per / out[i, 3, f]
    return 0


@compiled
def _gradient(message: Any, out: Any, part: Any, i: Any, f: Any) -> Any:
    none = type(message)(0)
    total = part[i, 0, f] + part[i, 3, f] * (message - out[i, 0, f])
    total += part[i, 1, f] if message == out[i, 1, f] else none
    total += part[i, 2, f] if message == out[i, 2, f] else none
    return total


@compiled
def _collect(
    begin_chunk: int,
    end_chunk: int,
    num_chunks: int,
    rowptr_t: Any,
    col_t: Any,
    perm_t: Any,
    x: Any,
    edge: Any,
    code: Any,
    out: Any,
    part: Any,
    grad_x: Any,
    tables: Any,
    rows: Any,
) -> int:
    width = x.shape[1]
    total = numpy.empty(width, x.dtype)
    for chunk in range(begin_chunk, end_chunk):
        for j in range(
            chunk_start(rowptr_t, chunk, num_chunks), chunk_start(rowptr_t, chunk + 1, num_chunks)
        ):
            total[:] = 0
            for t in range(rowptr_t[j], rowptr_t[j + 1]):
                i, place = uint64(col_t[t]), uint64(perm_t[t])
                c = _row(code, place)
                if tables is not None:
                    for f in range(width):
                        one = _gradient(_message(x, edge, j, c, f), out, part, i, f)
                        tables[chunk, c, f] += one
                        total[f] += one
                elif rows is not None:
                    for f in range(width):
                        one = _gradient(_message(x, edge, j, c, f), out, part, i, f)
                        rows[place, f] = one
                        total[f] += one
                else:
                    for f in range(width):
                        total[f] += _gradient(_message(x, edge, j, c, f), out, part, i, f)
            for f in range(width):
                grad_x[j, f] = total[f]
    return 0
