"""Numbers and categories of edges as vectors, for models that read a dense value of each edge.

Legend: E edges, F numbers of an edge, K categories of an edge, U combinations of them, D dim.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.kernels import embedding_sum
from gbench.models.dense import Dense
from gbench.models.encoders import Embeddings


class EdgeEncoder(nn.Module):
    """e = W a + b + Σ_k T_k[c_k]: a projection of the edge's numbers, embeddings of its categories.

    What the data do not have is left out, and without either there is no e. A model whose kernel
    takes a row for each combination of categories (`gine_aggregate`) needs this for numbers alone.
    `normal`: see Embeddings.

    Shapes: batch.edge_attr (E, F), batch.edge_code (E,), batch.edge_combos (U, K) → (E, D) in the
    order of batch.graph.col, or None.
    """

    uses: ClassVar = ("edge_attr",)

    first: Tensor

    def __init__(
        self, spec: DataSpec, dim: int, *, bias: bool = True, normal: bool = False
    ) -> None:
        super().__init__()
        self.linear = Dense(spec.edge_dim, dim, bias=bias) if spec.edge_dim else None
        categories = spec.edge_categories
        self.embeddings = Embeddings(categories, dim, normal=normal) if categories else None
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64), persistent=False)

    def forward(self, batch: Batch) -> Tensor | None:
        out: Tensor | None = None
        if self.embeddings is not None and batch.edge_combos is not None:
            assert batch.edge_code is not None
            # no indexing, whose gradient is summed in no fixed order on a GPU
            table = self.embeddings(batch.edge_combos)
            out = embedding_sum(batch.edge_code[:, None], table, self.first)
        if self.linear is not None and batch.edge_attr is not None:
            numbers: Tensor = self.linear(batch.edge_attr)
            out = numbers if out is None else out + numbers
        return out
