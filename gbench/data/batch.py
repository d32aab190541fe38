"""A batch of graphs as every model receives it: one disjoint graph, ready for the kernels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gbench.kernels.csr import CSR


@dataclass(eq=False)
class Batch:
    """B graphs laid side by side.

    Shapes: x (N, F) float or (N, K) integer categories; y (N,) or (B,) int64, or (B, T) float;
    node_ptr (B + 1,) int32, nodes of graph b are node_ptr[b]:node_ptr[b + 1];
    edge_code (E,) integer: the row of `edge_combos` (U, K) that holds the categories of each entry
    of `graph.col` (in that order), both None without categorical edge features; integers come in
    the smallest type that holds them, and torch takes a uint8 index for a mask: the kernels and
    embeddings accept any type, indexing by hand wants `.long()`;
    targets (T,) int64: the nodes that this batch trains or is evaluated on (None: all of y).
    """

    graph: CSR
    x: Tensor
    y: Tensor
    node_ptr: Tensor
    edge_code: Tensor | None = None
    edge_combos: Tensor | None = None
    targets: Tensor | None = None
    memo: dict[str, Any] = field(default_factory=dict)  # constants a model derives once per batch

    @property
    def num_graphs(self) -> int:
        return self.node_ptr.numel() - 1

    @property
    def num_nodes(self) -> int:
        return self.graph.num_rows

    @property
    def edge_index(self) -> Tensor:
        """(2, E) int64 in PyG's convention, for layers that want it."""
        if "edge_index" not in self.memo:
            self.memo["edge_index"] = self.graph.edge_index
        index: Tensor = self.memo["edge_index"]
        return index

    @property
    def batch(self) -> Tensor:
        """The graph of each node, int64 (N,), as PyG's readouts want it."""
        if "batch" not in self.memo:
            graphs = torch.arange(self.num_graphs, device=self.x.device)
            self.memo["batch"] = graphs.repeat_interleave(
                self.node_ptr.diff(), output_size=self.num_nodes
            )
        index: Tensor = self.memo["batch"]
        return index

    def with_targets(self, targets: Tensor) -> Batch:
        """The same graph (and the same memo) for another set of target nodes."""
        return replace(self, targets=targets)
