"""Bags: marked or cut copies of each graph, with the map back to the originals.

A subgraph GNN answers for a graph by what it says of many copies of it, each with a node marked,
a node or an edge deleted, or cut to the surroundings of a node (Bevilacqua et al., ICLR 2022; Zhao
et al., ICLR 2022). A model that reads `batch.bag` says by its attribute `bagging` which copies.

Legend: B graphs with N nodes and E entries in all, S copies, C nodes and K entries of the copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gbench.kernels.csr import CSR

POLICIES = ("node-marked", "node-deleted", "edge-deleted", "ego-nets")
FAR = 255  # as a hop: not within `hops` of the root


@dataclass(frozen=True)
class Bagging:
    """Which copies there are of a graph of n nodes.

    node-marked    one for each node, its root; nothing is cut
    node-deleted   one for each node, the root, without its edges; the node itself stays
    edge-deleted   one for each undirected edge, without it; of a graph without edges, itself
    ego-nets       one for each node, with the edges among those that a path of at most `hops`
                   edges leads from to the root; the others stay without edges, or go if `cut`
    """

    policy: str = "node-marked"
    hops: int = 0  # to which Bag.hop is told; 0: the root alone is
    cut: bool = False  # of ego-nets: nodes further away are no part of the copy
    share: float = 1.0  # of each graph's copies that training takes, drawn anew for each batch
    floats: int = 0  # about so many of a node of a copy a training step keeps, to tell its memory


@dataclass(frozen=True, eq=False)
class Bag:
    """The copies of a batch's graphs, graph after graph, as one disjoint graph.

    Shapes: members S × N with C entries: row s lists the nodes of copy s in order, so that
    members.col (C,) is the original of each node of a copy, members.rowptr bounds the copies, and
    members.rowptr_t and members.perm_t list the copies of each node;
    graph C × C: the edges of the copies;
    edge (K,) int32: the entry of `batch.graph` that each entry copies, so that
    batch.edge_code[edge] are their categories;
    ptr (B + 1,) int32: the copies of each graph;
    root (S,) int32: the node, of the C, that a copy is about; None where it is about an edge;
    hop (C,) uint8: how many edges lead to the root at least, FAR beyond what is asked for; None
    without roots.
    """

    members: CSR
    graph: CSR
    edge: Tensor
    ptr: Tensor
    root: Tensor | None = None
    hop: Tensor | None = None

    @property
    def node(self) -> Tensor:
        """The original of each node of a copy, int32 (C,)."""
        return self.members.col

    @cached_property
    def copies(self) -> CSR:
        """The copies of each node, N × C: `spmm` with it sums or averages them."""
        members = self.members
        count = torch.arange(members.num_entries + 1, dtype=torch.int32, device=members.device)
        place = torch.empty_like(members.perm_t)
        place[members.perm_t.long()] = count[:-1]
        return CSR(members.rowptr_t, members.perm_t, count, members.col, place)

    @property
    def num_copies(self) -> int:
        return self.members.num_rows
