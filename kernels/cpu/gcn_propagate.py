"""CPU, numba: panel by panel (panels.py), all hops of one before the next is begun."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from gbench.kernels.cpu.dropout import dropout
from gbench.kernels.cpu.panels import hop, inverse_root, pack
from gbench.kernels.cpu.rows import array, chunk_start, compiled, count_chunks, run, unset
from gbench.kernels.csr import Graph
from gbench.kernels.gcn_propagate import before_all
from gbench.kernels.panel_width import panel_width


def gcn_propagate(
    graph: Graph,
    longest: int,
    x: Tensor,
    bias: Tensor | None,
    seed: Tensor | None,
    hops: int,
    relu: bool,
    rate: float,
) -> Tensor:
    """The forward of gbench/kernels/gcn_propagate.py."""
    rowptr, col, *_ = graph
    biases = bias if bias is None else array(bias).reshape(1, -1)
    out = _propagate(array(rowptr), array(rowptr), array(col), x, biases, hops, relu)
    return out if seed is None else dropout(out, seed, rate)


def gcn_propagate_backward(
    grad: Tensor,
    out: Tensor | None,
    seed: Tensor | None,
    graph: Graph,
    longest: int,
    hops: int,
    rate: float,
    has_bias: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of gbench/kernels/gcn_propagate.py: the transpose, with the same degrees.

    A panel has read its columns before it writes them: what is this function's own is overwritten.
    """
    rowptr, _, rowptr_t, col_t, *_ = graph
    before = before_all(grad, out, seed, rate)
    grad_bias = before.sum(0) if has_bias else before.new_empty(0)
    place = before if before is not grad and before.is_contiguous() else None
    walk = (array(rowptr), array(rowptr_t), array(col_t))
    return _propagate(*walk, before, None, hops, False, place), grad_bias


def _propagate(
    own: Any,
    rowptr: Any,
    col: Any,
    x: Tensor,
    bias: Any,
    hops: int,
    relu: bool,
    out: Tensor | None = None,
) -> Tensor:
    out = unset(x.shape, x.dtype) if out is None else out
    lanes = panel_width(x.size(1))
    num_panels = -(-x.size(1) // lanes)
    work = (len(col) + x.size(0)) * x.size(1) * hops
    chunks, threads = count_chunks(work), torch.get_num_threads()
    ends = (array(x), bias, relu, array(out), hops)
    if num_panels >= threads or chunks == 1:
        run(_panels, min(chunks, num_panels), (0,) * lanes, own, rowptr, col, *ends)
        return out
    scale = inverse_root(own, ends[0])
    scales = (scale, scale * scale)
    panels = numpy.empty((min(hops, 2), len(scale), lanes), scale.dtype)
    for column in range(0, x.size(1), lanes):
        for step in range(hops + 1):  # after each all threads meet
            run(_step, chunks, (0,) * lanes, rowptr, col, scales, *ends, panels, column, step)
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
    bias: Any,
    is_relu: bool,
    out: Any,
    hops: int,
) -> int:
    """All hops of a chunk of the panels."""
    scale = inverse_root(own, x)
    scales = (scale, scale * scale)
    panels = numpy.empty((min(hops, 2), len(scale), len(lanes)), scale.dtype)
    count = (x.shape[1] + len(lanes) - 1) // len(lanes)
    for panel in range(count * first // num_chunks, count * last // num_chunks):
        column = panel * len(lanes)
        for step in range(hops + 1):
            given = (lanes, rowptr, col, scales, x, bias, is_relu, out, hops, panels, column, step)
            _step(0, 1, 1, *given)
    return 0


@compiled
def _step(
    first: int,
    last: int,
    num_chunks: int,
    lanes: Any,
    rowptr: Any,
    col: Any,
    scales: Any,
    x: Any,
    bias: Any,
    is_relu: bool,
    out: Any,
    hops: int,
    panels: Any,
    column: int,
    step: int,
) -> int:
    """One step of a chunk of the rows of a panel: step 0 copies x, the last one writes `out`."""
    begin, end = chunk_start(rowptr, first, num_chunks), chunk_start(rowptr, last, num_chunks)
    scale, between = scales
    source, target = panels[(step - 1) % len(panels)], panels[step % len(panels)]
    if step == 0:
        pack(lanes, begin, end, x, column, scale, target)
    elif step < hops:
        hop(lanes, begin, end, rowptr, col, between, source, None, False, target, 0)
    else:
        hop(lanes, begin, end, rowptr, col, scale, source, bias, is_relu, out, column)
    return 0
