"""Peers of `segment_add`: what a virtual node says to its graph's nodes.

Bytes forward: x and v read, y written. Backward reads ȳ, which is x̄ as well, and writes v̄.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.segment_add import reference, segment_add


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """A row for each graph of a batch of molecules."""
    batch = workload.molecules
    device, ptr = batch.graph.device, batch.node_ptr
    values = {
        "x": normal(batch.num_nodes, width, device=device, dtype=dtype),
        "v": normal(batch.num_graphs, width, device=device, dtype=dtype),
    }

    def ours(x: Tensor, v: Tensor) -> Tensor:
        return segment_add(ptr, x, v)

    def exact(x: Tensor, v: Tensor) -> Tensor:
        return reference(ptr, x, v)

    forward = 2 * values["x"].nbytes + values["v"].nbytes
    both = forward + values["x"].nbytes + values["v"].nbytes
    return plain.case(ours, exact, values, (forward, both), dtype)


def _plan(name: str, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(name, f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan("molhiv-32", 300), _plan("molhiv-512", 300))
VARIANTS = (
    _plan("molhiv-512", 300, torch.bfloat16),
    *(_plan("molhiv-32", width) for width in (7, 40, 64, 256)),
)
