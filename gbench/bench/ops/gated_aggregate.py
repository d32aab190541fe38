"""Peers of `gated_aggregate`: the sum of a GatedGCN layer, without its linear layers.

Bytes forward: the edges' part read and their states written, three vectors of each node read and
one written. Backward reads the states three times, writes their gradients and reads them again.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gbench.bench.case import Arm, Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.gated_aggregate import EPS, gated_aggregate, reference


def case(workload: Workload, width: int) -> Case:
    """Vectors of this width."""
    graph, device = workload.graph, workload.graph.device
    values = {"edge": normal(graph.num_entries, width, device=device)}
    values |= {
        name: normal(graph.num_rows, width, device=device)
        for name in ("receiver", "sender", "value")
    }
    source, target = graph.edge_index

    def ours(edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor) -> Tensor:
        return gated_aggregate(graph, edge, receiver, sender, value)[0]

    def pyg() -> Arm:
        scatter: Any = import_module("torch_geometric.utils").scatter

        def call(edge: Tensor, receiver: Tensor, sender: Tensor, value: Tensor) -> Tensor:
            gate = (edge + receiver[target] + sender[source]).sigmoid()
            total = scatter(gate * value[source], target, 0, graph.num_rows, "sum")
            out: Tensor = total / (scatter(gate, target, 0, graph.num_rows, "sum") + EPS)
            return out

        return Arm.of(call, values)

    forward = 4 * width * (2 * graph.num_entries + 4 * graph.num_rows)
    return Case(
        Arm.of(partial(reference, graph), values, torch.float64),
        Arm.of(ours, values),
        {"PyG scatter": pyg},
        (forward, 4 * forward),
    )


def _plan(workload: str, width: int) -> Plan:
    return Plan(workload, f"D={width}", partial(case, width=width))


PLANS = (_plan("molhiv-32", 64), _plan("molhiv-512", 64))
VARIANTS = (_plan("cora-sized", 7), _plan("cora-sized", 70))
