"""Peers of `sheaf_mix`: both weights of a step of sheaf diffusion.

Bytes: x read, the mixed and y written; backward reads ȳ, x and the mixed, and writes x̄.
"""

from __future__ import annotations

from functools import partial

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.sheaf_mix import reference, sheaf_mix


def case(workload: Workload, channels: int, width: int) -> Case:
    """So many channels, each of this width."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    values = {
        "x": normal(nodes, channels, width, device=device),
        "left": normal(channels, channels, device=device) / channels**0.5,
        "right": normal(width, width, device=device) / width**0.5,
    }
    size = values["x"].nbytes
    return plain.case(sheaf_mix, reference, values, (3 * size, 7 * size))


def _plan(channels: int, width: int) -> Plan:
    detail = f"C={channels} F={width}"
    return Plan("chameleon-sized", detail, partial(case, channels=channels, width=width))


PLANS = (_plan(3, 20),)
VARIANTS = (_plan(2, 7), _plan(5, 32), _plan(4, 64))
