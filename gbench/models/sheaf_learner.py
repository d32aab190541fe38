"""A sheaf on a graph, learned from its nodes' features, and its Laplacian (Bodnar et al., 2022).

Legend: N nodes, E entries (each end of each edge), d stalk dimension (S in shapes), C = d + number
of fixed channels, F channels of each stalk coordinate, P parameters of a map.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.loaders.edges import both_directions, without_loops
from gbench.errors import UserError
from gbench.kernels import CSR, segment_reduce, sheaf_laplacian
from gbench.models.sheaf_maps import num_parameters, restriction_maps


class Sheaf(NamedTuple):
    """What Δ = D^-1/2 L D^-1/2 of an undirected graph is made of.

    Shapes: maps (E, S, S), or (E, C) diagonal with the fixed channels beside the learned ones;
    fixed (E, C - S), the fixed channels of full maps, None where there are none; degree (N,), where
    D of the learned channels is (1 + degree) I.
    """

    graph: CSR
    maps: Tensor
    fixed: Tensor | None
    degree: Tensor | None

    def laplacian(self, x: Tensor) -> Tensor:
        """Δ x. Shapes: (N, C, F) → (N, C, F)."""
        if self.fixed is None:
            return sheaf_laplacian(self.graph, self.maps, x, degree=self.degree)
        d = self.maps.size(1)
        learned = sheaf_laplacian(self.graph, self.maps, x[:, :d], degree=self.degree)
        return torch.cat([learned, sheaf_laplacian(self.graph, self.fixed, x[:, d:])], 1)


class SheafLearner(nn.Module):
    """Restriction maps from the two ends of each edge: F_ve = maps(tanh(V [x_v ‖ x_u])).

    x_v are the C · F numbers of node v, or with `sparse_learner` their sums over its C coordinates.
    Orthogonal maps are multiplied by the edges' weights w; they have D = (1 + Σ w²) I, w = 1 where
    there are no weights. Other maps have D = I + Σ FᵀF, or with `deg_normalised` (1 + degree) I
    (diagonal) or (1 + d · degree) I (general).

    The fixed channels are the last coordinates, each a sheaf with stalks of one dimension: `add_lp`
    has F_ve = -F_ue = ±1, so that L = degree + A; `add_hp` has F = 1, L = degree - A. (With
    deg_normalised the authors' code leaves these two unnormalised; here all channels are.)

    Shapes: x (N, C, F), weight (E, 1) → the sheaf.
    Raises UserError for maps that do not exist in the stalk dimension and for orthogonal ones with
    deg_normalised.
    """

    def __init__(
        self,
        *,
        maps: str,
        orthogonal: str,
        stalk_dim: int,
        hidden_dim: int,
        sparse_learner: bool,
        deg_normalised: bool,
        add_lp: bool,
        add_hp: bool,
    ) -> None:
        super().__init__()
        if deg_normalised and maps == "orthogonal":
            raise UserError(
                "model.deg_normalised=true: orthogonal maps are normalised by their weights or "
                "degrees as it is; set it to false"
            )
        self.maps, self.orthogonal, self.stalk_dim = maps, orthogonal, stalk_dim
        self.sparse_learner, self.deg_normalised = sparse_learner, deg_normalised
        self.add_lp, self.add_hp = add_lp, add_hp
        width = hidden_dim if sparse_learner else (stalk_dim + add_lp + add_hp) * hidden_dim
        outputs = num_parameters(maps, orthogonal, stalk_dim)
        self.linear = nn.Linear(2 * width, outputs, bias=False) if outputs else None

    def forward(self, graph: CSR, x: Tensor, weight: Tensor | None) -> Sheaf:
        maps = self._maps(graph, x)
        degree = None
        if weight is not None:
            maps = maps * weight[:, :, None]
            degree = segment_reduce(graph.rowptr, weight * weight)[:, 0]
        elif self.maps == "orthogonal" or self.deg_normalised:
            degree = graph.in_degree.to(x.dtype)
            degree = degree * self.stalk_dim if self.maps == "general" else degree
        if not (self.add_lp or self.add_hp):
            return Sheaf(graph, maps, None, degree)
        one = x.new_ones(graph.num_entries)
        sign = torch.where(graph.row < graph.col, one, -one)
        fixed = torch.stack([sign] * self.add_lp + [one] * self.add_hp, 1)
        if maps.dim() == 2:
            return Sheaf(graph, torch.cat([maps, fixed], 1), None, degree)
        return Sheaf(graph, maps, fixed, degree)

    def _maps(self, graph: CSR, x: Tensor) -> Tensor:
        if self.linear is None:  # O(1) has ±1 alone, and signs cancel in FᵀF
            return x.new_ones(graph.num_entries, 1, 1)
        ends = x.sum(1) if self.sparse_learner else x.flatten(1)
        parameters = of_pairs(graph, ends, self.linear.weight).tanh()
        return restriction_maps(parameters, self.maps, self.orthogonal, self.stalk_dim)


class EdgeWeightLearner(nn.Module):
    """w_vu w_uv with w_vu = sigmoid(a · [x_v ‖ x_u]): one number for both ends of an edge.

    Shapes: x (N, C, F) → (E, 1).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * width, 1, bias=False)

    def forward(self, graph: CSR, x: Tensor) -> Tensor:
        there = self.linear.weight
        back = there.view(2, -1).flip(0).view(1, -1)  # a · [x_u ‖ x_v], without a look at (u, v)
        both = of_pairs(graph, x.flatten(1), torch.cat([there, back])).sigmoid()
        return both[:, :1] * both[:, 1:]


def of_pairs(graph: CSR, x: Tensor, weight: Tensor) -> Tensor:
    """W [x_v ‖ x_u] for each entry (v, u), by products of N rows and not of E.

    Shapes: x (N, D), weight (P, 2 D) → (E, P).
    """
    own, other = weight.view(weight.size(0), 2, -1).unbind(1)
    out: Tensor = _PairSum.apply(graph, x @ own.t(), x @ other.t())  # type: ignore[no-untyped-call]
    return out


class _PairSum(torch.autograd.Function):
    """own_v + other_u for each entry (v, u).

    Indexing's own gradient adds row by row: 14 times as long as `segment_reduce` for 63,000 rows
    of 6 numbers, and on a GPU in no fixed order.
    """

    @staticmethod
    def forward(ctx: Any, graph: CSR, own: Tensor, other: Tensor) -> Tensor:
        ctx.graph = graph
        return own.index_select(0, graph.row).add_(other.index_select(0, graph.col))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        graph, grad = ctx.graph, grad.contiguous()
        received = grad.index_select(0, graph.perm_t)
        return (
            None,
            segment_reduce(graph.rowptr, grad),
            segment_reduce(graph.rowptr_t, received),
        )


def undirected(batch: Batch) -> CSR:
    """The batch's graph as the paper has it: each edge in both directions, once, no self-loops."""
    graph: CSR | None = batch.memo.get("undirected")
    if graph is None:
        graph, size = batch.graph, batch.num_nodes
        is_symmetric = torch.equal(graph.rowptr, graph.rowptr_t) and torch.equal(
            graph.col, graph.col_t
        )
        codes = graph.row * size + graph.col
        if not is_symmetric or (graph.row == graph.col).any() or (codes.diff() == 0).any():
            # what validation leaves here is trained on: autograd refuses inference-mode tensors
            with torch.inference_mode(False):
                edges = both_directions(without_loops(graph.edge_index), size)
                graph, _ = CSR.from_edge_index(edges, size)
        batch.memo["undirected"] = graph
    return graph
