"""Peers of `pair_weight`: the weight of each edge, alike in both directions.

Bytes, per entry: 16 forward and 28 backward in float32.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.pair_weight import pair_weight, reference


def case(workload: Workload, dtype: torch.dtype = torch.float32) -> Case:
    """What a graph's nodes say of its edges."""
    graph = workload.graph
    z = normal(graph.num_rows, 2, device=graph.device, dtype=dtype)

    def ours(z: Tensor) -> Tensor:
        return pair_weight(graph, z)

    def exact(z: Tensor) -> Tensor:
        return reference(graph, z)

    entry = graph.num_entries * dtype.itemsize
    return plain.case(ours, exact, {"z": z}, (4 * entry, 11 * entry), dtype)


def _plan(workload: str, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(workload, f"pairs{word(dtype)}", partial(case, dtype=dtype))


PLANS = (_plan("chameleon-sized"),)
VARIANTS = (_plan("chameleon-sized", torch.bfloat16), _plan("power-law-100k"))
