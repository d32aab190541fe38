"""Peers of `activated_sum`: the aggregation of SIR-GCN, without its linear layers.

Bytes forward: a vector of each sender and receiver read, one of each receiver written, an index for
each entry. Backward reads both again with the gradient, twice, and writes two gradients.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, leaky_relu

from gbench.bench.case import Arm, Case, Plan, normal
from gbench.bench.workloads import Workload
from gbench.kernels.activated_sum import activated_sum, reference

SLOPE = 0.2


def case(workload: Workload, width: int, act: str = "relu") -> Case:
    """Vectors of this width, of nodes alone."""
    graph, device = workload.graph, workload.graph.device
    values = {name: normal(graph.num_rows, width, device=device) for name in ("query", "key")}
    source, target = graph.edge_index

    def pyg() -> Arm:
        scatter: Any = import_module("torch_geometric.utils").scatter

        def call(query: Tensor, key: Tensor) -> Tensor:
            inside = query[target] + key[source]
            message = gelu(inside) if act == "gelu" else leaky_relu(inside, SLOPE)
            out: Tensor = scatter(message, target, 0, graph.num_rows, "sum")
            return out

        return Arm.of(call, values)

    options: dict[str, Any] = {"act": act, "slope": SLOPE}
    forward = 4 * width * (workload.rows_read() + 2 * graph.num_rows) + 4 * graph.num_entries
    return Case(
        Arm.of(partial(reference, graph, **options), values, torch.float64),
        Arm.of(partial(activated_sum, graph, **options), values),
        {"PyG scatter": pyg},
        (forward, 3 * forward),
    )


def _plan(workload: str, width: int, act: str = "relu") -> Plan:
    return Plan(workload, f"D={width} {act}", partial(case, width=width, act=act))


PLANS = (_plan("molhiv-512", 80), _plan("cora-sized", 64, "gelu"))
VARIANTS = (_plan("molhiv-32", 75, "gelu"), _plan("cora-sized", 7))
