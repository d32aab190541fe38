"""Peers of `linear`: a dense layer on the nodes of a batch, which torch has as `F.linear`.

Bytes: x and W read and y written forward; x, W and ȳ read, x̄ and W̄ written backward.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from gbench.bench.case import Arm, Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.linear import linear, reference


def case(
    workload: Workload,
    inputs: int,
    outputs: int,
    relu: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Case:
    """A layer whose rows are the workload's nodes, with small weights as a layer has them."""
    device, rows = workload.graph.device, workload.graph.num_rows
    values = {
        "x": normal(rows, inputs, device=device, dtype=dtype),
        "weight": normal(outputs, inputs, device=device, dtype=dtype) / 16,
        "bias": normal(outputs, device=device, dtype=dtype),
    }

    def torchs(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        out = functional.linear(x, weight, bias)
        return out.relu() if relu else out

    forward = (rows * (inputs + outputs) + inputs * outputs) * dtype.itemsize
    return Case(
        Arm.of(partial(reference, relu=relu), values, torch.float64),
        Arm.of(partial(linear, relu=relu), values, dtype),
        {"F.linear": lambda: Arm.of(torchs, values, dtype)},
        (forward, 3 * forward),
        dtype,
    )


def _plan(workload: str, inputs: int, outputs: int, relu: bool = False) -> Plan:
    detail = f"{inputs} to {outputs}{' relu' if relu else ''}"
    return Plan(workload, detail, partial(case, inputs=inputs, outputs=outputs, relu=relu))


PLANS = (
    _plan("molhiv-32", 300, 600),
    _plan("molhiv-32", 600, 300),
    _plan("molhiv-512", 300, 600),
    _plan("cora-sized", 64, 64),
)
VARIANTS = (_plan("molhiv-32", 300, 600, relu=True), _plan("cora-sized", 100, 7))
