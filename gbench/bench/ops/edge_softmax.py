"""Peers of `edge_softmax`: the aggregation of graph attention.

Bytes forward: the rows of x that have to come from memory, y written, per entry an index and the
scores. Backward gathers rows of ȳ and of x, and writes x̄ and the scores' gradients.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan
from gbench.bench.workloads import Workload
from gbench.kernels import edge_softmax
from gbench.kernels.edge_softmax import reference


def case(workload: Workload, heads: int, width: int) -> Case:
    """Attention with this many heads, each of this width."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "score": torch.randn(graph.num_entries, heads, device=device),
        "x": torch.randn(graph.num_rows, heads, width, device=device),
    }

    def pyg() -> Arm:
        pyg_utils: Any = import_module("torch_geometric.utils")
        source, target = graph.edge_index
        rowptr = graph.rowptr.long()

        def call(score: Tensor, x: Tensor) -> Tensor:
            alpha = pyg_utils.softmax(score, target, ptr=rowptr, num_nodes=graph.num_rows)
            out: Tensor = pyg_utils.scatter(
                alpha[:, :, None] * x[source], target, 0, graph.num_rows, "sum"
            )
            return out

        return Arm.of(call, values)

    def dgl() -> Arm:
        package, made = peers.dgl(), peers.dgl_graph(graph)

        def call(score: Tensor, x: Tensor) -> Tensor:
            alpha = package.ops.edge_softmax(made, score[:, :, None])
            out: Tensor = package.ops.u_mul_e_sum(made, x, alpha)
            return out

        return Arm.of(call, values)

    row, scores = heads * width * 4, graph.num_entries * heads * 4
    forward = (workload.rows_read() + graph.num_rows) * row + graph.num_entries * 4 + scores
    return Case(
        Arm.of(lambda score, x: reference(graph, score, x), values, torch.float64),
        Arm.of(lambda score, x: edge_softmax(graph, score, x), values),
        {"PyG softmax + scatter": pyg, "DGL": dgl},
        (forward, 3 * forward),
    )


def _plan(workload: str, heads: int, width: int) -> Plan:
    return Plan(workload, f"H={heads} D={width}", partial(case, heads=heads, width=width))


PLANS = (
    _plan("cora-sized", 8, 8),
    _plan("molhiv-512", 4, 75),
    _plan("power-law-100k", 8, 8),
)
