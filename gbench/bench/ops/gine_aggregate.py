"""Peers of `gine_aggregate`: a layer's bond embeddings and its sum of messages, without the MLP."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gbench.bench import bonds, peers
from gbench.bench.case import Arm, Case, Plan, word
from gbench.bench.workloads import Workload
from gbench.kernels import gine_aggregate
from gbench.kernels.gine_aggregate import reference


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """GINE on a batch of molecules whose features have this width."""
    own = {"eps": torch.tensor(0.125)}
    return bonds.case(workload, width, gine_aggregate, reference, own, _others, dtype)


def _others(batch: bonds.Molecules) -> dict[str, Callable[[], Arm]]:
    source, target = batch.graph.edge_index

    def plain(x: Tensor, table: Tensor, code: Tensor, eps: Tensor) -> Tensor:
        message = (x[source] + table[code]).relu()
        return ((1 + eps) * x).index_add(0, target, message)

    def pyg() -> Arm:
        from torch_geometric.nn import GINEConv

        return batch.layer(GINEConv(nn.Identity(), train_eps=True), "eps")

    return {
        "PyG GINEConv": pyg,
        "OGB GINConv": lambda: batch.layer(_ogb_conv(), "eps"),
        "torch, bond table": lambda: batch.plain(plain),
        "Inductor": lambda: peers.inductor(batch.plain(plain), batch.graph.device),
    }


def _ogb_conv() -> Any:
    """The convolution of OGB's molecule examples, which are scripts and in no package."""
    from torch_geometric.nn import MessagePassing

    class GINConv(MessagePassing):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(aggr="add")
            self.eps = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
            out: Tensor = (1 + self.eps) * x + self.propagate(edge_index, x=x, edge_attr=edge_attr)
            return out

        def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
            return (x_j + edge_attr).relu()

        def update(self, inputs: Tensor) -> Tensor:
            return inputs

    return GINConv()


def _plan(name: str, width: int = 300, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(name, f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan("molhiv-32"), _plan("molhiv-512"))
VARIANTS = (
    _plan("molhiv-512", dtype=torch.bfloat16),
    _plan("molhiv-512", 256, torch.bfloat16),
    *(_plan("molhiv-32", width) for width in (7, 40, 64, 256)),
)
