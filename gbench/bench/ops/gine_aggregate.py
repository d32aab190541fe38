"""Peers of `gine_aggregate`: a layer's bond embeddings and its sum of messages, without the MLP.

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
from gbench.kernels import embedding_sum, gine_aggregate
from gbench.kernels.embedding_sum import reference as embedding_reference
from gbench.kernels.gine_aggregate import reference


def case(workload: Workload, width: int) -> Case:
    """GINE on a batch of molecules whose features have this width."""
    batch = workload.molecules
    graph, code, combos = batch.graph, batch.edge_code, batch.edge_combos
    assert code is not None and combos is not None
    device = graph.device
    starts = torch.tensor([0, *accumulate(BOND_CATEGORIES)][:-1], device=device)
    values = {
        "x": on_lattice(graph.num_rows, width, device=device) + 1 / 256,
        "bonds": on_lattice(sum(BOND_CATEGORIES), width, device=device),
        "eps": torch.tensor(0.1, device=device),
    }
    edge_index, wide_code = graph.edge_index, code.long()

    def ours(x: Tensor, bonds: Tensor, eps: Tensor) -> Tensor:
        return gine_aggregate(graph, x, embedding_sum(combos, bonds, starts), code, eps)

    def exact(x: Tensor, bonds: Tensor, eps: Tensor) -> Tensor:
        return reference(graph, x, embedding_reference(combos, bonds, starts), code, eps)

    def plain(x: Tensor, bonds: Tensor, eps: Tensor) -> Tensor:
        table = bonds[combos + starts].sum(1)
        message = (x[edge_index[0]] + table[wide_code]).relu()
        return ((1 + eps) * x).index_add(0, edge_index[1], message)

    def layer(conv: Any) -> Arm:
        conv, encoder = conv.to(device), peers.ogb_encoders().BondEncoder(width).to(device)
        own = leaves(values, torch.float32)
        own["bonds"] = peers.embedding_weights(encoder, values["bonds"])
        own["eps"] = (conv.eps,)
        (x,), edge_attr = own["x"], combos[wide_code]
        return Arm(lambda: conv(x, edge_index, encoder(edge_attr)), own)

    def pyg() -> Arm:
        from torch_geometric.nn import GINEConv

        return layer(GINEConv(nn.Identity(), eps=0.1, train_eps=True))

    size = graph.num_rows * width * 4
    forward = 2 * size + graph.num_entries * (4 + code.element_size())
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values),
        {
            "PyG GINEConv": pyg,
            "OGB GINConv": lambda: layer(_ogb_conv(0.1)),
            "torch, bond table": lambda: Arm.of(plain, values),
            "Inductor": lambda: peers.inductor(Arm.of(plain, values), device),
        },
        (forward, 2 * forward + size),
    )


def _ogb_conv(eps: float) -> Any:
    """The convolution of OGB's molecule examples, which are scripts and in no package."""
    from torch_geometric.nn import MessagePassing

    class GINConv(MessagePassing):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(aggr="add")
            self.eps = nn.Parameter(torch.tensor([eps]))

        def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
            out: Tensor = (1 + self.eps) * x + self.propagate(edge_index, x=x, edge_attr=edge_attr)
            return out

        def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
            return (x_j + edge_attr).relu()

        def update(self, inputs: Tensor) -> Tensor:
            return inputs

    return GINConv()


PLANS = tuple(Plan(name, "D=300", partial(case, width=300)) for name in ("molhiv-32", "molhiv-512"))
