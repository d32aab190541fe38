"""Batches of graphs in frames of a few fixed sizes, so that all steps of one frame are alike.

A frame is a batch whose tensors stay where they are. To lay a batch in it copies its tensors to the
front of the frame's and fills what is left:

- Nodes that are left belong to one more graph, the last, and lead only to themselves: entries that
  are left are loops, `fan` of a node at most. No valid node sees them.
- Graphs that are left between are empty, and their labels, as the last one's, are none: NaN, or the
  class that torch's cross-entropy leaves out.
- Features that are left are what was there before: finite, and of categories that exist. Weights
  of entries that are left are 1.

So what a model says of a valid graph, and the loss, are those of the batch alone but for one thing:
statistics over all nodes or graphs, as batch norm's, have to leave the others out. `Batch.valid`
tells how many there are, on the device. Nothing here waits for a GPU.

Legend: n, e, b nodes, entries and graphs of a batch; N, E, B those of a frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gbench.data.batch import Batch, Valid
from gbench.kernels.csr import CSR

FAN = 16  # unless nodes have fewer entries, or more on average
NO_CLASS = -100  # torch's ignore_index
DRAWN = 512  # batches whose sizes decide
SHARES = (0.5, 0.9, 1.0)  # of these batches that fit in the first frame, the second, the third
SPARE = 1.05  # the last frame is larger than the largest batch drawn by this


@dataclass(frozen=True, order=True)
class Size:
    """Of a frame; `graphs` counts the one of the nodes that are left."""

    nodes: int
    entries: int
    graphs: int
    fan: int

    def holds(self, batch: Batch) -> bool:
        """Whether there is room for a batch, a node that is left and all entries that are."""
        nodes, entries = batch.num_nodes, batch.graph.num_entries
        left = self.nodes - nodes
        return (
            batch.num_graphs < self.graphs
            and left > 0
            and 0 <= self.entries - entries <= left * self.fan
        )


def frame_sizes(nodes: Tensor, entries: Tensor, batch_size: int, longest: int) -> list[Size]:
    """Frames for batches of so many graphs out of those of these sizes, smallest first.

    A batch that none of them holds is larger than any of hundreds drawn. Shapes: (G,), (G,).
    """
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(nodes.numel(), (DRAWN, batch_size), generator=generator)
    sums = [each.long()[draws].sum(1).double() for each in (nodes, entries)]
    fewest, degree = float(sums[1].min()), float(sums[1].sum() / sums[0].sum())
    # twice the mean degree, so that a small batch leaves nodes enough for the entries it leaves
    fan = max(1, min(longest, max(FAN, math.ceil(2 * degree))))
    sizes = set()
    for share in SHARES:
        spare = SPARE if share == 1 else 1.0
        most_nodes, most_entries = (spare * float(each.quantile(share)) for each in sums)
        room = _up(most_entries)
        sizes.add(Size(_up(most_nodes + (room - fewest) / fan + 1), room, batch_size + 1, fan))
    return sorted(sizes)


def _up(number: float) -> int:
    """The next multiple of 32."""
    return -int(-number // 32) * 32


class Frame:
    """Where batches of at most this size are laid, one after another: `batch` is always the last.

    `like` is one of them; all have the same fields, types and widths.
    """

    def __init__(self, size: Size, like: Batch) -> None:
        graph, device = like.graph, like.x.device
        is_symmetric = graph.rowptr_t is graph.rowptr and graph.col_t is graph.col

        def room(rows: int, tensor: Tensor) -> Tensor:
            return tensor.new_zeros(rows, *tensor.shape[1:])

        rowptr, col = room(size.nodes + 1, graph.rowptr), room(size.entries, graph.col)
        rowptr_t = rowptr if is_symmetric else room(size.nodes + 1, graph.rowptr_t)
        col_t = col if is_symmetric else room(size.entries, graph.col_t)
        perm_t = room(size.entries, graph.perm_t)
        code, pe = like.edge_code, like.pe
        counts = torch.zeros(2, dtype=torch.int64, device=device)
        self.size, self.counts = size, counts
        self.batch = Batch(
            CSR(rowptr, col, rowptr_t, col_t, perm_t, longest=graph.longest),
            room(size.nodes, like.x),
            room(size.graphs, like.y),
            room(size.graphs + 1, like.node_ptr),
            None if code is None else room(size.entries, code),
            like.edge_combos,
            pe=None if pe is None else room(size.nodes, pe),
            edge_weight=None if like.edge_weight is None else room(size.entries, like.edge_weight),
            edge_attr=None if like.edge_attr is None else room(size.entries, like.edge_attr),
            x_numbers=None if like.x_numbers is None else room(size.nodes, like.x_numbers),
            teacher=None if like.teacher is None else room(size.graphs, like.teacher),
            valid=Valid(counts[0], counts[1]),
        )
        self.batch.node_ptr[-1] = size.nodes

    def lay(self, batch: Batch) -> None:
        """Put a batch of graphs into the frame, which holds it (`Size.holds`)."""
        own, size = self.batch, self.size
        n, e, b = batch.num_nodes, batch.graph.num_entries, batch.num_graphs
        ours, theirs = own.graph, batch.graph
        for place, tensor in (
            (ours.rowptr, theirs.rowptr),
            (ours.col, theirs.col),
            (ours.perm_t, theirs.perm_t),
            (own.x, batch.x),
            (own.y, batch.y),
            (own.node_ptr, batch.node_ptr),
            (own.edge_code, batch.edge_code),
            (own.pe, batch.pe),
            (own.edge_weight, batch.edge_weight),
            (own.edge_attr, batch.edge_attr),
            (own.x_numbers, batch.x_numbers),
            (own.teacher, batch.teacher),
        ):
            if place is not None and tensor is not None:
                place[: tensor.size(0)].copy_(tensor)
        if own.edge_weight is not None:
            own.edge_weight[e:].fill_(1)
        left = size.nodes - n
        torch.arange(e, e + size.fan * left + 1, size.fan, out=ours.rowptr[n:])
        ours.rowptr[n:].clamp_(max=size.entries)
        if e < size.entries:
            first = n * size.fan
            torch.arange(first, first + size.entries - e, out=ours.col[e:])
            ours.col[e:].div_(size.fan, rounding_mode="floor")
            torch.arange(e, size.entries, out=ours.perm_t[e:])
        if ours.col_t is not ours.col:  # loops are their own transpose
            ours.rowptr_t[: n + 1].copy_(theirs.rowptr_t)
            ours.rowptr_t[n:].copy_(ours.rowptr[n:])
            ours.col_t[:e].copy_(theirs.col_t)
            ours.col_t[e:].copy_(ours.col[e:])
        own.node_ptr[b + 1 : -1].fill_(n)
        own.y[b:].fill_(torch.nan if own.y.is_floating_point() else NO_CLASS)
        self.counts[0].fill_(n)
        self.counts[1].fill_(b)
