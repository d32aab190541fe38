"""Peers of `pair_gate`: GRIT's state of each pair, of 64 features, from those of its two atoms.

Bytes: e read and y written forward; ȳ read twice, e read twice and ē written backward.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import Pairs, pair_gate
from gbench.kernels.pair_gate import reference

WIDTH = 64


def case(workload: Workload, dtype: torch.dtype = torch.float32) -> Case:
    """All pairs of the atoms of each molecule; no root of what is near 0, where it is steep."""
    batch = workload.molecules
    pairs = Pairs.of(batch.node_ptr, batch.num_nodes)
    device = batch.node_ptr.device

    def away(rows: int, width: int) -> Tensor:
        value = normal(rows, width, device=device, dtype=dtype)
        return value + value.sign()

    num_pairs = int(pairs.ptr[-1])
    values = {
        "q": away(batch.num_nodes, WIDTH).abs(),
        "k": away(batch.num_nodes, WIDTH).abs(),
        "e": away(num_pairs, 2 * WIDTH),
    }

    def ours(q: Tensor, k: Tensor, e: Tensor) -> Tensor:
        return pair_gate(pairs, q, k, e)

    def exact(q: Tensor, k: Tensor, e: Tensor) -> Tensor:
        return reference(pairs, q, k, e)

    size = num_pairs * WIDTH * dtype.itemsize
    return plain.case(ours, exact, values, (3 * size, 11 * size), dtype)


def _plan(workload: str, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(workload, f"D={WIDTH}{word(dtype)}", partial(case, dtype=dtype))


PLANS = (_plan("molhiv-32"),)
VARIANTS = (_plan("molhiv-32", torch.bfloat16),)
