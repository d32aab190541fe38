"""Peers of `gcn_bond_aggregate`: OGB's graph convolution with bond features, without its linear.

Bytes forward: x read, y written, per entry an index and a code. Backward reads ȳ and x and writes
x̄.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, leaves, on_lattice
from gbench.bench.workloads import Workload
from gbench.data.loaders.ogb import BOND_CATEGORIES
from gbench.kernels import embedding_sum, gcn_bond_aggregate
from gbench.kernels.embedding_sum import reference as embedding_reference
from gbench.kernels.gcn_bond_aggregate import reference


def case(workload: Workload, width: int) -> Case:
    """The convolution on a batch of molecules whose features have this width."""
    batch = workload.molecules
    graph, code, combos = batch.graph, batch.edge_code, batch.edge_combos
    assert code is not None and combos is not None
    device = graph.device
    starts = torch.tensor([0, *accumulate(BOND_CATEGORIES)][:-1], device=device)
    values = {
        "x": on_lattice(graph.num_rows, width, device=device) + 1 / 256,
        "bonds": on_lattice(sum(BOND_CATEGORIES), width, device=device),
        "root": on_lattice(width, device=device),
    }
    edge_index, wide_code = graph.edge_index, code.long()

    def ours(x: Tensor, bonds: Tensor, root: Tensor) -> Tensor:
        return gcn_bond_aggregate(graph, x, embedding_sum(combos, bonds, starts), code, root)

    def exact(x: Tensor, bonds: Tensor, root: Tensor) -> Tensor:
        return reference(graph, x, embedding_reference(combos, bonds, starts), code, root)

    def plain(x: Tensor, bonds: Tensor, root: Tensor) -> Tensor:
        return reference(graph, x, bonds[combos + starts].sum(1), wide_code, root)

    def ogb() -> Arm:
        conv = _ogb_conv(width).to(device)
        encoder = peers.ogb_encoders().BondEncoder(width).to(device)
        own = leaves(values, torch.float32)
        own["bonds"] = peers.embedding_weights(encoder, values["bonds"])
        with torch.no_grad():
            conv.root_emb.weight.copy_(values["root"])
        own["root"] = (conv.root_emb.weight,)
        (x,), edge_attr = own["x"], combos[wide_code]
        return Arm(lambda: conv(x, edge_index, encoder(edge_attr)), own)

    size = graph.num_rows * width * 4
    forward = 2 * size + graph.num_entries * (4 + code.element_size())
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values),
        {"OGB GCNConv": ogb, "torch, bond table": lambda: Arm.of(plain, values)},
        (forward, 2 * forward + size),
    )


def _ogb_conv(width: int) -> Any:
    """The convolution of OGB's molecule examples, which are scripts and in no package."""
    from torch_geometric.nn import MessagePassing
    from torch_geometric.utils import degree

    class GCNConv(MessagePassing):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(aggr="add")
            self.root_emb = nn.Embedding(1, width)

        def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
            row, col = edge_index
            deg = degree(row, x.size(0), dtype=x.dtype) + 1
            scale = deg.pow(-0.5)
            norm = scale[row] * scale[col]
            out: Tensor = self.propagate(edge_index, x=x, edge_attr=edge_attr, norm=norm)
            root: Tensor = (x + self.root_emb.weight).relu() / deg.view(-1, 1)
            return out + root

        def message(self, x_j: Tensor, edge_attr: Tensor, norm: Tensor) -> Tensor:
            message: Tensor = norm.view(-1, 1) * (x_j + edge_attr).relu()
            return message

    return GCNConv()


PLANS = tuple(Plan(name, "D=300", partial(case, width=300)) for name in ("molhiv-32", "molhiv-512"))
