"""Peers of `entry_loss`: the mean of an elementwise loss over the entries that have a label.

Bytes: x and y read forward; both read again and x̄ written backward.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.entry_loss import entry_loss, reference


def case(
    workload: Workload, tasks: int, kind: str, option: float, dtype: torch.dtype = torch.float32
) -> Case:
    """So many tasks for each node, of which a quarter of the labels are missing."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    x = normal(nodes, tasks, device=device, dtype=dtype)
    y = torch.randint(0, 2, (nodes, tasks), device=device).float()
    y[torch.rand(nodes, tasks, device=device) < 0.25] = torch.nan

    def ours(x: Tensor) -> Tensor:
        return entry_loss(x, y, None, kind, option).to(dtype)

    def exact(x: Tensor) -> Tensor:
        return reference(x, y, None, kind, option)

    forward = x.nbytes + y.nbytes
    return plain.case(ours, exact, {"x": x}, (forward, 2 * forward + x.nbytes), dtype)


def _plan(
    workload: str,
    tasks: int,
    kind: str = "bce",
    option: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Plan:
    build = partial(case, tasks=tasks, kind=kind, option=option, dtype=dtype)
    return Plan(workload, f"K={tasks} {kind}{word(dtype)}", build)


PLANS = (_plan("molhiv-512", 1),)
VARIANTS = (
    *(_plan("cora-sized", 12, kind) for kind in ("bce", "mse", "l1")),
    _plan("cora-sized", 12, "huber", 0.5),
    _plan("cora-sized", 12, "quantile", 0.25),
    _plan("cora-sized", 12, dtype=torch.bfloat16),
)
