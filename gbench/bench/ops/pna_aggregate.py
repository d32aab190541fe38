"""Peers of `pna_aggregate`: the four aggregators of PNA over x_j + e_ij.

Bytes forward: x read, four rows written for each node, per entry an index and a code. Backward
reads the output and its gradient, writes and reads what a row's entries share, and writes x̄.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, on_lattice
from gbench.bench.workloads import Workload
from gbench.kernels import pna_aggregate
from gbench.kernels.pna_aggregate import EPS, reference


def case(workload: Workload, width: int, has_table: bool) -> Case:
    """With a table's row for each bond, or of nodes alone."""
    graph, device = workload.graph, workload.graph.device
    values = {"x": on_lattice(graph.num_cols, width, device=device, off=True)}
    code = None
    if has_table:
        batch = workload.molecules
        assert batch.edge_code is not None and batch.edge_combos is not None
        values["edge"] = on_lattice(batch.edge_combos.size(0), width, device=device)
        code = batch.edge_code
    source, target = graph.edge_index

    def ours(x: Tensor, edge: Tensor | None = None) -> Tensor:
        return pna_aggregate(graph, x, edge, code)

    def message(x: Tensor, edge: Tensor | None) -> Tensor:
        return x[source] if edge is None or code is None else x[source] + edge[code.long()]

    def pyg() -> Arm:
        scatter: Any = import_module("torch_geometric.utils").scatter

        def call(x: Tensor, edge: Tensor | None = None) -> Tensor:
            m = message(x, edge)
            mean, most, least, square = (
                scatter(part, target, 0, graph.num_rows, kind)
                for part, kind in ((m, "mean"), (m, "max"), (m, "min"), (m * m, "mean"))
            )
            deviation = ((square - mean * mean).relu() + EPS).sqrt()
            there = (graph.in_degree > 0)[:, None]
            return torch.stack([mean, most, least, deviation * there], 1)

        return Arm.of(call, values)

    row = width * 4
    forward = workload.rows_read() * row + 4 * graph.num_rows * row + graph.num_entries * 5
    return Case(
        Arm.of(lambda x, edge=None: reference(graph, x, edge, code), values, torch.float64),
        Arm.of(ours, values),
        {"PyG scatter": pyg, "Inductor": lambda: peers.inductor(pyg(), device)},
        (forward, 3 * forward),
    )


def _plan(workload: str, width: int, has_table: bool = False) -> Plan:
    detail = f"D={width}" + (" bonds" if has_table else "")
    return Plan(workload, detail, partial(case, width=width, has_table=has_table))


PLANS = (_plan("molhiv-32", 80), _plan("molhiv-512", 80))
VARIANTS = (
    _plan("molhiv-512", 70, has_table=True),
    _plan("cora-sized", 7),
    _plan("cora-sized", 64),
    _plan("molhiv-32", 40, True),
)
