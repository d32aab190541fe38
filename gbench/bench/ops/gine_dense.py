"""Peers of `gine_dense`: the sum of messages whose edges have vectors, without encoder and MLP.

Bytes forward: x and e read, y written, per entry an index. Backward reads ȳ, x and e and writes x̄
and e̅.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, leaves, on_lattice, word
from gbench.bench.workloads import Workload
from gbench.kernels import gine_dense
from gbench.kernels.gine_dense import reference


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """GINE on features and edges of this width."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "x": on_lattice(graph.num_rows, width, device=device, dtype=dtype, off=True),
        "edge": on_lattice(graph.num_entries, width, device=device, dtype=dtype),
        "eps": torch.tensor(0.125, device=device, dtype=dtype),
    }
    arms: dict[str, Callable[[], Arm]] = {}
    if dtype == torch.float32:
        source, target = graph.edge_index

        def plain(x: Tensor, edge: Tensor, eps: Tensor) -> Tensor:
            return ((1 + eps) * x).index_add(0, target, (x[source] + edge).relu())

        arms["PyG GINEConv"] = partial(_pyg, workload, values)
        arms["torch"] = lambda: Arm.of(plain, values)
        arms["Inductor"] = lambda: peers.inductor(Arm.of(plain, values), device)
    rows, edges = (values[name].numel() * dtype.itemsize for name in ("x", "edge"))
    forward = 2 * rows + edges + 4 * graph.num_entries
    return Case(
        Arm.of(partial(reference, graph), values, torch.float64),
        Arm.of(partial(gine_dense, graph), values, dtype),
        arms,
        (forward, forward + 3 * rows + 2 * edges + 8 * graph.num_entries),
        dtype,
    )


def _pyg(workload: Workload, values: dict[str, Tensor]) -> Arm:
    from torch_geometric.nn import GINEConv

    conv = GINEConv(nn.Identity(), train_eps=True).to(workload.graph.device)
    found = leaves(values, torch.float32)
    with torch.no_grad():
        conv.eps.copy_(values["eps"].expand_as(conv.eps))
    found["eps"] = (conv.eps,)
    (x,), (edge,), index = found["x"], found["edge"], workload.graph.edge_index
    return Arm(lambda: conv(x, index, edge), found)


def _plan(name: str, width: int, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(name, f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan("molhiv-32", 300), _plan("molhiv-512", 300), _plan("cora-sized", 64))
VARIANTS = (
    _plan("molhiv-512", 300, torch.bfloat16),
    *(_plan("molhiv-32", width) for width in (7, 64, 256)),
)
