"""Peers of `pair_softmax`: attention of 8 heads over all pairs of each molecule's atoms.

Bytes: s read twice and y written forward; ȳ and y read twice and s̄ written backward.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import Pairs, pair_softmax
from gbench.kernels.pair_softmax import reference


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """All pairs of the atoms of each molecule."""
    batch = workload.molecules
    pairs = Pairs.of(batch.node_ptr, batch.num_nodes)
    num_pairs = int(pairs.ptr[-1])
    values = {"s": normal(num_pairs, width, device=batch.node_ptr.device, dtype=dtype)}

    def exact(score: Tensor) -> Tensor:
        return reference(pairs, score)

    def pyg() -> Arm:
        softmax: Any = import_module("torch_geometric.utils").softmax
        receiver, nodes = pairs.receivers(num_pairs), pairs.num_nodes
        return Arm.of(lambda score: softmax(score, receiver, num_nodes=nodes), values)

    size = num_pairs * width * dtype.itemsize
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(lambda score: pair_softmax(pairs, score), values, dtype),
        {"PyG softmax": pyg} if dtype == torch.float32 else {},
        (3 * size, 8 * size),
        dtype,
    )


def _plan(workload: str, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(workload, f"C={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan("molhiv-32", 8),)
VARIANTS = (_plan("molhiv-32", 8, torch.bfloat16), _plan("molhiv-32", 128))
