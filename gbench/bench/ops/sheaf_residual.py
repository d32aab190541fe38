"""Peers of `sheaf_residual`: the state less what the Laplacian says.

Bytes: x and s read, y and elu(s) written; backward reads ȳ, x and elu(s), and writes two gradients.
"""

from __future__ import annotations

from functools import partial

import torch

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.sheaf_residual import reference, sheaf_residual


def case(workload: Workload, channels: int, width: int) -> Case:
    """So many channels, each of this width."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    values = {
        "x": normal(nodes, channels, width, device=device),
        "step": normal(nodes, channels, width, device=device),
        "epsilon": torch.linspace(-0.5, 0.75, channels, device=device)[:, None],
    }
    size = values["x"].nbytes
    return plain.case(sheaf_residual, reference, values, (4 * size, 9 * size))


def _plan(channels: int, width: int) -> Plan:
    detail = f"C={channels} F={width}"
    return Plan("chameleon-sized", detail, partial(case, channels=channels, width=width))


PLANS = (_plan(3, 20),)
VARIANTS = (_plan(2, 7), _plan(5, 32))
