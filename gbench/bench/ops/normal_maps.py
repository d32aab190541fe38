"""Peers of `normal_maps`: each restriction map times its node's D^-1/2.

Bytes: the maps read twice and written forward, read three times and written backward, and in
float64 the eigenvectors that backward reads.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.normal_maps import normal_maps, reference


def case(workload: Workload, stalk: int, dtype: torch.dtype = torch.float32) -> Case:
    """Maps of stalk × stalk."""
    graph = workload.graph
    maps = normal(graph.num_entries, stalk, stalk, device=graph.device, dtype=dtype)

    def ours(maps: Tensor) -> Tensor:
        return normal_maps(graph, maps)

    def exact(maps: Tensor) -> Tensor:
        return reference(graph, maps)

    vectors = 8 * graph.num_rows * stalk * (stalk + 1)
    forward = 3 * maps.nbytes + vectors
    return plain.case(ours, exact, {"maps": maps}, (forward, 2 * forward + 2 * maps.nbytes), dtype)


def _plan(stalk: int, dtype: torch.dtype = torch.float32) -> Plan:
    build = partial(case, stalk=stalk, dtype=dtype)
    return Plan("chameleon-sized", f"d={stalk}{word(dtype)}", build)


PLANS = (_plan(3),)
VARIANTS = (*(_plan(stalk) for stalk in (1, 2, 5)), _plan(3, torch.bfloat16))
