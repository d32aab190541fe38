"""CPU, numba: panel by panel (panels.py), all hops of one before the next is begun."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from numba import uint64
from torch import Tensor

from gbench.kernels.cpu.panels import inverse_root, pack
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.cpu.vectors import load, row, store, zero
from gbench.kernels.csr import Graph
from gbench.kernels.panel_width import panel_width


def teleport_propagate(
    graph: Graph, longest: int, x: Tensor, home: Tensor | None, alpha: float, hops: int
) -> Tensor:
    """The forward of gbench/kernels/teleport_propagate.py."""
    rowptr, col, *_ = graph
    arrays = (array(rowptr), array(rowptr), array(col))
    if home is None:
        return _walk(*arrays, x, x, alpha, alpha, hops)
    return _walk(*arrays, x, home, alpha, 1.0, hops)


def teleport_propagate_backward(
    grad: Tensor, graph: Graph, longest: int, alpha: float, hops: int, returns: bool
) -> Tensor:
    """The gradient of gbench/kernels/teleport_propagate.py: the transpose, the same degrees."""
    rowptr, _, rowptr_t, col_t, *_ = graph
    home = grad if returns else None
    return _walk(array(rowptr), array(rowptr_t), array(col_t), grad, home, alpha, alpha, hops)


def _walk(
    own: Any,
    rowptr: Any,
    col: Any,
    x: Tensor,
    home: Tensor | None,
    alpha: float,
    share: float,
    hops: int,
) -> Tensor:
    """Each hop adds `share` times home."""
    out = unset(x.shape, x.dtype)
    lanes = (0,) * panel_width(x.size(1))
    num_panels = -(-x.size(1) // len(lanes))
    work = (len(col) + x.size(0)) * x.size(1) * hops
    chunks, threads = count_chunks(work), torch.get_num_threads()
    ends = (array(x), None if home is None else array(home), alpha, share, array(out), hops)
    if num_panels >= threads or chunks == 1:
        run(_panels, min(chunks, num_panels), lanes, own, rowptr, col, *ends)
        return out
    scale = inverse_root(own, ends[0])
    panels = numpy.empty((min(hops, 2), len(scale), len(lanes)), scale.dtype)
    for column in range(0, x.size(1), len(lanes)):
        for step in range(hops + 1):  # after each all threads meet
            run(_step, chunks, lanes, rowptr, col, scale, *ends, panels, column, step)
    return out


@compiled
def _panels(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    own: Any,
    rowptr: Any,
    col: Any,
    x: Any,
    home: Any,
    alpha: float,
    share: float,
    out: Any,
    hops: int,
) -> int:
    """All hops of a chunk of the panels."""
    scale = inverse_root(own, x)
    panels = numpy.empty((min(hops, 2), len(scale), len(lanes)), scale.dtype)
    count = (x.shape[1] + len(lanes) - 1) // len(lanes)
    for panel in range(count * first // num_chunks, count * last // num_chunks):
        column = panel * len(lanes)
        for step in range(hops + 1):
            given = (lanes, rowptr, col, scale, x, home, alpha, share)
            _step(0, 1, 1, *given, out, hops, panels, column, step)
    return 0


@compiled
def _step(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    rowptr: Any,
    col: Any,
    scale: Any,
    x: Any,
    home: Any,
    alpha: float,
    share: float,
    out: Any,
    hops: int,
    panels: Any,
    column: int,
    step: int,
) -> int:
    """One step of a chunk of the rows of a panel: step 0 copies x, the last one writes `out`."""
    begin, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    source, target = panels[(step - 1) % len(panels)], panels[step % len(panels)]
    given = (lanes, begin, end, rowptr, col, scale, source, home, column, alpha, share)
    if step == 0:
        pack(lanes, begin, end, x, column, scale, target)
    elif step < hops:
        _hop(*given, True, target, 0)
    else:
        _hop(*given, False, out, column)
    return 0


@compiled
def _hop(
    lanes: Any,
    begin: int,
    end: int,
    rowptr: Any,
    col: Any,
    scale: Any,
    panel: Any,
    home: Any,
    column: int,
    alpha: float,
    share: float,
    is_between: bool,
    out: Any,
    place: int,
) -> None:
    """(1 - α) D^-1/2 times a row and the rows that the graph names, plus home's share, to `out`.

    Between two hops that is scaled by D^-1/2 once more: see panels.py, also for the unsigned
    indices and the two sums.
    """
    one, two = uint64(1), uint64(2)
    back = scale.dtype.type(share)
    on = scale.dtype.type(1 - alpha)
    e = uint64(rowptr[begin])
    for i in range(uint64(begin), uint64(end)):
        even, odd = row(lanes, panel, i), zero(lanes, panel)
        last = uint64(rowptr[i + one])
        while e + one < last:
            even += row(lanes, panel, col[e])
            odd += row(lanes, panel, col[e + one])
            e += two
        if e < last:
            even += row(lanes, panel, col[e])
            e += one
        total = (even + odd) * (on * scale[i])
        if home is not None:
            total += load(lanes, home, i, column) * back
        if is_between:
            total = total * scale[i]
        store(total, out, i, place)
