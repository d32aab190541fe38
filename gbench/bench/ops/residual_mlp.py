"""Peers of `residual_mlp`: the halves of a mixer's block, with GELU and without dropout.

Bytes: x read and y written forward; x and ȳ read twice, x̄ written backward.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gbench.bench.case import Arm, Case, Plan, leaves, word
from gbench.bench.workloads import Workload
from gbench.kernels.residual_mlp import residual_mlp

PATCHES, RATIO = 32, 2
PARTS = ("norm.weight", "norm.bias", "first.weight", "first.bias", "second.weight", "second.bias")


class Block(nn.Module):
    """The norm and the two layers that a mixer's block holds."""

    def __init__(self, width: int, mixed: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(mixed, RATIO * mixed)
        self.second = nn.Linear(RATIO * mixed, mixed)


def case(workload: Workload, width: int, across: bool, dtype: torch.dtype = torch.float32) -> Case:
    """A group of patches for each graph of the batch; layers mix patches (`across`) or features."""
    device, groups = workload.graph.device, workload.molecules.num_graphs
    block = Block(width, PATCHES if across else width).to(device)
    x = torch.randn(groups, PATCHES, width, device=device).to(dtype)
    parameters = {name: block.get_parameter(name) for name in PARTS}
    with torch.no_grad():
        parameters["norm.weight"].add_(0.1 * torch.randn(width, device=device))
        parameters["norm.bias"].add_(0.1 * torch.randn(width, device=device))
    own = leaves({"x": x}, dtype) | {name: (value,) for name, value in parameters.items()}
    (given,) = own["x"]

    def ours() -> Tensor:
        return residual_mlp(given, block.norm, block.first, block.second, across=across)

    def plain(
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        weight: Tensor,
        bias: Tensor,
        weight_out: Tensor,
        bias_out: Tensor,
    ) -> Tensor:
        y = F.layer_norm(x, (width,), scale, shift, block.norm.eps)
        y = F.linear(y.transpose(1, 2) if across else y, weight, bias)
        y = F.linear(F.gelu(y), weight_out, bias_out)
        return x + (y.transpose(1, 2) if across else y)

    values = {"x": x, **{name: value.detach().clone() for name, value in parameters.items()}}
    found = {"torch operations": lambda: Arm.of(plain, values)}
    size = x.nbytes
    return Case(
        Arm.of(plain, values, torch.float64),
        Arm(ours, own),
        found if dtype == torch.float32 else {},
        (2 * size, 7 * size),
        dtype,
    )


def _plan(workload: str, width: int, across: bool, dtype: torch.dtype = torch.float32) -> Plan:
    detail = f"P={PATCHES} D={width} {'patches' if across else 'features'}{word(dtype)}"
    return Plan(workload, detail, partial(case, width=width, across=across, dtype=dtype))


PLANS = tuple(_plan("molhiv-32", 128, across) for across in (True, False))
VARIANTS = (
    *(_plan("molhiv-32", 64, across) for across in (True, False)),
    _plan("molhiv-32", 40, across=True),
)
