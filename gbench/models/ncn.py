"""NCN: a pair's nodes, and the sum over its common neighbours (Wang, Yang and Zhang, ICLR 2024).

Legend: N nodes, P pairs, D hidden_dim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels.csr import CSR
from gbench.kernels.spmm import spmm
from gbench.models.common_neighbours import common_neighbours, without
from gbench.models.dense import Dense
from gbench.models.dropout import dropout
from gbench.models.encoders import NodeEncoder

PAIRS_AT_ONCE = 65_536  # in evaluation: one D = 224 activation of so many pairs is 56 MiB


class NCN(nn.Module):
    """The logit of a link between i and j.

        h = (A + I)^L drop(x)                   sums without weights, x an embedding of each node
        x' = h + MLP_x(h)
        c_ij = Σ_{u ∈ N(i) ∩ N(j)} x'_u
        s_ij = MLP_out(β MLP_c(c_ij) + MLP_p(h_i ⊙ h_j))

    β is learnt, from 1. In training the links of the batch are taken out of A, in both directions,
    for the sums and for the common neighbours: else they would tell themselves. Dropout stands
    before each ReLU. The order of a pair does not matter.

    Nodes that are told apart by a number alone, as those of ogbl-ddi, have a table of embeddings
    with orthogonal columns and, as the published code has it, one row more than there are nodes.

    Shapes: batch.pairs (P, 2) → (P, 1). Raises UserError for data that are not link-level.
    """

    waits: ClassVar = "the number of common neighbours of a batch is read on the CPU"

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_dim: int,
        num_layers: int,
        input_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        if spec.level != "link":
            raise UserError(f"model ncn answers pairs of nodes, and these data are {spec.level}s'")
        dim = hidden_dim
        self.num_layers, self.input_dropout = num_layers, input_dropout
        self.table = self.encoder = None
        if spec.node_categories is not None and len(spec.node_categories) == 1:
            self.table = nn.Embedding(spec.node_categories[0] + 1, dim)
            nn.init.orthogonal_(self.table.weight)
        else:
            self.encoder = NodeEncoder(spec, dim)
        self.of_nodes = _mlp(dim, "linear drop relu linear norm drop relu", dropout)
        self.of_common = _mlp(dim, "linear drop relu linear norm drop relu linear", dropout)
        self.of_pair = _mlp(dim, "linear norm drop relu linear", dropout)
        hidden = "linear norm drop relu linear norm drop relu"
        self.out = nn.Sequential(_mlp(dim, hidden, dropout), Dense(dim, 1))
        self.beta = nn.Parameter(torch.ones(1))

    def forward(self, batch: Batch) -> Tensor:
        pairs, graph = batch.pairs, batch.graph
        assert pairs is not None
        if self.training:
            graph = without(graph, pairs[batch.y[:, 0] > 0])
        h = self._embedded(batch)
        for _ in range(self.num_layers):
            h = spmm(graph, h) + h
        x = h + self.of_nodes(h)
        chunks = pairs.split(len(pairs) if self.training else PAIRS_AT_ONCE)
        answers = [self.answer(some, h, self.common(graph, some, x)) for some in chunks]
        return torch.cat(answers)

    def common(self, graph: CSR, pairs: Tensor, x: Tensor) -> Tensor:
        """c_ij. Shapes: graph N × N, pairs (P, 2), x (N, D) → (P, D)."""
        return spmm(common_neighbours(graph, pairs), x)

    def answer(self, pairs: Tensor, h: Tensor, common: Tensor) -> Tensor:
        """s_ij of h and c. Shapes: pairs (P, 2), h (N, D), common (P, D) → (P, 1)."""
        # F.embedding, because its backward adds in a fixed order where indexing's does not
        product = F.embedding(pairs[:, 0], h) * F.embedding(pairs[:, 1], h)
        out: Tensor = self.out(self.beta * self.of_common(common) + self.of_pair(product))
        return out

    def _embedded(self, batch: Batch) -> Tensor:
        x: Tensor
        if self.table is not None:
            x = self.table(batch.x[:, 0].long())
        else:
            assert self.encoder is not None
            x = self.encoder(batch)
        return dropout(x, self.input_dropout, self.training)


class _Dropout(nn.Module):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.rate, self.training)


def _mlp(dim: int, layers: str, rate: float) -> nn.Sequential:
    """Layers of one width, in the order in which they are named."""
    made: dict[str, Callable[[], nn.Module]] = {
        "linear": lambda: Dense(dim, dim),
        "norm": lambda: nn.LayerNorm(dim),
        "drop": lambda: _Dropout(rate),
        "relu": nn.ReLU,
    }
    return nn.Sequential(*(made[name]() for name in layers.split()))
