"""Peers of `act_dropout`: bias, activation and dropout between two layers.

Bytes: each element read and written forward; ȳ and y read and x̄ written backward.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, on_lattice, word
from gbench.bench.workloads import Workload
from gbench.kernels.act_dropout import act_dropout, reference


def case(
    workload: Workload, width: int, act: str, rate: float, dtype: torch.dtype = torch.float32
) -> Case:
    """As many rows as the workload has nodes."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    values = {
        "x": on_lattice(nodes, width, device=device, dtype=dtype, off=True).to(dtype),
        "bias": on_lattice(width, device=device, dtype=dtype).to(dtype),
    }

    def ours(x: Tensor, bias: Tensor) -> Tensor:
        return act_dropout(x, bias, act=act, rate=rate)

    def exact(x: Tensor, bias: Tensor) -> Tensor:
        return reference(x, bias, None, act, 0.0)  # before anything is dropped

    size = values["x"].nbytes
    torchs = {"torch operations": lambda: Arm.of(lambda *v: F.dropout(exact(*v), rate), values)}
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        torchs if dtype == torch.float32 else {},
        (2 * size, 5 * size),
        dtype,
        dropout=rate,
    )


def _plan(
    width: int, act: str = "relu", rate: float = 0.5, dtype: torch.dtype = torch.float32
) -> Plan:
    detail = f"D={width} {act} rate={rate}{word(dtype)}"
    build = partial(case, width=width, act=act, rate=rate, dtype=dtype)
    return Plan("coauthor-sized", detail, build)


PLANS = (_plan(64),)
VARIANTS = (
    *(_plan(width, act, 0.0) for width in (7, 16) for act in ("none", "relu", "elu")),
    _plan(64, dtype=torch.bfloat16),
    _plan(300, "elu", 0.0, torch.bfloat16),
)
