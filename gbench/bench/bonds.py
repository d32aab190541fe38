"""The cases of gine_aggregate and gcn_bond_aggregate: a layer's bond embeddings and its sum.

Bytes forward: x read, y written, per entry an index and a code. Backward reads ȳ and x and writes
x̄.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gbench.bench import peers
from gbench.bench.case import Arm, Case, leaves, on_lattice
from gbench.bench.workloads import Workload
from gbench.data.loaders.ogb import BOND_CATEGORIES
from gbench.kernels import CSR, embedding_sum
from gbench.kernels.embedding_sum import reference as embedding_reference


class Molecules(NamedTuple):
    """A batch, and the inputs that get a gradient: x, the bonds' tables and the layer's own."""

    graph: CSR
    code: Tensor  # of each entry, a row of combos
    combos: Tensor  # of bond categories
    starts: Tensor  # of each category's table within the bonds
    values: Mapping[str, Tensor]

    def plain(self, function: Callable[..., Tensor]) -> Arm:
        """function(x, table, code of each entry, the layer's own) of plain tensor operations."""
        code = self.code.long()

        def call(x: Tensor, bonds: Tensor, last: Tensor) -> Tensor:
            return function(x, bonds[self.combos + self.starts].sum(1), code, last)

        return Arm.of(call, self.values)

    def layer(self, conv: nn.Module, own: str) -> Arm:
        """A layer of PyG's or OGB's with OGB's bond encoder; `own` is its parameter's path."""
        device = self.graph.device
        conv = conv.to(device)
        encoder = peers.ogb_encoders().BondEncoder(self.values["x"].size(1)).to(device)
        found = leaves(self.values, torch.float32)
        found["bonds"] = peers.embedding_weights(encoder, self.values["bonds"])
        *_, last = self.values
        parameter: Any = conv.get_parameter(own)
        with torch.no_grad():
            parameter.copy_(self.values[last].expand_as(parameter))
        found[last] = (parameter,)
        (x,), edge_attr = found["x"], self.combos[self.code.long()]
        edge_index = self.graph.edge_index
        return Arm(lambda: conv(x, edge_index, encoder(edge_attr)), found)


def case(
    workload: Workload,
    width: int,
    operation: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    own: Mapping[str, Tensor],
    others: Callable[[Molecules], Mapping[str, Callable[[], Arm]]],
    dtype: torch.dtype,
) -> Case:
    """The operation on a batch of molecules whose features have this width."""
    batch = workload.molecules
    graph, code, combos = batch.graph, batch.edge_code, batch.edge_combos
    assert code is not None and combos is not None
    device = graph.device
    starts = torch.tensor([0, *accumulate(BOND_CATEGORIES)][:-1], device=device)
    values = {
        "x": on_lattice(graph.num_rows, width, device=device, dtype=dtype, off=True),
        "bonds": on_lattice(sum(BOND_CATEGORIES), width, device=device, dtype=dtype),
        **{name: value.to(device, dtype) for name, value in own.items()},
    }

    def ours(x: Tensor, bonds: Tensor, last: Tensor) -> Tensor:
        return operation(graph, x, embedding_sum(combos, bonds, starts), code, last)

    def exact(x: Tensor, bonds: Tensor, last: Tensor) -> Tensor:
        return reference(graph, x, embedding_reference(combos, bonds, starts), code, last)

    size = graph.num_rows * width * dtype.itemsize
    forward = 2 * size + graph.num_entries * (4 + code.element_size())
    return Case(
        Arm.of(exact, values, torch.float64),
        Arm.of(ours, values, dtype),
        others(Molecules(graph, code, combos, starts, values)) if dtype == torch.float32 else {},
        (forward, 2 * forward + size),
        dtype,
    )
