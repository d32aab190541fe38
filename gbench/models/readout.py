"""From node vectors to one vector for each thing that is classified."""

from __future__ import annotations

from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import segment_reduce


class Readout(nn.Module):
    """Sum, mean or maximum of each graph's nodes; on node-level data the nodes themselves.

    Where the dataset says that a graph's answer is read from its first node, that node alone.

    Shapes: x (N, F) → (B, F), on node-level data (N, F), or (T, F) of the nodes that are asked for.
    """

    def __init__(self, spec: DataSpec, reduce: str) -> None:
        super().__init__()
        self.level = spec.level
        self.reads_first_node = spec.reads_first_node
        self.reduce = reduce

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        if self.level == "node":
            return x if batch.asked is None else x.index_select(0, batch.asked)
        if self.reads_first_node:
            return x.index_select(0, batch.node_ptr[:-1])
        return segment_reduce(batch.node_ptr, x, self.reduce)
