"""Peers of `norm_act`: batch norm, ReLU and dropout of 0.5 between two layers, in training.

Bytes: x read twice and y written forward; ȳ and x read twice and x̄ written backward.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, leaves
from gbench.bench.workloads import Workload
from gbench.kernels import norm_act
from gbench.kernels.norm_act import reference

NO_SEED = torch.zeros((), dtype=torch.int64)


def case(workload: Workload, width: int, dropout: float) -> Case:
    """As many rows as the workload has nodes."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "x": torch.randn(graph.num_rows, width, device=device) * 2 + 3,
        "weight": torch.rand(width, device=device) + 0.5,
        "bias": torch.randn(width, device=device),
    }
    # What lies on the ReLU's edge is moved off it, or rounding would decide about its gradient.
    x, weight, bias = values.values()
    normal = F.batch_norm(x, None, None, weight, bias, training=True)
    x[normal.abs() < 1e-3] += 0.01

    def exact(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        seed = NO_SEED.to(device)
        options = (None, seed, True, nn.BatchNorm1d(1).eps, True, 0.0)
        return reference(x, weight, bias, bias, bias, *options)[0]

    def ours() -> Arm:
        norm, own = _norm(values)
        (x,) = own["x"]
        return Arm(lambda: norm_act(x, norm, dropout=dropout), own)

    def modules() -> Arm:
        norm, own = _norm(values)
        (x,) = own["x"]
        return Arm(lambda: F.dropout(F.relu(norm(x)), dropout), own)

    size = graph.num_rows * width * 4
    return Case(
        Arm.of(exact, values, torch.float64),
        ours(),
        {"torch modules": modules, "Inductor": lambda: peers.inductor(modules(), device)},
        (3 * size, 8 * size),
        dropout=dropout,
    )


def _norm(values: dict[str, Tensor]) -> tuple[nn.BatchNorm1d, dict[str, tuple[Tensor, ...]]]:
    """A batch norm with these parameters, and all that gets a gradient."""
    norm = nn.BatchNorm1d(values["weight"].numel(), device=values["x"].device)
    with torch.no_grad():
        norm.weight.copy_(values["weight"])
        norm.bias.copy_(values["bias"])
    own = leaves({"x": values["x"]}, torch.float32)
    return norm, own | {"weight": (norm.weight,), "bias": (norm.bias,)}


def _plan(workload: str, width: int, dropout: float) -> Plan:
    detail = f"D={width} dropout={dropout}" if dropout else f"D={width}"
    return Plan(workload, detail, partial(case, width=width, dropout=dropout))


PLANS = (
    _plan("molhiv-32", 300, 0.5),
    _plan("molhiv-512", 300, 0.5),
    _plan("molhiv-512", 600, 0.0),  # inside GIN's MLP
)
