"""SGC: Wu et al., "Simplifying Graph Convolutional Networks", ICML 2019."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from gbench.data.batch import Batch
from gbench.data.sparse import SparseFeatures
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import CSR, gcn_propagate
from gbench.kernels.linear import linear
from gbench.models.convolve import gcn_average
from gbench.models.linear import Linear


class SGC(nn.Module):
    """Logistic regression on propagated features: S^K X W + b, S = D^-1/2 (A + I) D^-1/2.

    A positional encoding stands beside the features: S^K [X | P] W + b. Edge weights are A's
    entries, and sum up to degrees.

    S^K X has no parameter, so that a batch that is used again keeps it; and no node depends on
    another one's logits, so that only the batch's targets have any: of a batch that does not ask
    for these alone the other rows are NaN, or on a GPU, where a launch is dearer than to walk empty
    rows, b.

    Shapes: x (N, F) → S^K X (N, F) → (N, C).
    Raises UserError for graph-level data, categorical features and a negative `hops`.
    """

    answers_targets: ClassVar = True  # see gbench/data/batch.py
    waits: ClassVar = ""  # see gbench/train/capturing.py
    uses: ClassVar = ("edge_weight",)
    roots_of_weights: ClassVar = True  # see gbench/models/edge_weights.py

    def __init__(self, spec: DataSpec, *, hops: int) -> None:
        super().__init__()
        if spec.level != "node" or spec.node_categories is not None:
            raise UserError(
                "SGC classifies nodes by dense features: "
                "take model=gcn or model=gin for graph-level or categorical data"
            )
        self.hops = hops
        self.linear = Linear(spec.num_features, spec.num_outputs)
        self.pe = Linear(spec.pe_dim, spec.num_outputs, bias=False) if spec.pe_dim else None

    def forward(self, batch: Batch) -> Tensor:
        nodes, rows, places = self._rows(batch)
        out: Tensor = self.linear(rows)
        if self.pe is not None and batch.pe is not None:  # apart from X, which is propagated once
            propagated = self._propagated(batch, batch.pe)
            out = out + self.pe(propagated if nodes is None else propagated[nodes])
        if batch.asked is not None:
            return out if places is None else out.index_select(0, places)
        if nodes is None:
            return out
        return out.new_full((batch.num_nodes, out.size(1)), torch.nan).index_copy(0, nodes, out)

    def embed(self, batch: Batch) -> Tensor:
        """[X | P] W, without b: C columns are cheaper to propagate than F, in S^K (X W) + b."""
        out = linear(batch.x, self.linear.weight)
        if self.pe is not None and batch.pe is not None:
            out = out + self.pe(batch.pe)
        return out if self.hops else out + self.linear.bias

    def steps(self) -> list[Callable[[Batch, Tensor], Tensor]]:
        """The hops, b added by the last: see gbench/train/layerwise.py."""
        last = [lambda batch, x: gcn_average(batch, x, self.linear.bias)]
        return [gcn_average] * (self.hops - 1) + (last if self.hops else [])

    def _propagated(self, batch: Batch, x: Tensor) -> Tensor:
        weight = None if batch.edge_weight is None else batch.edge_weight.to(x.dtype)
        return gcn_propagate(batch.graph, x, hops=self.hops, edge_weight=weight)

    def _rows(self, batch: Batch) -> tuple[Tensor | None, Tensor | SparseFeatures, Tensor | None]:
        """The batch's target nodes, each once, and their rows of S^K X, or None and all rows.

        Behind them is where among the rows each target's is; None: they are the targets' in order.
        Kept in the batch's memo: S^K X as long as it is of these very features, this graph and
        these weights, the rows as long as the tensor of targets lives.
        """
        key, targets = f"sgc/{self.hops}", batch.targets
        made_of = batch.x, batch.graph, batch.edge_weight
        if batch.edge_weight is not None and batch.edge_weight.requires_grad:
            return None, self._propagated(batch, batch.x), targets
        kept = batch.memo.get(key)
        if kept is None or any(a is not b for a, b in zip(kept[0], made_of, strict=True)):
            with _for_training():
                propagated = self._propagated(batch, batch.x)
            kept = batch.memo[key] = made_of, propagated, WeakTensorKeyDictionary()
        _, propagated, rows_of = kept
        if targets is None:
            return None, propagated, None
        found = rows_of.get(targets)
        if found is None:
            with _for_training():
                nodes, places = targets.unique(return_inverse=True)
                order = None if torch.equal(nodes, targets) else places
                rows = propagated[nodes]
                sparse = SparseFeatures.of(rows)
                found = nodes, sparse or rows, order
                if sparse is not None and rows.is_cuda:
                    found = None, _placed(sparse, nodes, batch.num_nodes), targets
                rows_of[targets] = found
        result: tuple[Tensor | None, Tensor | SparseFeatures, Tensor | None] = found
        return result


def _placed(x: SparseFeatures, nodes: Tensor, num_nodes: int) -> SparseFeatures:
    """A matrix whose rows `nodes` are those of x, and whose others have no entries."""
    column, row = x.pattern.edge_index
    pattern, _ = CSR.from_edge_index(
        torch.stack([column, nodes[row]]), num_nodes, x.pattern.num_cols
    )
    return SparseFeatures(pattern, x.values, longest_row=x.longest_row)


@contextmanager
def _for_training() -> Iterator[None]:
    """What validation leaves is trained on later: autograd refuses inference-mode tensors."""
    with torch.inference_mode(False), torch.no_grad():
        yield
