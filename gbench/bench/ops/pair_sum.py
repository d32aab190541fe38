"""Peers of `pair_sum`: what all pairs of an atom say, weighted by attention of 8 heads.

Bytes: e and α read forward; both read and both gradients written backward.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import Pairs, pair_sum
from gbench.kernels.pair_sum import reference

HEADS, WIDTH = 8, 64


def case(workload: Workload, dtype: torch.dtype = torch.float32) -> Case:
    """All pairs of the atoms of each molecule."""
    batch = workload.molecules
    pairs = Pairs.of(batch.node_ptr, batch.num_nodes)
    num_pairs, device = int(pairs.ptr[-1]), batch.node_ptr.device
    values = {
        "weight": normal(num_pairs, HEADS, device=device, dtype=dtype),
        "e": normal(num_pairs, WIDTH, device=device, dtype=dtype),
    }

    def ours(weight: Tensor, e: Tensor) -> Tensor:
        return pair_sum(pairs, weight, e)

    def exact(weight: Tensor, e: Tensor) -> Tensor:
        return reference(pairs, weight, e)

    size = num_pairs * (WIDTH + HEADS) * dtype.itemsize
    return plain.case(ours, exact, values, (size, 3 * size), dtype)


def _plan(workload: str, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(workload, f"D={WIDTH} H={HEADS}{word(dtype)}", partial(case, dtype=dtype))


PLANS = (_plan("molhiv-32"),)
VARIANTS = (_plan("molhiv-32", torch.bfloat16),)
