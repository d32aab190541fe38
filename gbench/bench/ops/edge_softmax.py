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
from gbench.bench.case import Arm, Case, Plan, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import edge_softmax
from gbench.kernels.edge_softmax import reference


def case(workload: Workload, heads: int, width: int, has_factor: bool, dtype: torch.dtype) -> Case:
    """Heads of this width, with dropout of the weights (a factor) or without."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "score": normal(graph.num_entries, heads, device=device, dtype=dtype),
        "x": normal(graph.num_rows, heads, width, device=device, dtype=dtype),
    }
    kept = torch.rand(graph.num_entries, heads, device=device) < 0.5
    factor = (2 * kept).to(dtype) if has_factor else None

    def pyg() -> Arm:
        pyg_utils: Any = import_module("torch_geometric.utils")
        source, target = graph.edge_index
        rowptr = graph.rowptr.long()

        def call(score: Tensor, x: Tensor) -> Tensor:
            alpha = pyg_utils.softmax(score, target, ptr=rowptr, num_nodes=graph.num_rows)
            alpha = alpha if factor is None else alpha * factor
            out: Tensor = pyg_utils.scatter(
                alpha[:, :, None] * x[source], target, 0, graph.num_rows, "sum"
            )
            return out

        return Arm.of(call, values)

    def dgl() -> Arm:
        package, made = peers.dgl(), peers.dgl_graph(graph)

        def call(score: Tensor, x: Tensor) -> Tensor:
            alpha = package.ops.edge_softmax(made, score[:, :, None])
            alpha = alpha if factor is None else alpha * factor[:, :, None]
            out: Tensor = package.ops.u_mul_e_sum(made, x, alpha)
            return out

        return Arm.of(call, values)

    size = dtype.itemsize
    row, scores = heads * width * size, graph.num_entries * heads * size
    scores *= 2 if has_factor else 1
    forward = (workload.rows_read() + graph.num_rows) * row + graph.num_entries * 4 + scores
    return Case(
        Arm.of(lambda score, x: reference(graph, score, x, factor), values, torch.float64),
        Arm.of(lambda score, x: edge_softmax(graph, score, x, factor), values, dtype),
        {"PyG softmax + scatter": pyg, "DGL": dgl} if dtype == torch.float32 else {},
        (forward, 3 * forward),
        dtype,
    )


def _plan(
    workload: str,
    heads: int,
    width: int,
    has_factor: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Plan:
    detail = f"H={heads} D={width}" + (" factor" if has_factor else "") + word(dtype)
    build = partial(case, heads=heads, width=width, has_factor=has_factor, dtype=dtype)
    return Plan(workload, detail, build)


PLANS = (
    _plan("cora-sized", 8, 8),
    _plan("cora-sized", 1, 64),
    _plan("molhiv-512", 4, 75),
    _plan("molhiv-512", 8, 8),
    _plan("molhiv-512", 1, 64),
    _plan("power-law-100k", 8, 8),
    _plan("power-law-100k", 1, 64),
)
VARIANTS = (
    _plan("cora-sized", 8, 8, dtype=torch.bfloat16),
    _plan("cora-sized", 8, 8, has_factor=True),
    _plan("cora-sized", 8, 8, has_factor=True, dtype=torch.bfloat16),
    *(_plan("cora-sized", 1, width) for width in (7, 40, 256)),
    _plan("power-law-100k", 4, 64, has_factor=True),
)
