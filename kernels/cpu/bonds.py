"""The walks of gine_aggregate and gcn_bond_aggregate: messages relu(x_j + table[code_ji]).

    gine  y_i = (1 + ε) x_i + Σ relu(x_j + bond)              no scale, no root, factor 1 + ε
    gcn   y_i = s_i (s_i relu(x_i + root) + Σ s_j relu(x_j + bond))         scale_i = d_i^-1/2

Rows are outside and features inside, so that every inner loop is a vector loop. An atom has 2.1
bonds: a row of up to three entries takes one walk over the features, which keeps its sum in a
register (0.7 of the time of a walk per entry), and backward entries of the same code, five pairs of
six, are added before they pass the relu and go to the table.

Indices are cast to unsigned before they index, which spares numba's test for negative ones: with it
the inner loop stays scalar and takes 1.6 to 2.3 times as long.
"""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.bfloat16 import narrow, scratch, widen, zero_of
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run
from gbench.kernels.cpu.tables import private_tables, table_chunks, total_table
from gbench.kernels.csr import Graph


def aggregate(
    graph: Graph, x: Tensor, table: Tensor, edge_code: Tensor, scale: Any, root: Any, factor: float
) -> Tensor:
    """The forward (N, D), of a scale (N,) and a root (D,) that may be None."""
    rowptr, col, *_ = graph
    out = torch.empty(x.shape, dtype=x.dtype)
    chunks = count_chunks((col.numel() + x.size(0)) * x.size(1))
    walk = (array(rowptr), array(col), array(edge_code), scale)
    bad = run(_forward, chunks, *walk, array(x), array(table), root, factor, array(out))
    if bad:
        raise IndexError(
            f"edge_code[{bad - 1}] is {int(edge_code[bad - 1])}: the table has {table.size(0)} rows"
        )
    return out


def gradients(
    grad: Tensor,
    graph: Graph,
    x: Tensor,
    table: Tensor,
    edge_code: Tensor,
    scale: Any,
    root: Any,
    factor: float,
) -> tuple[Tensor, Tensor]:
    """The gradients of x and of the table; its last row is the root's, or by feature that of ε."""
    *_, rowptr_t, col_t, perm_t = graph
    work = (col_t.numel() + x.size(0)) * x.size(1)
    chunks = table_chunks(work, col_t.numel(), table.size(0))
    grad_x = torch.empty(x.shape, dtype=x.dtype)
    tables = private_tables(chunks, table.size(0) + 1, x)
    walk = (array(rowptr_t), array(col_t), array(perm_t), array(edge_code), scale)
    given = (array(x), array(table), root, factor, array(grad), array(grad_x), tables)
    run(_backward, chunks, *walk, *given)
    return grad_x, total_table(tables)


@compiled
def _bad_code(code: Any, begin: int, end: int, num_codes: int) -> int:
    """0, or 1 + the position of the first code in begin..end - 1 that is out of range."""
    largest = uint64(0)
    for e in range(begin, end):
        largest = max(largest, uint64(code[e]))  # a negative code becomes a huge one
    if begin < end and largest >= uint64(num_codes):
        for e in range(begin, end):
            if uint64(code[e]) >= uint64(num_codes):
                return e + 1
    return 0


@compiled
def _message(x: Any, bond: Any, zero: Any) -> Any:
    value = widen(x) + widen(bond)
    return zero if value <= zero else value  # in this order a NaN stays one


@compiled
def _returned(x: Any, bond: Any, grad: Any, zero: Any) -> Any:
    """What the relu lets through of a message's gradient."""
    return zero if widen(x) + widen(bond) <= zero else grad


@compiled
def _at(scale: Any, i: Any, zero: Any) -> Any:
    return type(zero)(1) if scale is None else scale[i]


@compiled
def _own(x: Any, root: Any, f: int, factor: Any, zero: Any) -> Any:
    if root is None:
        return factor * widen(x)
    return factor * _message(x, root[f], zero)


@compiled
def _own_grad(x: Any, root: Any, f: int, grad: Any, factor: Any, zero: Any) -> Any:
    if root is None:
        return factor * widen(grad)
    return _returned(x, root[f], factor * widen(grad), zero)


@compiled
def _last_grad(x: Any, root: Any, grad: Any, own: Any, outer: Any) -> Any:
    """One element's part in the gradient of ε or of the root."""
    return widen(grad) * widen(x) if root is None else outer * own


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
    factor: float,
    out: Any,
) -> int:
    """0, or 1 + the position of a code that is out of range."""
    begin, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    bad = _bad_code(code, rowptr[begin], rowptr[end], table.shape[0])
    if bad:
        return int(bad)
    width, zero, row = x.shape[1], zero_of(x), scratch(x, x.shape[1])
    for i in range(begin, end):
        outer = _at(scale, i, zero)
        inner = type(zero)(factor) * outer
        e, count = rowptr[i], rowptr[i + 1] - rowptr[i]
        if count == 1:
            j, c = uint64(col[e]), uint64(code[e])
            u = _at(scale, j, zero)
            for f in range(width):
                total = _own(x[i, f], root, f, inner, zero)
                total += u * _message(x[j, f], table[c, f], zero)
                out[i, f] = narrow(outer * total, out)
        elif count == 2:
            j, c = uint64(col[e]), uint64(code[e])
            k, d = uint64(col[e + 1]), uint64(code[e + 1])
            u, v = _at(scale, j, zero), _at(scale, k, zero)
            for f in range(width):
                total = _own(x[i, f], root, f, inner, zero)
                total += u * _message(x[j, f], table[c, f], zero)
                total += v * _message(x[k, f], table[d, f], zero)
                out[i, f] = narrow(outer * total, out)
        elif count == 3:
            j, c = uint64(col[e]), uint64(code[e])
            k, d = uint64(col[e + 1]), uint64(code[e + 1])
            m, b = uint64(col[e + 2]), uint64(code[e + 2])
            u, v, w = _at(scale, j, zero), _at(scale, k, zero), _at(scale, m, zero)
            for f in range(width):
                total = _own(x[i, f], root, f, inner, zero)
                total += u * _message(x[j, f], table[c, f], zero)
                total += v * _message(x[k, f], table[d, f], zero)
                total += w * _message(x[m, f], table[b, f], zero)
                out[i, f] = narrow(outer * total, out)
        else:
            for f in range(width):
                row[f] = _own(x[i, f], root, f, inner, zero)
            for t in range(e, e + count):
                j, c = uint64(col[t]), uint64(code[t])
                u = _at(scale, j, zero)
                for f in range(width):
                    row[f] += u * _message(x[j, f], table[c, f], zero)
            for f in range(width):
                out[i, f] = narrow(outer * row[f], out)
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
    factor: float,
    grad: Any,
    grad_x: Any,
    tables: Any,
) -> int:
    """The last row of each table in `tables` is the gradient of the root, or of ε feature-wise."""
    width, zero, row = x.shape[1], zero_of(x), scratch(x, x.shape[1])
    for chunk in range(first, last):
        codes, lasts = tables[chunk, :-1], tables[chunk, -1]
        for j in range(
            chunk_start(rowptr_t, chunk, num_chunks), chunk_start(rowptr_t, chunk + 1, num_chunks)
        ):
            outer = _at(scale, j, zero)
            inner = type(zero)(factor) * outer
            t, count = rowptr_t[j], rowptr_t[j + 1] - rowptr_t[j]
            i, k, m = uint64(0), uint64(0), uint64(0)
            c, d, b = uint64(0), uint64(1), uint64(2)
            if 0 < count <= 3:
                i, c = uint64(col_t[t]), uint64(code[perm_t[t]])
            if 2 <= count <= 3:
                k, d = uint64(col_t[t + 1]), uint64(code[perm_t[t + 1]])
            if count == 3:
                m, b = uint64(col_t[t + 2]), uint64(code[perm_t[t + 2]])
                if c == b:  # the entries of the same code first
                    k, d, m, b = m, b, k, d
                elif d == b:
                    i, c, m, b = m, b, i, c
            u, v, w = _at(scale, i, zero), _at(scale, k, zero), _at(scale, m, zero)
            if count == 1:
                for f in range(width):
                    one = _returned(x[j, f], table[c, f], u * widen(grad[i, f]), zero)
                    codes[c, f] += outer * one
                    own = _own_grad(x[j, f], root, f, grad[j, f], inner, zero)
                    lasts[f] += _last_grad(x[j, f], root, grad[j, f], own, outer)
                    grad_x[j, f] = narrow(outer * (own + one), grad_x)
            elif count == 2 and c == d:
                for f in range(width):
                    both = u * widen(grad[i, f]) + v * widen(grad[k, f])
                    both = _returned(x[j, f], table[c, f], both, zero)
                    codes[c, f] += outer * both
                    own = _own_grad(x[j, f], root, f, grad[j, f], inner, zero)
                    lasts[f] += _last_grad(x[j, f], root, grad[j, f], own, outer)
                    grad_x[j, f] = narrow(outer * (own + both), grad_x)
            elif count == 2:
                for f in range(width):
                    one = _returned(x[j, f], table[c, f], u * widen(grad[i, f]), zero)
                    two = _returned(x[j, f], table[d, f], v * widen(grad[k, f]), zero)
                    codes[c, f] += outer * one
                    codes[d, f] += outer * two
                    own = _own_grad(x[j, f], root, f, grad[j, f], inner, zero)
                    lasts[f] += _last_grad(x[j, f], root, grad[j, f], own, outer)
                    grad_x[j, f] = narrow(outer * (own + one + two), grad_x)
            elif c == d and c == b:
                for f in range(width):
                    three = u * widen(grad[i, f]) + v * widen(grad[k, f]) + w * widen(grad[m, f])
                    three = _returned(x[j, f], table[c, f], three, zero)
                    codes[c, f] += outer * three
                    own = _own_grad(x[j, f], root, f, grad[j, f], inner, zero)
                    lasts[f] += _last_grad(x[j, f], root, grad[j, f], own, outer)
                    grad_x[j, f] = narrow(outer * (own + three), grad_x)
            elif c == d:
                for f in range(width):
                    both = u * widen(grad[i, f]) + v * widen(grad[k, f])
                    both = _returned(x[j, f], table[c, f], both, zero)
                    one = _returned(x[j, f], table[b, f], w * widen(grad[m, f]), zero)
                    codes[c, f] += outer * both
                    codes[b, f] += outer * one
                    own = _own_grad(x[j, f], root, f, grad[j, f], inner, zero)
                    lasts[f] += _last_grad(x[j, f], root, grad[j, f], own, outer)
                    grad_x[j, f] = narrow(outer * (own + both + one), grad_x)
            else:
                for f in range(width):
                    own = _own_grad(x[j, f], root, f, grad[j, f], inner, zero)
                    lasts[f] += _last_grad(x[j, f], root, grad[j, f], own, outer)
                    row[f] = own
                for s in range(t, t + count):
                    i, c = uint64(col_t[s]), uint64(code[perm_t[s]])
                    u = _at(scale, i, zero)
                    for f in range(width):
                        one = _returned(x[j, f], table[c, f], u * widen(grad[i, f]), zero)
                        codes[c, f] += outer * one
                        row[f] += one
                for f in range(width):
                    grad_x[j, f] = narrow(outer * row[f], grad_x)
    return 0
