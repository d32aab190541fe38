"""Peers of `pair_tanh`: what both ends of each entry say of its restriction map.

Bytes forward, per entry: two gathers of P numbers, an index, P written. Backward reads P twice over
and an index for each end.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.pair_tanh import pair_tanh, reference


def case(workload: Workload, numbers: int, dtype: torch.dtype = torch.float32) -> Case:
    """So many numbers for each entry."""
    graph = workload.graph
    z = normal(graph.num_rows, 2 * numbers, device=graph.device, dtype=dtype)

    def ours(z: Tensor) -> Tensor:
        return pair_tanh(graph, z)

    def exact(z: Tensor) -> Tensor:
        return reference(graph, z)

    size = numbers * dtype.itemsize
    forward = graph.num_entries * (3 * size + 4)
    both = forward + graph.num_entries * (4 * size + 4) + z.nbytes
    return plain.case(ours, exact, {"z": z}, (forward, both), dtype)


def _plan(numbers: int, dtype: torch.dtype = torch.float32) -> Plan:
    detail = f"P={numbers}{word(dtype)}"
    return Plan("chameleon-sized", detail, partial(case, numbers=numbers, dtype=dtype))


PLANS = (_plan(9),)
VARIANTS = (_plan(9, torch.bfloat16), _plan(1), _plan(3), _plan(10))
