"""SGC: Wu et al., "Simplifying Graph Convolutional Networks", ICML 2019."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import gcn_propagate
from gbench.limits import check_limits


class SGC(nn.Module):
    """Logistic regression on propagated features: S^K X W + b, S = D^-1/2 (A + I) D^-1/2.

    S^K X has no parameter, so that a batch that is used again keeps it.

    Shapes: x (N, F) → S^K X (N, F) → (N, C).
    Raises UserError for graph-level data, categorical features and a negative `hops`.
    """

    def __init__(self, spec: DataSpec, *, hops: int) -> None:
        super().__init__()
        if spec.level != "node" or spec.node_categories is not None:
            raise UserError(
                "SGC classifies nodes by dense features: "
                "take model=gcn or model=gin for graph-level or categorical data"
            )
        check_limits({"model.hops": hops})
        self.hops = hops
        self.linear = nn.Linear(spec.num_features, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        out: Tensor = self.linear(self._propagated(batch))
        return out

    def _propagated(self, batch: Batch) -> Tensor:
        """S^K X, from the batch's memo when it was made from these very tensors."""
        key = f"sgc/{self.hops}"
        kept = batch.memo.get(key)
        if kept is None or kept[0] is not batch.x or kept[1] is not batch.graph:
            # what validation leaves here is trained on: autograd refuses inference-mode tensors
            with torch.inference_mode(False), torch.no_grad():
                propagated = gcn_propagate(batch.graph, batch.x, hops=self.hops)
            kept = batch.memo[key] = (batch.x, batch.graph, propagated)
        result: Tensor = kept[2]
        return result
