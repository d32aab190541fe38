"""Peers of `gat_attention`: scores, their softmax and the sum of a layer of GAT, without dropout.

Bytes forward: the rows of x that have to come from memory, y written, an index per entry and the
nodes' scores. Backward three times as much.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import library
from gbench.kernels.gat_attention import gat_attention, reference


def case(workload: Workload, heads: int, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """Attention with this many heads, each of this width."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "x": normal(graph.num_rows, heads, width, device=device, dtype=dtype),
        "own": normal(heads, width, device=device, dtype=dtype),
        "other": normal(heads, width, device=device, dtype=dtype),
    }

    def exact(x: Tensor, own: Tensor, other: Tensor) -> Tensor:
        return reference(graph, x, own, other, None, 0.0)

    def ours(x: Tensor, own: Tensor, other: Tensor) -> Tensor:
        if not library.has_kernel("gat_attention", x):
            return exact(x, own, other)
        return gat_attention(graph, x, own, other)

    row = heads * width * dtype.itemsize
    forward = (workload.rows_read() + 2 * graph.num_rows) * row
    forward += graph.num_entries * (4 + heads * dtype.itemsize)
    return plain.case(ours, exact, values, (forward, 4 * forward), dtype)


def _plan(workload: str, heads: int, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    build = partial(case, heads=heads, width=width, dtype=dtype)
    return Plan(workload, f"H={heads} D={width}{word(dtype)}", build)


PLANS = (_plan("cora-sized", 8, 8),)
VARIANTS = (
    _plan("cora-sized", 8, 8, torch.bfloat16),
    *(_plan("cora-sized", 1, width) for width in (7, 64)),
    _plan("molhiv-512", 4, 75),
    _plan("power-law-100k", 8, 8),
)
