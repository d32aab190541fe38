"""NSD as its authors' code computes it: a list of the Laplacian's entries, gathered and scattered.

The indices are made once, the values of one triangle are made of the maps at both ends of each
undirected edge and mirrored, and the product with x takes a row for each entry and adds it where it
belongs. Blocks are d × d, so that there are E · d² entries beside the N · d² of the diagonal.
Parameters have the names of `gbench.models.sheaf.NSD`.

Legend: N nodes, E entries of the graph, U undirected edges, d stalk dimension (S in shapes), C = d
+ fixed channels, F hidden_dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gbench.data.spec import DataSpec

NOISE = 1e-3  # of the blocks whose singular values have to differ for the SVD's gradient


class GatherScatterNSD(nn.Module):
    """The discrete model on one undirected graph without loops, for the settings of the scripts.

    Shapes: x (N, features), edge_index (2, E) → (N, classes).
    """

    def __init__(
        self, spec: DataSpec, settings: Mapping[str, Any], edge_index: Tensor, num_nodes: int
    ) -> None:
        super().__init__()
        self.settings = settings
        self.edge_index, self.num_nodes = edge_index, num_nodes
        d, hidden, layers = settings["stalk_dim"], settings["hidden_dim"], settings["num_layers"]
        self.d, self.fixed = d, [1.0] * settings["add_lp"] + [-1.0] * settings["add_hp"]
        self.channels = d + len(self.fixed)
        width = self.channels * hidden
        self.has_weights = settings["maps"] == "orthogonal" and settings["edge_weights"]
        outputs = {"diagonal": d, "orthogonal": d * (d - 1) // 2, "general": d * d}
        seen = hidden if settings["sparse_learner"] else width

        def linears(count: int, inputs: int, size: int) -> nn.ModuleList:
            return nn.ModuleList(_Named(inputs, size) for _ in range(count))

        self.stalks = nn.ModuleDict({"first": nn.Linear(spec.num_features, width)})
        if settings["second_linear"]:
            self.stalks["second"] = nn.Linear(width, width)
        self.sheaf_learners = linears(layers, 2 * seen, outputs[settings["maps"]])
        self.weight_learners = linears(layers if self.has_weights else 0, 2 * width, 1)
        self.left = nn.ModuleList(
            nn.Linear(self.channels, self.channels, bias=False) for _ in range(layers)
        )
        self.right = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(layers))
        self.epsilons = nn.ParameterList(torch.zeros(self.channels, 1) for _ in range(layers))
        self.head = nn.Linear(width, spec.num_outputs)
        self._index()

    def _index(self) -> None:
        """Where each end of an undirected edge stands among the entries, and each value in Δ."""
        row, col = self.edge_index
        keys = row * self.num_nodes + col
        order = keys.argsort()
        back = order[torch.searchsorted(keys[order], col * self.num_nodes + row)]
        self.back, self.lower = back, (row > col).nonzero()[:, 0]
        self.upper = back[self.lower]
        self.degree = torch.bincount(row, minlength=self.num_nodes).float()
        self.low_row, self.low_col = row[self.lower], col[self.lower]
        span = torch.arange(self.d)
        full = self.settings["maps"] != "diagonal"
        down, right = (span.repeat_interleave(self.d), span.repeat(self.d)) if full else (span,) * 2
        nodes, stride = torch.arange(self.num_nodes), self.channels
        rows, cols = self._places(down, right)
        own = (nodes[:, None] * stride + down, nodes[:, None] * stride + right)
        extra = torch.arange(self.d, self.channels)
        fixed_rows, fixed_cols = self._places(extra, extra)
        loops = (nodes[:, None] * stride + extra).flatten()
        parts = [rows, cols, own[0].flatten(), fixed_rows, fixed_cols, loops]
        self.rows = torch.cat(parts)
        self.cols = torch.cat([cols, rows, own[1].flatten(), fixed_cols, fixed_rows, loops])

    def _places(self, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.low_row[:, None] * self.channels + down
        cols = self.low_col[:, None] * self.channels + right
        return rows.flatten(), cols.flatten()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        s = self.settings
        x = functional.dropout(x, s["input_dropout"], self.training)
        x = self.stalks["first"](x)
        x = functional.elu(x) if s["use_act"] else x
        x = functional.dropout(x, s["dropout"], self.training)
        x = self.stalks["second"](x) if s["second_linear"] else x
        x = x.view(self.num_nodes * self.channels, -1)
        state = x
        for layer, epsilon in enumerate(self.epsilons):
            rate = s["dropout"] if layer else 0.0
            values = self._values(layer, functional.dropout(x, rate, self.training))
            x = functional.dropout(x, s["dropout"], self.training)
            x = x.t().reshape(-1, self.channels)
            x = self.left[layer](x).reshape(-1, self.num_nodes * self.channels).t()
            x = self.right[layer](x)
            sent = values[:, None] * x.index_select(0, self.cols)
            x = torch.zeros_like(x).index_add(0, self.rows, sent)
            x = functional.elu(x) if s["use_act"] else x
            state = (1 + epsilon.tanh()).tile(self.num_nodes, 1) * state - x
            x = state
        out: Tensor = self.head(x.reshape(self.num_nodes, -1))
        return out

    def _values(self, layer: int, x: Tensor) -> Tensor:
        """Δ's values in the order of rows and cols."""
        x = x.view(self.num_nodes, -1)
        seen = x
        if self.settings["sparse_learner"]:
            seen = x.view(self.num_nodes, self.channels, -1).sum(1)
        maps = self.sheaf_learners[layer](self._ends(seen)).tanh()
        kind = self.settings["maps"]
        if kind == "diagonal":
            off, own = self._diagonal(maps)
        elif kind == "general":
            off, own = self._general(maps.view(-1, self.d, self.d))
        else:
            weight = None
            if self.has_weights:
                weight = self.weight_learners[layer](self._ends(x)).sigmoid()
                weight = weight * weight.index_select(0, self.back)
            off, own = self._orthogonal(maps, weight)
        parts = [off.flatten(), off.flatten(), own.flatten()]
        if self.fixed:
            root = (self.degree + 1).rsqrt()
            sign = torch.tensor(self.fixed)
            scaled = (root[self.low_row] * root[self.low_col])[:, None] * sign
            loop = (self.degree * root * root)[:, None].expand(-1, len(self.fixed))
            parts += [scaled.flatten(), scaled.flatten(), loop.flatten()]
        return torch.cat(parts)

    def _ends(self, x: Tensor) -> Tensor:
        """[x_v ‖ x_u] of each entry (v, u)."""
        row, col = self.edge_index
        return torch.cat([x.index_select(0, row), x.index_select(0, col)], 1)

    def _diagonal(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes: maps (E, S) → (U, S) and (N, S)."""
        row, _ = self.edge_index
        off = -maps.index_select(0, self.lower) * maps.index_select(0, self.upper)
        own = maps.new_zeros(self.num_nodes, self.d).index_add(0, row, maps**2)
        size = self.degree[:, None] if self.settings["deg_normalised"] else own
        root = (size + 1).pow(-0.5)
        off = root.index_select(0, self.low_row) * off * root.index_select(0, self.low_col)
        return off, root * own * root

    def _general(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes: maps (E, S, S) → (U, S, S) and (N, S, S)."""
        row, _ = self.edge_index
        left, right = maps.index_select(0, self.lower), maps.index_select(0, self.upper)
        off = -torch.bmm(left.mT, right)
        own = maps.new_zeros(self.num_nodes, self.d, self.d)
        own = own.index_add(0, row, torch.bmm(maps.mT, maps))
        if self.settings["deg_normalised"]:
            root = (self.d * self.degree + 1).pow(-0.5)[:, None, None]
            scaled = root.index_select(0, self.low_row) * off * root.index_select(0, self.low_col)
            return scaled, root * own * root
        shift = torch.ones(self.num_nodes, self.d)
        if self.training:
            shift = shift + torch.empty_like(shift).uniform_(-NOISE, NOISE)
        u, size, v = torch.linalg.svd(own + shift.diag_embed())
        root = u @ size.pow(-0.5).diag_embed() @ v
        off = torch.bmm(torch.bmm(root.index_select(0, self.low_row), off),
                        root.index_select(0, self.low_col))  # fmt: skip
        return off, root @ own @ root

    def _orthogonal(self, maps: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Shapes: maps (E, P), weight (E, 1) or None → (U, S, S) and (N, S, S)."""
        row, _ = self.edge_index
        below = torch.tril_indices(self.d, self.d, -1)
        vectors = torch.eye(self.d).repeat(len(maps), 1, 1)
        vectors[:, below[0], below[1]] = maps
        q = torch.linalg.householder_product(vectors, 2 / vectors.square().sum(1))
        size = self.degree
        if weight is not None:
            q = q * weight[:, :, None]
            size = weight.new_zeros(self.num_nodes).index_add(0, row, weight[:, 0] ** 2)
        off = -torch.bmm(q.index_select(0, self.lower).mT, q.index_select(0, self.upper))
        root = (size + 1).pow(-0.5)
        scale = root.index_select(0, self.low_row) * root.index_select(0, self.low_col)
        own = (root * size * root)[:, None, None] * torch.eye(self.d)
        return scale[:, None, None] * off, own


class _Named(nn.Module):
    """A linear layer whose weight has our learners' name for it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return out
