"""Peers of `gatv2_score`: the scores of a layer of GATv2, without their softmax.

Bytes forward: a vector of each sender and receiver read, an index and the scores of each entry.
Backward reads both again, twice, and writes two gradients.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from gbench.bench.case import Arm, Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.gatv2_score import SLOPE, gatv2_score, reference


def case(workload: Workload, heads: int, width: int) -> Case:
    """Heads of this width, of nodes alone."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "query": normal(graph.num_rows, heads, width, device=device),
        "key": normal(graph.num_rows, heads, width, device=device),
        "weight": normal(heads, width, device=device),
    }
    source, target = graph.edge_index

    def gathered() -> Arm:
        def call(query: Tensor, key: Tensor, weight: Tensor) -> Tensor:
            return (leaky_relu(key[source] + query[target], SLOPE) * weight).sum(2)

        return Arm.of(call, values)

    row = 4 * heads * width
    forward = row * (workload.rows_read() + graph.num_rows) + 4 * graph.num_entries * (heads + 1)
    return Case(
        Arm.of(partial(reference, graph), values, torch.float64),
        Arm.of(partial(gatv2_score, graph), values),
        {"as PyG's GATv2Conv": gathered},
        (forward, 3 * forward),
    )


def _plan(workload: str, heads: int, width: int) -> Plan:
    return Plan(workload, f"H={heads} D={width}", partial(case, heads=heads, width=width))


PLANS = (_plan("cora-sized", 8, 8), _plan("molhiv-512", 4, 75))
VARIANTS = (_plan("cora-sized", 1, 7), _plan("power-law-100k", 8, 8))
