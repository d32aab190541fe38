"""Peers of `sheaf_blocks`: the sum of FᵀF over each node's maps.

Bytes: the maps read and the blocks written; backward reads both and writes the maps' gradient.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gbench.bench import plain
from gbench.bench.case import Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels.sheaf_blocks import reference, sheaf_blocks


def case(workload: Workload, stalk: int, dtype: torch.dtype = torch.float32) -> Case:
    """Maps of stalk × stalk."""
    graph = workload.graph
    maps = normal(graph.num_entries, stalk, stalk, device=graph.device, dtype=dtype)

    def ours(maps: Tensor) -> Tensor:
        return sheaf_blocks(graph, maps).to(dtype)  # of bfloat16 maps it is float32

    def exact(maps: Tensor) -> Tensor:
        return reference(graph, maps)

    forward = maps.nbytes + 4 * graph.num_rows * stalk * stalk
    return plain.case(ours, exact, {"maps": maps}, (forward, 2 * forward + maps.nbytes), dtype)


def _plan(stalk: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(
        "chameleon-sized", f"d={stalk}{word(dtype)}", partial(case, stalk=stalk, dtype=dtype)
    )


PLANS = (_plan(3),)
VARIANTS = (_plan(3, torch.bfloat16), *(_plan(stalk) for stalk in (1, 2, 5)))
