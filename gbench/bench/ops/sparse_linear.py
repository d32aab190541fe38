"""Peers of `sparse_linear`: a layer of features of which most are zero, without dropout.

Bytes: a row of the weights gathered for each stored value, with its place and itself; y written.
Backward the same over the transpose.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.sparse_linear import reference, sparse_linear


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """The workload's graph is the pattern of the features: as many of them as nodes."""
    pattern, device = workload.graph, workload.graph.device
    stored = normal(pattern.num_entries, device=device, dtype=dtype)
    values = {
        "weight": normal(pattern.num_cols, width, device=device, dtype=dtype),
        "bias": normal(width, device=device, dtype=dtype),
    }

    def ours(weight: Tensor, bias: Tensor) -> Tensor:
        return sparse_linear(pattern, stored, weight, bias)

    def exact(weight: Tensor, bias: Tensor) -> Tensor:
        return reference(pattern, stored.to(weight), weight, bias, None, 0.0)

    size = width * dtype.itemsize
    forward = pattern.num_entries * (size + 4 + dtype.itemsize) + pattern.num_rows * size
    return plain.case(ours, exact, values, (forward, 2 * forward), dtype)


def _plan(workload: str, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(workload, f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan("cora-sized", 64),)
VARIANTS = (
    _plan("cora-sized", 64, torch.bfloat16),
    *(_plan("cora-sized", width) for width in (7, 16, 300)),
    _plan("power-law-100k", 16),
)
