"""Peers of `group_mean`: the mean of a node's copies in its patches.

Bytes: each row read and written, in each direction, and its number.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.group_mean import group_mean, reference


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """As many rows as the workload has nodes, in groups of three and one of those that are left."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    x = normal(nodes, width, device=device, dtype=dtype)
    bounds = [*range(0, nodes, 3), nodes]
    ptr = torch.tensor(bounds, dtype=torch.int32, device=device)
    col = torch.randperm(nodes, device=device).int()

    def ours(x: Tensor) -> Tensor:
        return group_mean(ptr, col, x)

    def exact(x: Tensor) -> Tensor:
        return reference(ptr, col, x)

    moved = 2 * x.nbytes + 4 * nodes
    return plain.case(ours, exact, {"x": x}, (moved, 2 * moved), dtype)


def _plan(width: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan("molhiv-512", f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan(128),)
VARIANTS = (_plan(128, torch.bfloat16), *(_plan(width) for width in (7, 40, 300)))
