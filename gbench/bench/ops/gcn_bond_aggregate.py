"""Peers of `gcn_bond_aggregate`: OGB's graph convolution with bond features, without its linear."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gbench.bench import bonds
from gbench.bench.case import Arm, Case, Plan, on_lattice, word
from gbench.bench.workloads import Workload
from gbench.kernels import gcn_bond_aggregate
from gbench.kernels.gcn_bond_aggregate import reference


def case(workload: Workload, width: int, dtype: torch.dtype = torch.float32) -> Case:
    """The convolution on a batch of molecules whose features have this width."""
    device = workload.molecules.graph.device
    own = {"root": on_lattice(width, device=device, dtype=dtype)}
    return bonds.case(workload, width, gcn_bond_aggregate, reference, own, _others, dtype)


def _others(batch: bonds.Molecules) -> dict[str, Callable[[], Arm]]:
    width = batch.values["x"].size(1)

    def plain(x: Tensor, table: Tensor, code: Tensor, root: Tensor) -> Tensor:
        return reference(batch.graph, x, table, code, root)

    return {
        "OGB GCNConv": lambda: batch.layer(_ogb_conv(width), "root_emb.weight"),
        "torch, bond table": lambda: batch.plain(plain),
    }


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


def _plan(name: str, width: int = 300, dtype: torch.dtype = torch.float32) -> Plan:
    return Plan(name, f"D={width}{word(dtype)}", partial(case, width=width, dtype=dtype))


PLANS = (_plan("molhiv-32"), _plan("molhiv-512"))
VARIANTS = (
    _plan("molhiv-512", dtype=torch.bfloat16),
    _plan("molhiv-512", 256, torch.bfloat16),
    *(_plan("molhiv-32", width) for width in (7, 40, 64, 256)),
)
