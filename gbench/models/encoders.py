"""From a dataset's raw features to vectors: embeddings of categories, a projection of the rest."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from gbench.data.spec import DataSpec
from gbench.kernels import embedding_sum
from gbench.models.linear import Linear


class Embeddings(nn.Module):
    """One embedding per categorical column, summed over the columns (OGB's atom and bond encoder).

    All tables lie below each other in one parameter, so that `embedding_sum` makes one pass where
    K lookups and K - 1 additions were. Each table starts Xavier-uniform on its own, as OGB's.

    Shapes: codes (N, K) integer, code k below categories[k] → (N, D).
    """

    offsets: Tensor

    def __init__(self, categories: tuple[int, ...], dim: int) -> None:
        super().__init__()
        starts = list(itertools.accumulate(categories, initial=0))
        self.table = nn.Parameter(torch.empty(starts[-1], dim))
        self.register_buffer("offsets", torch.tensor(starts[:-1]), persistent=False)
        for start, end in itertools.pairwise(starts):
            nn.init.xavier_uniform_(self.table.data[start:end])

    def forward(self, codes: Tensor) -> Tensor:
        return embedding_sum(codes, self.table, self.offsets)


def node_encoder(spec: DataSpec, dim: int) -> nn.Module:
    """Embeddings for categorical node features, one linear layer for dense ones.

    Shapes: x (N, F) float, dense or sparse, or (N, K) integer → (N, dim).
    """
    if spec.node_categories is not None:
        return Embeddings(spec.node_categories, dim)
    return Linear(spec.num_features, dim)
