"""Peers of `inverse_sqrt`: B^-1/2 of each node's block.

Bytes: the blocks read and the roots written in float32, and in float64 what backward reads: the
eigenvalues and eigenvectors.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.inverse_sqrt import inverse_sqrt, reference


def case(workload: Workload, stalk: int) -> Case:
    """Blocks of stalk × stalk, the first of them the identity."""
    nodes, device = workload.graph.num_rows, workload.graph.device
    factors = normal(nodes, stalk, stalk, device=device)
    factors[0] = 0
    factors = torch.cat([factors, factors.flip(1)], 1)

    # of a symmetric block: of its lower triangle alone the gradient would be another
    def ours(factors: Tensor) -> Tensor:
        return inverse_sqrt(factors.mT @ factors + torch.eye(stalk).to(factors))

    def exact(factors: Tensor) -> Tensor:
        return reference(factors.mT @ factors + torch.eye(stalk).to(factors))

    block = 4 * nodes * stalk * stalk
    kept = 2 * block + 8 * nodes * stalk
    forward = 2 * block + kept
    return plain.case(ours, exact, {"factors": factors}, (forward, 2 * forward))


def _plan(workload: str, stalk: int) -> Plan:
    return Plan(workload, f"d={stalk}", partial(case, stalk=stalk))


PLANS = (_plan("chameleon-sized", 3),)
VARIANTS = (*(_plan("chameleon-sized", stalk) for stalk in (1, 2, 5)), _plan("power-law-100k", 3))
