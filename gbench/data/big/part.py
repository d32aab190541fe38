"""A part of one big graph, and the batch that is made of it.

The pattern of the graph stays on the CPU, where parts are cut by compiled code that holds no GIL;
features and labels are gathered wherever the store lies.

Legend: N nodes of the whole graph, M of a part, R those that it answers for, L layers, E entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.store import GraphStore
from gbench.data.transfer import on_device
from gbench.kernels.cpu.rows import compiled
from gbench.kernels.csr import CSR


class Part(NamedTuple):
    """Nodes of the whole graph and edges between them.

    Every layer of a model sees a graph of its own: its columns are the first of the part's nodes,
    the first of these are its rows, and its rows are the next layer's columns.

    Shapes: graphs L patterns, the first with M columns, the last with R rows; nodes (M,) int32;
    targets (T,) int64, those of the R rows whose labels may be read.
    """

    graphs: tuple[CSR, ...]
    nodes: Tensor
    targets: Tensor


class Pattern:
    """Which nodes send to which in the whole graph, on the CPU.

    Shapes: rowptr (N + 1,), col (E,) int32, as in `CSR`, whose `longest` bounds any part's rows.
    """

    def __init__(self, store: GraphStore) -> None:
        graph = store.whole().graph
        self.rowptr, self.col, self.longest = graph.rowptr, graph.col, graph.longest
        self._free: list[Any] = []

    @property
    def num_nodes(self) -> int:
        return self.rowptr.numel() - 1

    @contextmanager
    def places(self) -> Iterator[Any]:
        """N times -1: each thread's own, to write places of nodes into and to leave as it was."""
        try:
            taken = self._free.pop()
        except IndexError:
            taken = np.full(self.num_nodes, -1, dtype=np.int32)
        yield taken
        self._free.append(taken)


def with_transpose(rowptr: Any, col: Any, num_cols: int, longest: int | None) -> CSR:
    """The pattern with these sorted rows, all numpy arrays, and the bound of their lengths."""
    transpose = _transposed(rowptr, col, num_cols)
    return CSR(*map(torch.from_numpy, (rowptr, col, *transpose)), longest=longest)


def batch_of(store: GraphStore, part: Part) -> Batch:
    """The batch of a part, where the store is, with the degrees of its nodes in the whole graph.

    Only targets have a label: others have -1 or NaN, which no loss takes for one.
    """
    graphs, nodes, targets = on_device(part, store.device)
    rows = nodes[: graphs[-1].num_rows]
    none = torch.nan if store.y.is_floating_point() else -1
    y = store.y.new_full((rows.numel(), *store.y.shape[1:]), none)
    y[targets] = store.y[rows[targets]]
    taught = None if store.teacher is None else store.teacher.index_select(0, rows)
    pe, numbers = (
        None if values is None else values.index_select(0, nodes)
        for values in (store.pe, store.x_numbers)
    )
    return Batch(
        graphs[0],
        store.x.index_select(0, nodes),
        y,
        torch.arange(2, dtype=torch.int32, device=store.device) * nodes.numel(),
        targets=targets,
        pe=pe,
        graphs=graphs,
        degree=store.in_degree.index_select(0, nodes),
        x_numbers=numbers,
        teacher=taught,
    )


@compiled
def _transposed(rowptr: Any, col: Any, num_cols: int) -> tuple[Any, Any, Any]:
    """rowptr_t, col_t and perm_t of `CSR` by counting: 10 ns per entry where a sort takes 100."""
    rowptr_t = np.zeros(num_cols + 1, np.int32)
    for e in range(len(col)):
        rowptr_t[col[e] + 1] += 1
    for j in range(num_cols):
        rowptr_t[j + 1] += rowptr_t[j]
    following = rowptr_t[:-1].copy()
    col_t, perm_t = np.empty(len(col), np.int32), np.empty(len(col), np.int32)
    for i in range(len(rowptr) - 1):
        for e in range(rowptr[i], rowptr[i + 1]):
            place = following[col[e]]
            following[col[e]] += 1
            col_t[place], perm_t[place] = i, e
    return rowptr_t, col_t, perm_t
