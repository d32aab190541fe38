"""Peers of `sparse_linear`: a layer of features of which most are zero, without dropout.

Bytes: a row of the weights gathered for each stored value, with its place and itself; y written.
Backward the same over the transpose.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import CSR
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
    bag = _both_ways(pattern, stored)
    found = {
        "torch operations": lambda: Arm.of(exact, values),
        "embedding_bag": lambda: Arm.of(lambda weight, bias: bag(weight) + bias, values),
    }
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        found if dtype == torch.float32 else {},
        (forward, 2 * forward),
        dtype,
    )


def _both_ways(pattern: CSR, stored: Tensor) -> Any:
    """embedding_bag, and in place of its own slow gradient another one over the transpose."""

    class Bag(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, weight: Tensor) -> Tensor:
            return _bag(pattern.rowptr, pattern.col, weight, stored)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            at = pattern.perm_t
            return _bag(pattern.rowptr_t, pattern.col_t, grad, stored.index_select(0, at))

    return Bag.apply


def _bag(rowptr: Tensor, col: Tensor, rows: Tensor, factors: Tensor) -> Tensor:
    return F.embedding_bag(
        col, rows, rowptr, mode="sum", per_sample_weights=factors, include_last_offset=True
    )


def _plan(workload: str, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(workload, f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = tuple(_plan("cora-features", width) for width in (7, 16, 32, 64, 128))
VARIANTS = (
    _plan("cora-sized", 64, torch.bfloat16),
    *(_plan("cora-sized", width) for width in (7, 16, 300)),
    _plan("power-law-100k", 16),
)
