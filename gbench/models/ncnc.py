"""NCNC: NCN that also counts neighbours of one node alone, by how likely the missing link is.

Legend: N nodes, P pairs, S neighbours of one node alone of all pairs together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from gbench.data.spec import DataSpec
from gbench.kernels.csr import CSR
from gbench.kernels.spmm import spmm
from gbench.models.common_neighbours import neighbours_of_one
from gbench.models.ncn import NCN, PAIRS_AT_ONCE


class NCNC(NCN):
    """NCN with common neighbour completion (Wang, Yang and Zhang, ICLR 2024).

        c_ij = Σ_{u ∈ N(i) ∩ N(j)} x'_u
               + Σ_{u ∈ N(i) - N(j)} p_uj x'_u + Σ_{u ∈ N(j) - N(i)} p_ui x'_u
        p = α p_t s / (p_t s + 1 - s),   s = sigmoid(scale (NCN(u, j) - offset))

    NCN(u, j) is the answer of the same network without completion, to x' in place of h, and without
    a gradient: `scale`, `offset`, p_t (`link_rate`) and α (`completion`) are settings. It is meant
    to begin with the weights of a trained NCN, init_from=run:NAME, whose names are the same.

    Shapes: as `NCN`. All S pairs of a batch are answered, some at a time.
    """

    waits: ClassVar = "the number of neighbours of a batch is read on the CPU"

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        input_dropout: float,
        dropout: float,
        scale: float,
        offset: float,
        link_rate: float,
        completion: float,
    ) -> None:
        super().__init__(
            spec,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            input_dropout=input_dropout,
            dropout=dropout,
        )
        self.scale, self.offset = scale, offset
        self.link_rate, self.completion = link_rate, completion

    def common(self, graph: CSR, pairs: Tensor, x: Tensor) -> Tensor:
        """c_ij. Shapes: graph N × N, pairs (P, 2), x (N, D) → (P, D)."""
        total = super().common(graph, pairs, x)
        for turned in (pairs, pairs.flip(1)):
            alone = neighbours_of_one(graph, turned)
            ends = torch.stack([alone.col.long(), turned[alone.row, 1]], 1)
            total = total + spmm(alone, x, weight=self._likely(graph, ends, x))
        return total

    @torch.no_grad()
    def _likely(self, graph: CSR, pairs: Tensor, x: Tensor) -> Tensor:
        """P of links that are not there. Shapes: (S, 2), (N, D) → (S,)."""
        inner = x + self.of_nodes(x)
        found = [x.new_zeros(0)]
        for some in self._some(pairs):
            common = super().common(graph, some, inner)
            s = (self.scale * (self.answer(some, x, common)[:, 0] - self.offset)).sigmoid()
            found.append(self.completion * self.link_rate * s / (self.link_rate * s + 1 - s))
        return torch.cat(found)

    @staticmethod
    def _some(pairs: Tensor) -> Iterator[Tensor]:
        yield from (some for some in pairs.split(PAIRS_AT_ONCE) if len(some))
