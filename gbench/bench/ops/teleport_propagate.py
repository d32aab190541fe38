"""Peers of `teleport_propagate`: APPNP's K hops over class scores, one hop of a layer of GCNII.

Bytes per hop: the rows of x that have to come from memory, what is added, y written, an index
per entry. Backward is the same over the transpose.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.ops.gcn_propagate import HOPS, Hop
from gbench.bench.workloads import Workload
from gbench.kernels import teleport_propagate
from gbench.kernels.teleport_propagate import reference

ALPHA = 0.1


def case(workload: Workload, width: int, hops: int, has_home: bool, dtype: torch.dtype) -> Case:
    """K hops over features of this width, back to x, or with a matrix that is added."""
    graph, device = workload.graph, workload.graph.device
    names = ("x", "home") if has_home else ("x",)
    values = {name: normal(graph.num_rows, width, device=device, dtype=dtype) for name in names}

    def exact(x: Tensor, home: Tensor | None = None) -> Tensor:
        return reference(graph, x, ALPHA, hops, home=home)

    def ours(x: Tensor, home: Tensor | None = None) -> Tensor:
        return teleport_propagate(graph, x, ALPHA, hops, home=home)

    def peer(name: str) -> Arm:
        return Arm.of(partial(_repeated, HOPS[name](graph), hops), values)

    others = HOPS if dtype == torch.float32 else {}
    row = dtype.itemsize * width
    hop = row * (workload.rows_read() + 2 * graph.num_rows) + 4 * graph.num_entries
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        {name: partial(peer, name) for name in others},
        (hops * hop, 2 * hops * hop),
        dtype,
    )


def _repeated(hop: Hop, hops: int, x: Tensor, home: Tensor | None = None) -> Tensor:
    home = ALPHA * x if home is None else home
    for _ in range(hops):
        x = (1 - ALPHA) * hop(x) + home
    return x


def _plan(
    workload: str,
    width: int,
    hops: int,
    has_home: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Plan:
    detail = f"K={hops} D={width}{' home' if has_home else ''}{word(dtype)}"
    return Plan(
        workload,
        detail,
        partial(case, width=width, hops=hops, has_home=has_home, dtype=dtype),
    )


PLANS = (
    _plan("cora-sized", 7, 10),
    _plan("coauthor-sized", 15, 10),
    _plan("cora-sized", 64, 1, has_home=True),
)
VARIANTS = (
    _plan("cora-sized", 7, 10, dtype=torch.bfloat16),
    _plan("cora-sized", 300, 1, has_home=True),
    _plan("power-law-100k", 40, 2),
)
