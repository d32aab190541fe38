"""Where the pairs of nodes of each graph stand: packed graph after graph, without padding.

Of a graph with n nodes there are n² rows, row-major: pair [i, j] of receiver i and sender j. All
pairs of one receiver are consecutive, so that they are a segment, and senders are counted from the
graph's first node: no list of senders exists.

Legend: N nodes, B graphs, P = Σ n² pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gbench.kernels.csr import CSR, INT32_MAX


class Pairs(NamedTuple):
    """The pairs of a batch of graphs.

    Shapes: ptr (N + 1,) int32, node i receives by pairs ptr[i]:ptr[i + 1]; start (N,) int32, the
    first node of i's graph; node_ptr (B + 1,) int32.
    """

    ptr: Tensor
    start: Tensor
    node_ptr: Tensor

    @staticmethod
    def of(node_ptr: Tensor, num_nodes: int) -> Pairs:
        """The pairs of graphs whose nodes are node_ptr[b]:node_ptr[b + 1].

        The host does not wait for the device, and so does not look whether P fits 32 bits: who
        holds a tensor of P rows calls `check`.
        """
        sizes = node_ptr.diff()
        start = torch.repeat_interleave(node_ptr[:-1], sizes, output_size=num_nodes).int()
        own = torch.repeat_interleave(sizes, sizes, output_size=num_nodes)
        ptr = torch.nn.functional.pad(own.cumsum(0), (1, 0)).int()
        return Pairs(ptr, start, node_ptr.int())

    @property
    def num_nodes(self) -> int:
        return self.start.numel()

    @property
    def device(self) -> torch.device:
        return self.start.device

    @property
    def sizes(self) -> Tensor:
        """Nodes of each node's graph, int32 (N,)."""
        return self.ptr.diff()

    def receivers(self, num_pairs: int) -> Tensor:
        """The receiver of each pair, int64 (P,)."""
        return torch.repeat_interleave(self.sizes, output_size=num_pairs).long()

    def senders(self, num_pairs: int) -> Tensor:
        """The sender of each pair, int64 (P,)."""
        receiver = self.receivers(num_pairs)
        place = torch.arange(num_pairs, device=self.device)
        return place - self.ptr.long()[receiver] + self.start.long()[receiver]

    def diagonal(self) -> Tensor:
        """Where the pair of each node with itself stands, int64 (N,)."""
        own = torch.arange(self.num_nodes, device=self.device)
        return self.ptr[:-1].long() + own - self.start.long()

    def entries(self, graph: CSR) -> Tensor:
        """Where the pair of each of the graph's entries stands, in the order of `col`: (E,)."""
        row = graph.row
        return self.ptr.long()[row] + graph.col.long() - self.start.long()[row]

    def check(self, name: str, values: Tensor) -> None:
        """Raise ValueError where values of all pairs have no rows, or more than 32 bits count."""
        if values.dim() != 2 or values.size(0) > INT32_MAX:
            raise ValueError(
                f"{name} has shape {tuple(values.shape)}: it should be (pairs, any width), "
                f"at most {INT32_MAX} pairs"
            )
        if values.device != self.device:
            raise ValueError(f"{name} is on {values.device} but the graph is on {self.device}")
