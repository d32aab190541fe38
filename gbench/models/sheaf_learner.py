"""A sheaf on a graph, learned from its nodes' features, and its Laplacian (Bodnar et al., 2022).

Legend: N nodes, E entries (each end of each edge), d stalk dimension (S in shapes), C = d + number
of fixed channels, F channels of each stalk coordinate, P parameters of a map.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.loaders.edges import both_directions, without_loops
from gbench.errors import UserError
from gbench.kernels import CSR, sheaf_laplacian
from gbench.kernels.pair_tanh import pair_tanh
from gbench.kernels.pair_weight import pair_weight
from gbench.models.dense import Dense
from gbench.models.sheaf_maps import num_parameters, restriction_maps


class Sheaf(NamedTuple):
    """What Δ = D^-1/2 L D^-1/2 of an undirected graph is made of.

    Shapes: maps (E, S, S), or (E, C) diagonal with the fixed channels beside the learned ones;
    fixed (E, C - S), the fixed channels of full maps, None where there are none; degree (N,), where
    D of the learned channels is (1 + degree) I; weight (E,), of orthogonal maps.
    """

    graph: CSR
    maps: Tensor
    fixed: Tensor | None = None
    degree: Tensor | None = None
    weight: Tensor | None = None

    def laplacian(self, x: Tensor) -> Tensor:
        """Δ x. Shapes: (N, C, F) → (N, C, F)."""
        d, graph = self.maps.size(1), self.graph
        learned = sheaf_laplacian(
            graph,
            self.maps,
            x if self.fixed is None else x[:, :d],
            degree=self.degree,
            weight=self.weight,
        )
        if self.fixed is None:
            return learned
        return torch.cat([learned, sheaf_laplacian(graph, self.fixed, x[:, d:])], 1)


class SheafLearner(nn.Module):
    """Restriction maps from the two ends of each edge: F_ve = maps(tanh(V [x_v ‖ x_u])).

    x_v are the C · F numbers of node v, or with `sparse_learner` their sums over its C coordinates.
    Orthogonal maps are multiplied by the edges' weights w; they have D = (1 + Σ w²) I, w = 1 where
    there are no weights. Other maps have D = I + Σ FᵀF, or with `deg_normalised` (1 + degree) I
    (diagonal) or (1 + d · degree) I (general).

    The fixed channels are the last coordinates, each a sheaf with stalks of one dimension: `add_lp`
    has F_ve = -F_ue = ±1, so that L = degree + A; `add_hp` has F = 1, L = degree - A. (With
    deg_normalised the authors' code leaves these two unnormalised; here all channels are.)

    Shapes: x (N, C, F), or with sparse_learner the sums (N, F), weight (E,) → the sheaf.
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
        self.linear = Dense(2 * width, outputs, bias=False) if outputs else None

    def forward(self, graph: CSR, x: Tensor, weight: Tensor | None) -> Sheaf:
        maps = self._maps(graph, x)
        degree = None
        if (self.maps == "orthogonal" and weight is None) or self.deg_normalised:
            degree = graph.in_degree.to(x.dtype)
            degree = degree * self.stalk_dim if self.maps == "general" else degree
        if not (self.add_lp or self.add_hp):
            return Sheaf(graph, maps, None, degree, weight)
        one = x.new_ones(graph.num_entries)
        sign = torch.where(graph.row < graph.col, one, -one)
        fixed = torch.stack([sign] * self.add_lp + [one] * self.add_hp, 1)
        if maps.dim() == 2:
            return Sheaf(graph, torch.cat([maps, fixed], 1), None, degree)
        return Sheaf(graph, maps, fixed, degree, weight)

    def _maps(self, graph: CSR, x: Tensor) -> Tensor:
        if self.linear is None:  # O(1) has ±1 alone, and signs cancel in FᵀF
            return x.new_ones(graph.num_entries, 1, 1)
        ends = x.sum(1) if self.sparse_learner and x.dim() == 3 else x.flatten(1)
        parameters = pair_tanh(graph, of_ends(ends, self.linear.weight))
        return restriction_maps(parameters, self.maps, self.orthogonal, self.stalk_dim)


class EdgeWeightLearner(nn.Module):
    """w_vu w_uv with w_vu = sigmoid(a · [x_v ‖ x_u]): one number for both ends of an edge.

    Shapes: x (N, C, F) → (E,).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = Dense(2 * width, 1, bias=False)

    def forward(self, graph: CSR, x: Tensor) -> Tensor:
        return pair_weight(graph, of_ends(x.flatten(1), self.linear.weight))


def of_ends(x: Tensor, weight: Tensor) -> Tensor:
    """What each node adds to W [x_v ‖ x_u] as v, and beside it what it adds as u.

    Shapes: x (N, D), weight (P, 2 D) → (N, 2 P).
    """
    return x @ weight.view(-1, x.size(1)).t()


def undirected(batch: Batch) -> CSR:
    """The batch's graph as the paper has it: each edge in both directions, once, no self-loops."""
    graph: CSR | None = batch.memo.get("undirected")
    if graph is None:
        graph, size = batch.graph, batch.num_nodes
        if graph.undirected:  # the store looked once; on a GPU each look is a wait
            return graph
        is_symmetric = torch.equal(graph.rowptr, graph.rowptr_t) and torch.equal(
            graph.col, graph.col_t
        )
        codes = graph.row * size + graph.col
        if not is_symmetric or (graph.row == graph.col).any() or (codes.diff() == 0).any():
            # what validation leaves here is trained on: autograd refuses inference-mode tensors
            with torch.inference_mode(False):
                edges = both_directions(without_loops(graph.edge_index), size)
                graph, _ = CSR.from_edge_index(edges, size)
                graph = replace(graph, undirected=True)
        batch.memo["undirected"] = graph
    return graph
