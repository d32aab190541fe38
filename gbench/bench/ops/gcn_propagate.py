"""Peers of `gcn_propagate`: one hop of a graph convolution, SGC's and DAGNN's K hops.

Bytes per hop: the rows of x that have to come from memory, y written, an index per entry. Backward
is the same over the transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, by_columns, normal, word
from gbench.bench.workloads import Workload
from gbench.kernels import CSR, gcn_propagate
from gbench.kernels.gcn_propagate import reference

Hop = Callable[[Tensor], Tensor]


def case(workload: Workload, width: int, hops: int, has_epilogue: bool, dtype: torch.dtype) -> Case:
    """K hops over features of this width, with a layer's bias and ReLU after them or without."""
    graph, device = workload.graph, workload.graph.device
    values = {"x": normal(graph.num_rows, width, device=device, dtype=dtype)}
    if has_epilogue:
        values["bias"] = normal(width, device=device, dtype=dtype)

    def exact(x: Tensor, bias: Tensor | None = None) -> Tensor:
        out = by_columns(lambda part: reference(graph, part, hops), x, graph.num_entries)
        return _epilogue(out, bias)

    def ours(x: Tensor, bias: Tensor | None = None) -> Tensor:
        return gcn_propagate(graph, x, hops, bias=bias, relu=has_epilogue)

    others = HOPS if dtype == torch.float32 else {}
    row = dtype.itemsize * width
    hop = row * (workload.rows_read() + graph.num_rows) + 4 * graph.num_entries
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        {name: partial(_repeated, make, graph, hops, values) for name, make in others.items()},
        (hops * hop, 2 * hops * hop),
        dtype,
    )


def _epilogue(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else (x + bias).relu()


def _repeated(make: Callable[[CSR], Hop], graph: CSR, hops: int, values: dict[str, Tensor]) -> Arm:
    hop = make(graph)

    def call(x: Tensor, bias: Tensor | None = None) -> Tensor:
        for _ in range(hops):
            x = hop(x)
        return _epilogue(x, bias)

    return Arm.of(call, values)


def sparse_mm(graph: CSR) -> Hop:
    """The normalised matrix, made once, times x."""
    matrix = peers.csr_matrix(*normalised(graph))
    return lambda x: torch.sparse.mm(matrix, x)


def pyg(graph: CSR) -> Hop:
    """Gather, scale and scatter."""
    from torch_geometric.utils import scatter

    looped, weight = normalised(graph)
    source, target = looped.edge_index
    return lambda x: scatter(weight[:, None] * x[source], target, 0, looped.num_rows, "sum")


def edge_index(graph: CSR) -> Hop:
    """PyG's EdgeIndex, its caches filled, times x."""
    looped, weight = normalised(graph)
    index = peers.edge_index(looped)
    return lambda x: index.matmul(x, weight, transpose=True)


def dgl(graph: CSR) -> Hop:
    """Scale, DGL's fused sum, scale: no weight per entry."""
    made, operation = peers.dgl_graph(graph), peers.dgl().ops.copy_u_sum
    scale = (graph.in_degree + 1).float().rsqrt()[:, None]

    def hop(x: Tensor) -> Tensor:
        x = scale * x
        out: Tensor = scale * (x + operation(made, x))
        return out

    return hop


def normalised(graph: CSR) -> tuple[CSR, Tensor]:
    """A + I and the weights of D^-1/2 (A + I) D^-1/2, which peers keep from call to call."""
    loops = torch.arange(graph.num_rows, device=graph.device)
    edge_index = torch.cat([graph.edge_index, torch.stack([loops, loops])], dim=1)
    looped, _ = CSR.from_edge_index(edge_index, graph.num_rows)
    scale = looped.in_degree.float().rsqrt()
    return looped, scale[looped.row] * scale[looped.col.long()]


HOPS = {
    "torch.sparse.mm": sparse_mm,
    "PyG scatter": pyg,
    "PyG EdgeIndex": edge_index,
    "DGL": dgl,
}


def _plan(
    workload: str,
    width: int,
    hops: int,
    has_epilogue: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Plan:
    detail = f"K={hops} D={width}" + (" bias, ReLU" if has_epilogue else "") + word(dtype)
    build = partial(case, width=width, hops=hops, has_epilogue=has_epilogue, dtype=dtype)
    return Plan(workload, detail, build)


PLANS = (
    _plan("molhiv-512", 300, 1),
    _plan("cora-sized", 16, 1, has_epilogue=True),
    _plan("cora-sized", 1433, 2),
    _plan("cora-sized", 7, 10),
    _plan("coauthor-sized", 512, 2),  # a part of its 6,805 features
    _plan("coauthor-sized", 15, 10),
    _plan("power-law-100k", 64, 1),
    _plan("arxiv-profile", 128, 1),
)
VARIANTS = (
    *(_plan("cora-sized", width, 2, dtype=torch.bfloat16) for width in (7, 64)),
    _plan("power-law-100k", 64, 1, dtype=torch.bfloat16),
    *(_plan("cora-sized", width, 3, has_epilogue=True) for width in (40, 256, 300)),
)
