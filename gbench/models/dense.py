"""A dense layer: torch's module, whose products go the way that is faster on this processor."""

from __future__ import annotations

from torch import Tensor, nn

from gbench.kernels.linear import linear


class Dense(nn.Linear):
    """x Wᵀ + b, begun and saved as `nn.Linear` is: see gbench/kernels/linear.py.

    Shapes: x (..., in_features) → (..., out_features).
    """

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
