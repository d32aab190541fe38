"""Peers of `gcn_gated_sum`: DAGNN's K hops with a gate per node and hop, over its class scores.

Bytes per hop: the rows of x that have to come from memory, y written, an index per entry. Backward
is the same over the transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.ops.gcn_propagate import HOPS, Hop
from gbench.bench.workloads import Workload
from gbench.kernels import CSR, gcn_gated_sum
from gbench.kernels.gcn_gated_sum import reference


def case(workload: Workload, width: int, hops: int, dtype: torch.dtype) -> Case:
    """K hops over features of this width."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "x": normal(graph.num_rows, width, device=device, dtype=dtype),
        "weight": normal(width, device=device, dtype=dtype),
        "bias": torch.tensor(0.125, device=device),
    }

    def peer(make: Callable[[CSR], Hop]) -> Arm:
        return Arm.of(partial(_stacked, make(graph), hops), values)

    others = HOPS if dtype == torch.float32 else {}
    hop_bytes = (
        dtype.itemsize * width * (workload.rows_read() + graph.num_rows) + 4 * graph.num_entries
    )
    return Case(
        Arm.of(lambda x, w, b: reference(graph, x, w, b, hops), values, torch.float64),
        Arm.of(lambda x, w, b: gcn_gated_sum(graph, x, w, b, hops), values, dtype),
        {name: partial(peer, make) for name, make in others.items()},
        (hops * hop_bytes, 2 * hops * hop_bytes),
        dtype,
    )


def _stacked(hop: Hop, hops: int, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """As DAGNN's own code does it: all hops side by side, a gate for each, one product."""
    kept = [x]
    for _ in range(hops):
        kept.append(hop(kept[-1]))
    x_NKF = torch.stack(kept, dim=1)
    gate_NK = (x_NKF @ weight + bias).sigmoid()
    return torch.matmul(gate_NK[:, None], x_NKF)[:, 0]


def _plan(workload: str, width: int, hops: int, dtype: torch.dtype = torch.float32) -> Plan:
    detail = f"K={hops} D={width}{word(dtype)}"
    return Plan(workload, detail, partial(case, width=width, hops=hops, dtype=dtype))


PLANS = (
    _plan("cora-sized", 7, 10),
    _plan("coauthor-sized", 15, 10),
)
VARIANTS = (
    _plan("cora-sized", 7, 10, torch.bfloat16),
    *(_plan("cora-sized", width, 3) for width in (40, 64)),
    _plan("power-law-100k", 40, 2),
)
