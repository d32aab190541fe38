"""Overlapping patches of graphs, as Graph-MLPMixer and Graph ViT (He et al., ICML 2023) see them.

A patch is a part of the graph grown by its k-hop neighbours, with all edges among its nodes. A node
in several patches has a copy in each; the copies and their edges are one disjoint graph of patches.

Legend: B graphs with P patches each, N nodes and E edges of the batch, C node copies, S steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gbench.kernels.csr import CSR


@dataclass(frozen=True)
class Patching:
    """How to cut graphs: a model that reads `batch.patches` has one as its attribute `patching`."""

    num_patches: int
    hops: int = 1  # by which a patch grows over its part
    edge_dropout: float = 0.0  # of edge entries before the cut, drawn anew in each training epoch
    partition: str = "metis"  # or random
    walk_steps: int = 0  # of the random walks among patches that Patches.walks tells of


@dataclass(frozen=True, eq=False)
class Patches:
    """The patches of a batch; patch p of graph b is row b · P + p.

    Shapes: members B·P × N with C entries: row p lists the nodes of patch p, in order, so that
    members.col (C,) is the node of each copy, members.rowptr bounds the patches, and
    members.rowptr_t and members.perm_t list the copies of each node;
    graph C × C: the edges among the copies of each patch;
    edge (entries of graph,) int32: the entry of `batch.graph` that each copies, so that
    batch.edge_code[edge] are their categories;
    coarse (B, P, P) float32: M Mᵀ for the P × N matrix M of 0 and 1 that `members` is: how many
    nodes two patches share, on the diagonal how many each has. The last patch of a graph has nodes;
    others may be empty;
    filled (B, P) float32: 1 for a patch that has nodes, 0 for an empty one;
    walks (B, P, S) float32: `random_walk` of as many steps as Patching asks for.
    """

    members: CSR
    graph: CSR
    edge: Tensor
    coarse: Tensor
    filled: Tensor
    walks: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """Which patches have nodes: bool (B, P)."""
        return self.filled > 0

    def random_walk(self, steps: int) -> Tensor:
        """diag((D^-1 A)^k), k = 1..S, of the coarse matrix A; an empty patch has degree 1.

        Shapes: (B, P, S) float32.
        """
        step = self.coarse / self.coarse.sum(dim=2, keepdim=True).clamp(min=1)
        power, returns = step, []
        for k in range(steps):
            power = power if k == 0 else power @ step
            returns.append(power.diagonal(dim1=1, dim2=2))
        return torch.stack(returns, dim=2)

    @property
    def copies(self) -> CSR:
        """The copies of each node, N × C: `spmm` with it sums or averages them."""
        place = torch.empty_like(self.members.perm_t)
        count = torch.arange(place.numel() + 1, dtype=torch.int32, device=place.device)
        place[self.members.perm_t.long()] = count[:-1]
        members = self.members
        return CSR(
            members.rowptr_t, members.perm_t, count, members.col, place, longest=members.longest
        )
