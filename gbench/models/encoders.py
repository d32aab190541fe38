"""From a dataset's features to vectors: embeddings of categories, projections, what stands beside.

Legend: N nodes, F features, K columns of the positional encoding, D dim.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.kernels.csr import CSR
from gbench.kernels.embedding_sum import embedding_sum
from gbench.models.dense import Dense
from gbench.models.linear import Linear
from gbench.models.norm_act import NormAct


class Embeddings(nn.Module):
    """One embedding per categorical column, summed over the columns (OGB's atom and bond encoder).

    All tables lie below each other in one parameter, so that `embedding_sum` makes one pass where
    K lookups and K - 1 additions were. Each table starts Xavier-uniform on its own, as OGB's; with
    `normal` a single table from normal numbers, as nn.Embedding.

    Shapes: codes (N, K) integer, code k below categories[k] → (N, D).
    """

    offsets: Tensor

    def __init__(self, categories: tuple[int, ...], dim: int, *, normal: bool = False) -> None:
        super().__init__()
        starts = list(itertools.accumulate(categories, initial=0))
        self.table = nn.Parameter(torch.empty(starts[-1], dim))
        self.register_buffer("offsets", torch.tensor(starts[:-1]), persistent=False)
        for start, end in itertools.pairwise(starts):
            nn.init.xavier_uniform_(self.table.data[start:end])
        if normal and len(categories) == 1:
            nn.init.normal_(self.table)

    def forward(self, codes: Tensor) -> Tensor:
        return embedding_sum(codes, self.table, self.offsets)


def bond_tables(layers: Iterable[nn.Module], batch: Batch) -> list[Tensor | None]:
    """What each layer's `bonds` make of every combination of a bond's categories.

    In one operation where all layers have them, and as wide. Shapes: L times (U, D).
    """
    bonds = [getattr(layer, "bonds", None) for layer in layers]
    codes = batch.edge_combos
    found = [each for each in bonds if isinstance(each, Embeddings)]
    if codes is None or len(found) < len(bonds):
        return [None] * len(bonds)
    if len({each.table.shape for each in found}) > 1:
        return [each(codes) for each in found]
    table = torch.stack([each.table for each in found])
    return [*embedding_sum(codes, table, found[0].offsets).unbind()]


class NodeFeatures(nn.Module):
    """x_i = Σ_k T_k[c_ik] + W_n n_i of categories and numbers, or a projection of dense features.

    Categories may be types. `normal`: see Embeddings.

    Shapes: batch.x (N, F) float, dense or sparse, or (N, F) categories; batch.x_numbers (N, F_n) →
    (N, D).
    """

    uses: ClassVar = ("x_numbers",)

    def __init__(self, spec: DataSpec, dim: int, *, normal: bool = True) -> None:
        super().__init__()
        self.features: nn.Module
        if spec.node_categories is None:
            self.features = Linear(spec.num_features, dim)
        else:
            self.features = Embeddings(spec.node_categories, dim, normal=normal)
        self.numbers = Dense(spec.num_numbers, dim, bias=False) if spec.num_numbers else None

    def forward(self, batch: Batch) -> Tensor:
        x: Tensor = self.features(batch.sparse_x or batch.x)
        return x if self.numbers is None else x + self.numbers(batch.x_numbers)


class NodeEncoder(NodeFeatures):
    """x_i + relu(batch_norm(W pe_i)), x_i of NodeFeatures.

    The second part, as of He et al. (ICML 2023), is there with a positional encoding only.

    Shapes: as NodeFeatures, batch.pe (N, K) → (N, D).
    """

    def __init__(self, spec: DataSpec, dim: int) -> None:
        super().__init__(spec, dim, normal=False)
        self.pe = None
        if spec.pe_dim:
            norm_act = NormAct(dim, norm=True, relu=True, dropout=0.0)
            self.pe = nn.Sequential(Dense(spec.pe_dim, dim, bias=False), norm_act)

    def forward(self, batch: Batch) -> Tensor:
        x = super().forward(batch)
        if self.pe is None:
            return x
        linear, norm_act = self.pe
        out: Tensor = norm_act(linear(batch.pe), x, batch.valid_nodes)
        return out


class RawFeatures(nn.Module):
    """Dense features as they are, the positional encoding beside them.

    Shapes: batch.x (N, F), batch.pe (N, K) or None → (N, F + K), sparse where that pays and
    `allow_sparse` says that the first layer can take it.
    """

    def __init__(self, *, allow_sparse: bool) -> None:
        super().__init__()
        self.allow_sparse = allow_sparse

    def forward(self, batch: Batch) -> Tensor | SparseFeatures:
        x: Tensor | SparseFeatures = batch.x
        if self.allow_sparse:
            x = batch.sparse_x or x
        if batch.pe is None:
            return x
        return torch.cat([x, batch.pe], 1) if isinstance(x, Tensor) else _beside(batch, x, batch.pe)


def input_features(spec: DataSpec, dim: int, *, allow_sparse: bool = True) -> tuple[nn.Module, int]:
    """What stands before a first layer that takes dense features as they are, and its width.

    Categories are embedded in `dim` dimensions.
    """
    if spec.node_categories is not None:
        return NodeEncoder(spec, dim), dim
    return RawFeatures(allow_sparse=allow_sparse), spec.num_features + spec.pe_dim


def _beside(batch: Batch, x: SparseFeatures, pe: Tensor) -> SparseFeatures:
    """[x | pe] by its non-zeros. The pattern is kept with the batch; signs of `pe` may change."""
    kept = batch.memo.get("beside")
    if kept is None or kept[0] is not x:
        # what validation leaves here is trained on: autograd refuses inference-mode tensors
        with torch.inference_mode(False):
            rows, columns = x.pattern.num_rows, x.pattern.num_cols
            place = torch.ones_like(pe, dtype=torch.bool).nonzero().t()
            added = torch.stack([place[1] + columns, place[0]])
            both = torch.cat([x.pattern.edge_index, added], dim=1)
            pattern, order = CSR.from_edge_index(both, rows, columns + pe.size(1))
            kept = batch.memo["beside"] = x, pattern, order
    values = torch.cat([x.values, pe.reshape(-1)])[kept[2]]
    longest_row = None if x.longest_row is None else x.longest_row + pe.size(1)
    return SparseFeatures(kept[1], values, longest_row=longest_row)
