"""Sum gathered rows with torch's own embedding_bag: a vectorised CSR product, already at the floor.

Measured on one core of a Cascade Lake Xeon: 0.79 to 1.08 times the time of hand-written AVX-512,
and half of it with bfloat16 storage (sums are float32 inside). Only its sum is fast: its mean takes
2 times and its max 11 times as long, so both are made elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor


def bag_sum(rowptr: Tensor, col: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Σ of weight[e] · x[col[e]] over the entries e of each row: (N, F) from x (M, F)."""
    x = x.detach()
    weight = weight if weight is None else weight.detach().contiguous()
    if not (col.numel() and x.size(1)):
        return x.new_zeros(rowptr.numel() - 1, x.size(1))
    # Positions: max_norm's companion scale_grad_by_freq, mode 0 = sum, sparse, include_last_offset.
    return torch.embedding_bag(x.contiguous(), col, rowptr, False, 0, False, weight, True)[0]
