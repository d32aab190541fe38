"""Peers of `directed_propagate`: D_out^-1/2 A D_in^-1/2 x, edges one way.

Bytes forward: the rows of x that have to come from memory, y written, per entry an index. Backward
the same over the transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, by_columns, word
from gbench.bench.workloads import Workload
from gbench.kernels import CSR, directed_propagate
from gbench.kernels.directed_propagate import powers, reference


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """One propagation of features of this width; the peers' weights are made before."""
    graph, device = workload.graph, workload.graph.device
    values = {"x": torch.randn(graph.num_cols, width, device=device, dtype=dtype)}
    arms: dict[str, Callable[[], Arm]] = {}
    if dtype == torch.float32:
        weight = _weights(graph, values["x"])

        def scatter() -> Arm:
            source, target = graph.edge_index
            out = values["x"].new_zeros(graph.num_rows, width)
            return Arm.of(
                lambda x: out.index_add(0, target, weight[:, None] * x[source]), values, dtype
            )

        def matrix() -> Arm:
            made = peers.csr_matrix(graph, weight)
            return Arm.of(lambda x: made @ x, values, dtype)

        arms["torch scatter"], arms["torch CSR @ x"] = scatter, matrix
        arms["Inductor"] = lambda: peers.inductor(scatter(), device)

    def exact(x: Tensor) -> Tensor:
        return by_columns(partial(reference, graph), x, graph.num_entries)

    rows = width * dtype.itemsize
    forward = (workload.rows_read() + graph.num_rows) * rows + graph.num_entries * 4
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(partial(directed_propagate, graph), values, dtype),
        arms,
        (forward, 2 * forward),
        dtype,
    )


def _weights(graph: CSR, x: Tensor) -> Tensor:
    outer, inner = powers(graph.in_degree, -0.5, x), powers(graph.out_degree, -0.5, x)
    return outer[graph.row] * inner[graph.col]


def _plan(name: str, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(name, f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan("cora-sized", 128), _plan("power-law-100k", 64), _plan("arxiv-profile", 128))
VARIANTS = (_plan("power-law-100k", 64, torch.bfloat16), _plan("cora-sized", 7))
