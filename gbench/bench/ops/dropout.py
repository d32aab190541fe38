"""Peers of `dropout`: torch's own, which keeps a mask.

Bytes: each element read and written, in each direction.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.models.dropout import dropout


def case(workload: Workload, width: int, rate: float, dtype: torch.dtype = torch.float32) -> Case:
    """As many rows as the workload has nodes."""
    graph = workload.graph
    values = {"x": normal(graph.num_rows, width, device=graph.device, dtype=dtype)}

    def ours(x: Tensor) -> Tensor:
        return dropout(x, rate, True)

    size = values["x"].nbytes
    torchs = {"torch": lambda: Arm.of(lambda x: F.dropout(x, rate), values)}
    return Case(
        Arm.of(lambda x: 1 * x, values, torch.float64),  # before anything is dropped
        Arm.of(ours, values, dtype),
        torchs if dtype == torch.float32 else {},
        (2 * size, 4 * size),
        dtype,
        dropout=rate,
    )


def _plan(workload: str, width: int, rate: float = 0.5, dtype: torch.dtype = torch.float32) -> Plan:
    detail = f"D={width} rate={rate}{word(dtype)}"
    return Plan(workload, detail, partial(case, width=width, rate=rate, dtype=dtype))


PLANS = (_plan("molhiv-512", 300),)
VARIANTS = (
    _plan("molhiv-512", 300, 0.3),
    _plan("molhiv-512", 300, dtype=torch.bfloat16),
    _plan("cora-sized", 7),
)
