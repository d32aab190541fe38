"""Node features that are mostly zeros, stored by their non-zeros.

A bag of words has few words of a large vocabulary: 1.3 % of Cora's features are not zero, 0.9 % of
CiteSeer's. The rows of such a matrix are sums of few rows of whatever it is multiplied by.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gbench.kernels.csr import CSR

# Dense time / sparse time, 2708 × 1433, one core, 7 to 256 outputs: of the product and its gradient
# at 1 % of non-zeros 7 to 13, at 5 % 4 to 7, at 10 % 1.4 to 3, at 20 % 0.8 to 1.5; with dropout of
# the features 13 to 30, 8 to 13, 4 to 8 and 2.
MAX_DENSITY = 0.2


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """An N × F matrix: `values` (E,) stand in the places that `pattern` (N × F) names.

    With a `seed` they are yet to be dropped by it, with probability `rate`: whoever multiplies by
    the matrix does so (see gbench/kernels/sparse_linear.py).
    No row has more than `longest_row` entries, where that is known; a column, a common word, may.
    """

    pattern: CSR
    values: Tensor
    seed: Tensor | None = None
    rate: float = 0.0
    longest_row: int | None = None

    @staticmethod
    def of(x: Tensor) -> SparseFeatures | None:
        """The non-zeros of x (N, F), or None where there are too many of them for that to pay."""
        if not x.is_floating_point() or torch.count_nonzero(x) > MAX_DENSITY * x.numel():
            return None
        row, col = x.nonzero(as_tuple=True)  # sorted as CSR sorts
        pattern, _ = CSR.from_edge_index(torch.stack([col, row]), *x.shape)
        longest_row = int(pattern.in_degree.max()) if len(row) else 0
        return SparseFeatures(pattern, x[row, col], longest_row=longest_row)
