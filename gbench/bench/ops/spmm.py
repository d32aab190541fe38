"""Peers of `spmm`: sum, mean, max and weighted sum over in-neighbours.

Bytes forward: the rows of x that have to come from memory, y written, per entry an index (and a
weight). Backward the same over the transpose; with weights their gradient reads x and ȳ again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, by_columns, word
from gbench.bench.workloads import Workload
from gbench.kernels import CSR, spmm
from gbench.kernels.spmm import reference


def case(workload: Workload, width: int, reduce: str, dtype: torch.dtype) -> Case:
    """One reduction of features of this width; `reduce` may also be "weighted"."""
    graph, device = workload.graph, workload.graph.device
    values = {"x": torch.randn(graph.num_cols, width, device=device, dtype=dtype)}
    if reduce == "weighted":
        values["weight"] = torch.rand(graph.num_entries, device=device, dtype=dtype)

    how = "sum" if reduce == "weighted" else reduce

    def exact(x: Tensor, weight: Tensor | None = None) -> Tensor:
        slices = partial(reference, graph, weight=weight, reduce=how)
        return by_columns(slices, x, graph.num_entries)

    def ours(x: Tensor, weight: Tensor | None = None) -> Tensor:
        return spmm(graph, x, weight, reduce=how)

    found = _weighted(graph) if reduce == "weighted" else _plain(graph, reduce, dtype)
    arms: dict[str, Callable[[], Arm]] = {
        name: partial(_arm, make, values, dtype) for name, make in found.items()
    }
    if reduce != "max" and dtype == torch.float32:
        arms["Inductor"] = lambda: peers.inductor(arms["PyG scatter"](), device)

    rows = width * dtype.itemsize
    entries = graph.num_entries * (4 + (dtype.itemsize if reduce == "weighted" else 0))
    forward = (workload.rows_read() + graph.num_rows) * rows + entries
    both = 2 * forward + (workload.rows_read() * rows if reduce == "weighted" else 0)
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        arms,
        (forward, both),
        dtype,
    )


Function = Callable[..., Tensor]
Make = Callable[[], Function]  # what it imports and prepares is outside the measurement


def _arm(make: Make, values: dict[str, Tensor], dtype: torch.dtype) -> Arm:
    return Arm.of(make(), values, dtype)


def _plain(graph: CSR, reduce: str, dtype: torch.dtype) -> dict[str, Make]:
    """Who can reduce without weights."""
    matrix_reduce = {"sum": "sum", "mean": "mean", "max": "amax"}[reduce]

    def pyg() -> Function:
        from torch_geometric.utils import scatter

        source, target = graph.edge_index
        return lambda x: scatter(x[source], target, 0, graph.num_rows, reduce)

    def edge_index() -> Function:
        index = peers.edge_index(graph)
        return lambda x: index.matmul(x, reduce=reduce, transpose=True)

    def sparse_reduce() -> Function:
        matrix = peers.csr_matrix(graph, torch.ones(graph.num_entries, dtype=dtype))
        return lambda x: torch.sparse.mm(matrix, x, matrix_reduce)

    def csr_matmul() -> Function:
        weight = torch.ones(graph.num_entries, dtype=dtype, device=graph.device)
        if reduce == "mean":
            weight /= graph.in_degree[graph.row]
        matrix = peers.csr_matrix(graph, weight)
        return lambda x: matrix @ x

    def bag() -> Function:
        return lambda x: F.embedding_bag(
            graph.col, x, graph.rowptr, mode=reduce, include_last_offset=True
        )

    def dgl() -> Function:
        made, operation = peers.dgl_graph(graph), getattr(peers.dgl().ops, f"copy_u_{reduce}")
        if reduce == "max":  # as its own layers do for nodes without in-neighbours
            return lambda x: (out := operation(made, x)).masked_fill(out == -torch.inf, 0)
        return lambda x: operation(made, x)

    def torch_scatter() -> Function:
        segment: Any = import_module("torch_scatter").segment_csr
        rowptr, col = graph.rowptr.long(), graph.col.long()
        return lambda x: segment(x[col], rowptr, reduce=reduce)

    def turbo_gnn() -> Function:
        package: Any = import_module("turbo_gnn")
        if reduce == "max":
            adjacency = package.AdjacencyForwardBackwardWithNodeBuckets
            made = adjacency.from_edge_list(
                graph.edge_index, num_nodes=graph.num_rows, index_dtype=torch.int32
            )
            return lambda x: package.reduction_aggr(made, x, reduce=reduce)
        norm, algorithm, threads = {"sum": "none", "mean": "right"}[reduce], -1, 256
        return lambda x: package.spmm_aggr(x, graph.rowptr, graph.col, norm, algorithm, threads)

    found = {"PyG scatter": pyg, "embedding_bag": bag}
    if dtype == torch.float32:
        found |= {"PyG EdgeIndex": edge_index, "DGL": dgl, "torch-scatter": torch_scatter}
        if reduce != "max":
            found["torch CSR @ x"] = csr_matmul
    found |= (
        {"torch.sparse.mm(reduce)": sparse_reduce}
        if graph.device.type == "cpu"
        else {"turbo-gnn": turbo_gnn}
    )
    return found


def _weighted(graph: CSR) -> dict[str, Make]:
    """Who can sum with weights that need a gradient."""

    def pyg() -> Function:
        from torch_geometric.utils import scatter

        source, target = graph.edge_index
        return lambda x, w: scatter(w[:, None] * x[source], target, 0, graph.num_rows, "sum")

    def csr_matmul() -> Function:
        return lambda x, w: peers.csr_matrix(graph, w) @ x

    def sparse_reduce() -> Function:
        return lambda x, w: torch.sparse.mm(peers.csr_matrix(graph, w), x, "sum")

    def dgl() -> Function:
        made, operation = peers.dgl_graph(graph), peers.dgl().ops.u_mul_e_sum
        return lambda x, w: operation(made, x, w[:, None])

    found = {"PyG scatter": pyg, "torch CSR @ x": csr_matmul, "DGL": dgl}
    if graph.device.type == "cpu":
        found["torch.sparse.mm(reduce)"] = sparse_reduce
    return found


def _plan(
    workload: str, width: int, reduce: str = "sum", dtype: torch.dtype = torch.float32
) -> Plan:
    return Plan(
        workload,
        f"D={width} {reduce}{word(dtype)}",
        partial(case, width=width, reduce=reduce, dtype=dtype),
    )


PLANS = (
    _plan("molhiv-32", 300),
    _plan("molhiv-512", 300),
    _plan("molhiv-512", 300, "mean"),
    _plan("molhiv-512", 300, "max"),
    _plan("molhiv-512", 300, "weighted"),
    _plan("molhiv-512", 300, dtype=torch.bfloat16),
    _plan("power-law-100k", 64),
    _plan("power-law-100k", 256),
    _plan("power-law-100k", 64, "weighted"),
    _plan("arxiv-profile", 128),
    _plan("products-profile", 128),
)
VARIANTS = (
    *(_plan("molhiv-512", 300, reduce, torch.bfloat16) for reduce in ("mean", "max", "weighted")),
    *(_plan("power-law-100k", 64, reduce, torch.bfloat16) for reduce in ("sum", "weighted")),
    _plan("power-law-100k", 64, "max"),
    *(_plan("cora-sized", width) for width in (7, 40, 64, 256, 300)),
    *(_plan("cora-sized", width, "weighted") for width in (7, 40)),
)
