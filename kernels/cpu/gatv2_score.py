"""CPU, numba: a walk over the rows forward; one of the rows and one of the transpose backward."""

from __future__ import annotations

from typing import Any

import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run
from gbench.kernels.csr import Graph
from gbench.kernels.gatv2_score import SLOPE, gradients


def gatv2_score(
    graph: Graph, longest: int, query: Tensor, key: Tensor, weight: Tensor, edge: Tensor | None
) -> Tensor:
    """The forward of gbench/kernels/gatv2_score.py."""
    rowptr, col, *_ = graph
    out = torch.empty(col.numel(), query.size(1), dtype=query.dtype)
    given = (array(query), array(key), array(weight), None if edge is None else array(edge))
    run(_scores, _chunks(col, query), array(rowptr), array(col), *given, array(out))
    return out


def gatv2_score_backward(
    grad: Tensor,
    graph: Graph,
    longest: int,
    query: Tensor,
    key: Tensor,
    weight: Tensor,
    edge: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of gbench/kernels/gatv2_score.py."""
    rowptr, col, rowptr_t, col_t, perm_t = graph
    of_rows, of_columns = (torch.empty(x.shape, dtype=x.dtype) for x in (query, key))
    of_entries = query.new_empty(0 if edge is None else edge.shape)
    chunks, grads = _chunks(col, query), array(grad)
    rows, columns = array(query), array(key)
    edges, entries = (None, None) if edge is None else (array(edge), array(of_entries))
    walk = (array(rowptr), array(col), None, rows, columns, edges, grads)
    run(_sums, chunks, *walk, array(of_rows), entries)
    walk = (array(rowptr_t), array(col_t), array(perm_t), columns, rows, edges, grads)
    run(_sums, chunks, *walk, array(of_columns), None)
    return gradients(query, key, weight, edge, (of_rows, of_columns, of_entries))


def _chunks(col: Tensor, query: Tensor) -> int:
    return count_chunks(col.numel() * query.size(1) * query.size(2))


@compiled
def _scores(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    query: Any,
    key: Any,
    weight: Any,
    edge: Any,
    out: Any,
) -> int:
    _, heads, width = query.shape
    slope = query.dtype.type(SLOPE)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        for e in range(rowptr[i], rowptr[i + 1]):
            j = uint64(col[e])
            for h in range(heads):
                total = query.dtype.type(0)
                for f in range(width):
                    z = query[i, h, f] + key[j, h, f]
                    if edge is not None:
                        z += edge[e, h, f]
                    total += weight[h, f] * (slope * z if z <= 0 else z)
                out[e, h] = total
    return 0


@compiled
def _sums(
    first: int,
    last: int,
    num_chunks: int,
    rowptr: Any,
    col: Any,
    perm: Any,
    mine: Any,
    others: Any,
    edge: Any,
    grad: Any,
    out: Any,
    of_entries: Any,
) -> int:
    """Σ t over each row's entries; t of each entry goes to `of_entries` where there is such."""
    _, heads, width = mine.shape
    slope = mine.dtype.type(SLOPE)
    for i in range(chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)):
        out[i] = 0
        for at in range(rowptr[i], rowptr[i + 1]):
            j = uint64(col[at])
            e = uint64(at if perm is None else perm[at])
            for h in range(heads):
                above = grad[e, h]
                below = slope * above
                for f in range(width):
                    z = mine[i, h, f] + others[j, h, f]
                    if edge is not None:
                        z += edge[e, h, f]
                    t = below if z <= 0 else above
                    out[i, h, f] += t
                    if of_entries is not None:
                        of_entries[e, h, f] = t
    return 0
