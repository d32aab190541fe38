"""Peers of `sheaf_step`: the next state of sheaf diffusion, and two of it under dropout of 0.

Bytes: x and s read, y, elu(s) and two more written; backward reads three gradients, x and elu(s),
and writes two.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.sheaf_residual import reference
from gbench.kernels.sheaf_step import sheaf_step


def case(workload: Workload, channels: int, width: int, sums: bool) -> Case:
    """So many channels, each of this width; what is looked at summed over the channels or not."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    values = {
        "x": normal(nodes, channels, width, device=device),
        "step": normal(nodes, channels, width, device=device),
        "epsilon": torch.linspace(-0.5, 0.75, channels, device=device)[:, None],
    }

    def joined(y: Tensor, seen: Tensor, dropped: Tensor) -> Tensor:
        return y + 2 * (seen[:, None] if sums else seen) + 4 * dropped

    def ours(x: Tensor, step: Tensor, epsilon: Tensor) -> Tensor:
        y, seen, dropped = sheaf_step(x, step, epsilon, 0.0, sums=sums)
        assert seen is not None
        return joined(y, seen, dropped)

    def exact(x: Tensor, step: Tensor, epsilon: Tensor) -> Tensor:
        y = reference(x, step, epsilon)
        return joined(y, y.sum(1) if sums else y, y)

    size = values["x"].nbytes
    return plain.case(ours, exact, values, (6 * size, 13 * size))


def _plan(channels: int, width: int, sums: bool = False) -> Plan:
    detail = f"C={channels} F={width}{' sums' if sums else ''}"
    build = partial(case, channels=channels, width=width, sums=sums)
    return Plan("chameleon-sized", detail, build)


PLANS = (_plan(3, 20),)
VARIANTS = (_plan(2, 7), _plan(5, 32), _plan(3, 20, sums=True))
