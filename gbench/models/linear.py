"""A linear layer for features that may be stored by their non-zeros."""

from __future__ import annotations

from torch import Tensor, nn

from gbench.data.sparse import SparseFeatures
from gbench.kernels.linear import linear
from gbench.kernels.sparse_linear import sparse_linear


class Linear(nn.Linear):
    """x Wᵀ + b, where zeros of a sparse x cost nothing, forward or backward.

    A model gives its first layer `batch.sparse_x or batch.x`; `batch.x` is always the dense matrix.

    Shapes: x (N, in_features) → (N, out_features).
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        # The product with sparse features, and the gradient, go by rows of Wᵀ: laid out so, W of
        # 60 × 1,703 is not transposed three times in a step that takes 0.5 ms in all.
        self.weight = nn.Parameter(self.weight.detach().t().contiguous().t())

    def forward(self, x: Tensor | SparseFeatures) -> Tensor:
        return times(x, self.weight, self.bias)

    def without_bias(self, x: Tensor | SparseFeatures) -> Tensor:
        """The product x Wᵀ alone."""
        return times(x, self.weight)


def times(x: Tensor | SparseFeatures, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The product x Wᵀ + b. Shapes: x (N, F), weight (D, F), bias (D,) → (N, D)."""
    if isinstance(x, Tensor):
        return linear(x, weight, bias)
    draws = (x.seed, x.rate)
    return sparse_linear(x.pattern, x.values, weight.t(), bias, *draws, longest_row=x.longest_row)
